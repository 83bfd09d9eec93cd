//! Types of values: scalars with their ranges, lists, and tables of tables. What stands in them is
//! checked as far as the value alone tells; references are `validate`'s.

mod address;
mod answer;
mod auth;
mod error_page;
mod files;
mod geo;
mod headers;
mod limits;
mod listen;
mod lists;
mod log;
mod map;
mod names;
mod peer;
mod redirect;
mod script;
mod who;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::read::{Fault, FromText, Read, Reader, or_substituted};
use super::tree::{Kind, Node};
use super::units;

pub(super) use address::Address;
pub(super) use answer::{ReturnTable, ReturnValue};
pub(super) use auth::{Assignments, Satisfy};
pub(super) use error_page::{ErrorPageTable, ErrorPageValue};
pub(super) use files::Types;
pub(super) use geo::{AddrRange, GeoValues, network};
pub(super) use headers::{AddHeaderTable, AddHeaders, Headers};
pub(super) use limits::{LimitConn, LimitReq, Rate};
pub(super) use listen::{Listen, ListenTable};
pub(super) use lists::{List, Named, Tables};
pub(super) use log::{AccessLogTable, AccessLogValue, ErrorLog, LogFormatTable, LogFormats, LogTo};
pub(super) use map::{MapKey, MapValues};
pub(super) use names::{Written, regex};
pub(super) use peer::{PeerTable, PeerValue};
pub(super) use redirect::RedirectValue;
pub(super) use script::{ConditionValue, StepTable, Steps, TestValue};
pub(super) use who::{Cidr, Sender};
pub(super) use words::{
    HttpVersion, Inherit, NextWord, OriginValue, TlsVersion, Token, VerifyWord,
};

/// Text that some other check takes further.
pub(super) type Text = String;

impl FromText for String {
    const TYPE: &'static str = "string";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.contains('\0') {
            return Err(Fault::new("has a NUL in it"));
        }
        Ok(text.to_owned())
    }
}

/// A path of a file; relative ones are taken from the folder of the configuration file.
impl FromText for PathBuf {
    const TYPE: &'static str = "path";
    const NEEDS: &'static str = "the path of a file";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.contains('\0') {
            return Err(Fault::new("needs the path of a file"));
        }
        Ok(Self::from(text))
    }
}

impl Read for bool {
    fn type_name() -> String {
        "bool".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Boolean(value) => Some(*value),
            Kind::Text { value, substituted: true }
                if matches!(value.as_str(), "true" | "false") =>
            {
                Some(value == "true")
            }
            Kind::Text { value, .. }
                if matches!(value.as_str(), "on" | "off" | "true" | "false") =>
            {
                let plain = matches!(value.as_str(), "on" | "true");
                let fault = Fault::new("needs a boolean")
                    .help(format!("write `{} = {plain}`, without quotes", cx.key));
                cx.fault(node, fault);
                None
            }
            _ => {
                cx.wrong_type(node, "`true` or `false`");
                None
            }
        }
    }

    fn schema() -> Value {
        or_substituted(&json!({ "type": "boolean" }))
    }
}

/// An integer from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Int<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Int<MIN, MAX> {
    /// The number; ranges without negatives fit every type that asks.
    pub(super) fn get<T: TryFrom<i64>>(self) -> T {
        T::try_from(self.0).ok().expect("the declared range fits the type it is read into")
    }

    fn from_i64(number: i64) -> Result<Self, Fault> {
        if number < MIN {
            return Err(Fault::new(format!("must be at least {MIN}")));
        }
        if number > MAX {
            return Err(Fault::new(format!("must be at most {MAX}")));
        }
        Ok(Self(number))
    }

    /// The number in a word of nginx's spelling.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let number = text.parse().map_err(|_| Fault::new("needs an integer"))?;
        Self::from_i64(number)
    }
}

impl<const MIN: i64, const MAX: i64> Read for Int<MIN, MAX> {
    fn type_name() -> String {
        "int".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let result = match &node.kind {
            Kind::Integer(number) => Self::from_i64(*number),
            Kind::Text { value, substituted: true } => Self::parse(value),
            Kind::Text { value, .. } if value.parse::<i64>().is_ok() => {
                Err(Fault::new("needs an integer").help("leave out the quotes"))
            }
            other => Err(Fault::new("needs an integer").cause(format!("found {}", other.name()))),
        };
        cx.check(node, result)
    }

    fn schema() -> Value {
        let mut schema = json!({ "type": "integer", "minimum": MIN });
        if MAX < i64::MAX {
            schema["maximum"] = json!(MAX);
        }
        or_substituted(&schema)
    }
}

/// `auto`, or how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workers(pub(super) Option<usize>);

impl Read for Workers {
    fn type_name() -> String {
        "int or \"auto\"".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Text { value, .. } if value == "auto" => Some(Self(None)),
            Kind::Text { substituted: false, .. } => {
                let fault = Fault::new("needs an integer or `\"auto\"`");
                cx.fault(node, fault);
                None
            }
            _ => Int::<1, 1024>::read(node, cx).map(|number| Self(Some(number.get()))),
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "const": "auto" }, Int::<1, 1024>::schema()] })
    }
}

const TIME_PATTERN: &str = r"^\s*(0|([0-9]+\s*(ms|y|M|w|d|h|m|s)\s*)+)$|\$\{(env|file):";

/// A time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) Duration);

impl FromText for Time {
    const TYPE: &'static str = "time";
    const NEEDS: &'static str = "a time such as `\"600s\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        units::duration(text).map(Self)
    }

    fn from_number(number: &str) -> Result<Self, Fault> {
        Err(units::no_time_unit(number))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": TIME_PATTERN })
    }
}

/// A time that is not zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeout(pub(super) Duration);

impl FromText for Timeout {
    const TYPE: &'static str = "time";
    const NEEDS: &'static str = "a time such as `\"600s\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        match units::duration(text)? {
            Duration::ZERO => Err(Fault::new("must be longer than zero")),
            time => Ok(Self(time)),
        }
    }

    fn from_number(number: &str) -> Result<Self, Fault> {
        Err(units::no_time_unit(number))
    }

    fn schema() -> Value {
        <Time as FromText>::schema()
    }
}

/// `off`, or a time that is not zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeOrOff(pub(super) Option<Duration>);

impl FromText for TimeOrOff {
    const TYPE: &'static str = "time or \"off\"";
    const NEEDS: &'static str = "a time such as `\"600s\"`, or `\"off\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text == "off" {
            return Ok(Self(None));
        }
        match units::duration(text)? {
            Duration::ZERO => {
                Err(Fault::new("must be longer than zero")
                    .help("to switch it off, write `\"off\"`"))
            }
            time => Ok(Self(Some(time))),
        }
    }

    fn from_number(number: &str) -> Result<Self, Fault> {
        Err(units::no_time_unit(number))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": format!("^off$|{TIME_PATTERN}") })
    }
}

const SIZE_PATTERN: &str = r"^\s*[0-9]+\s*([bB]|[kKmMgG]([iI][bB])?)?\s*$|\$\{(env|file):";

/// A size in bytes from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size<const MIN: u64, const MAX: u64>(pub(super) u64);

impl<const MIN: u64, const MAX: u64> FromText for Size<MIN, MAX> {
    const TYPE: &'static str = "size";
    const NEEDS: &'static str = "a size such as `\"16k\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let bytes = units::size(text)?;
        if bytes < MIN {
            return Err(Fault::new(format!("must be at least {}", shown_size(MIN))));
        }
        if bytes > MAX {
            return Err(Fault::new(format!("must be at most {}", shown_size(MAX))));
        }
        Ok(Self(bytes))
    }

    fn from_number(number: &str) -> Result<Self, Fault> {
        Err(units::no_size_unit(number))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": SIZE_PATTERN })
    }
}

fn shown_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}m", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}k", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// `off`, or a size; zero is off too, as in nginx.
#[derive(Clone, Copy, Debug)]
pub(super) struct SizeOrOff(pub(super) Option<u64>);

impl FromText for SizeOrOff {
    const TYPE: &'static str = "size or \"off\"";
    const NEEDS: &'static str = "a size such as `\"16k\"`, or `\"off\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text == "off" {
            return Ok(Self(None));
        }
        units::size(text).map(|bytes| Self((bytes > 0).then_some(bytes)))
    }

    fn from_number(number: &str) -> Result<Self, Fault> {
        Err(units::no_size_unit(number))
    }

    fn schema() -> Value {
        json!({ "type": "string", "pattern": format!("^off$|{SIZE_PATTERN}") })
    }
}

/// Percents.
pub(super) type Percent = Int<0, 100>;
