//! `error_log` and `access_log`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::config::model::{LogFormat, LogLevel};
use crate::config::read::{Fault, FromText, Read, Reader, one_of};
use crate::config::section::{read_section, section};
use crate::config::tree::{Kind, Node};

/// Levels by nginx's names.
const LEVELS: [(&str, LogLevel); 6] = [
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("notice", LogLevel::Notice),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("crit", LogLevel::Crit),
];

impl FromText for LogLevel {
    const TYPE: &'static str = "debug, info, notice, warn, error or crit";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &LEVELS)
    }

    fn schema() -> Value {
        json!({ "enum": LEVELS.map(|(name, _)| name) })
    }
}

/// Where the error log goes; `None` is standard error.
#[derive(Clone, Debug)]
pub(in crate::config) struct ErrorLog(pub(in crate::config) Option<PathBuf>);

impl FromText for ErrorLog {
    const TYPE: &'static str = "path or \"stderr\"";
    const NEEDS: &'static str = "a path, or `\"stderr\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text == "stderr" {
            return Ok(Self(None));
        }
        if text == "syslog" || text.starts_with("syslog:") {
            return Err(Fault::new("cannot go to syslog yet").help("write a path or `\"stderr\"`"));
        }
        if let Some((path, level)) = text.rsplit_once(' ')
            && LEVELS.iter().any(|(name, _)| *name == level)
        {
            return Err(Fault::new("takes the path only").help(format!(
                "write `error_log = \"{path}\"` and `error_log_level = \"{level}\"`"
            )));
        }
        PathBuf::from_text(text).map(|path| Self(Some(path)))
    }
}

impl FromText for LogFormat {
    const TYPE: &'static str = "combined or json";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &[("combined", Self::Combined), ("json", Self::Json)]).map_err(|_| {
            Fault::new("knows no such format").help(
                "write `\"combined\"` or `\"json\"`; formats of your own are not supported yet",
            )
        })
    }

    fn schema() -> Value {
        json!({ "enum": ["combined", "json"] })
    }
}

section! {
    /// Where to log, and what.
    struct AccessLogTable as "`access_log` as a table" {
        /// The file.
        path: PathBuf { required(); "access_log"; A }
        /// `combined` is nginx's; `json` is one object a line, with all that is known of a tunnel.
        format: LogFormat { default("combined"); "log_format"; A }
        /// Tunnels get a line when they open too, not only when they end.
        open: bool { default(false); "–"; A }
    }
}

/// `off`, or where to log.
#[derive(Clone, Debug)]
pub(in crate::config) enum AccessLogValue {
    Off,
    To { path: PathBuf, format: LogFormat, open: bool },
}

impl Read for AccessLogValue {
    fn type_name() -> String {
        "path, \"off\" or table".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Text { value, .. } => {
                let result = Self::from_words(value);
                cx.check(node, result)
            }
            Kind::Table(_) => Self::from_table(node, cx),
            _ => {
                cx.wrong_type(node, "a path, `\"off\"`, or a table");
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "type": "string" }, AccessLogTable::schema()] })
    }
}

impl AccessLogValue {
    fn from_words(text: &str) -> Result<Self, Fault> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some((path, format)) = text.rsplit_once(' ')
            && LogFormat::from_text(format).is_ok()
        {
            return Err(Fault::new("takes the path only").help(format!(
                "write `access_log = {{ path = \"{path}\", format = \"{format}\" }}`"
            )));
        }
        Ok(Self::To { path: PathBuf::from_text(text)?, format: LogFormat::Combined, open: false })
    }

    fn from_table(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let AccessLogTable { path, format, open } = read_section(node, cx)?;
        if path.is_absent() {
            let fault = Fault::new("needs a `path`").cause("the table has none");
            cx.fault(node, fault.help("write `{ path = \"/var/log/wayhold/access.log\" }`"));
        }
        Some(Self::To {
            path: path.get()?.value.clone(),
            format: format.copied().unwrap_or(LogFormat::Combined),
            open: open.copied().unwrap_or(false),
        })
    }
}
