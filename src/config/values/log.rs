//! `error_log` and `access_log`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Int, Size, Time};
use crate::config::model::{Escape, LogBuffer, LogCache, LogLevel};
use crate::config::read::{Fault, FromText, Read, Reader, one_of};
use crate::config::section::{read_section, section};
use crate::config::source::At;
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

impl FromText for Escape {
    const TYPE: &'static str = "default, json or none";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &[("default", Self::Default), ("json", Self::Json), ("none", Self::None)])
    }

    fn schema() -> Value {
        json!({ "enum": ["default", "json", "none"] })
    }
}

section! {
    /// The line of a log, with variables.
    struct LogFormatTable as "a format of `log_format` as a table" {
        /// The line.
        line: String { required(); "log_format"; A }
        /// How values are escaped: `"default"` writes `\\xXX`, `"json"` as in a string of JSON, `"none"` nothing.
        escape: Escape { default("default"); "escape="; A }
    }
}

/// Formats by name.
#[derive(Clone, Debug)]
pub(in crate::config) struct LogFormats(
    pub(in crate::config) BTreeMap<String, (At<String>, Escape)>,
);

impl Read for LogFormats {
    fn type_name() -> String {
        "table of name = line, or table".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Table(table) = &node.kind else {
            cx.wrong_type(node, "a table such as `{ short = \"$remote_addr $status\" }`");
            return None;
        };
        let mut formats = BTreeMap::new();
        for (key, value) in &table.entries {
            let format = if matches!(value.kind, Kind::Table(_)) {
                let LogFormatTable { line, escape } = read_section(value, cx)?;
                if line.is_absent() {
                    cx.fault(value, Fault::new("needs a `line`").cause("the table has none"));
                }
                (line.get()?.clone(), escape.copied().unwrap_or_default())
            } else {
                let line =
                    cx.with_key(&key.name, |cx| cx.text(value, "a line").map(str::to_owned))?;
                (At::new(line, &value.place), Escape::Default)
            };
            formats.insert(key.name.clone(), format);
        }
        Some(Self(formats))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": {
            "anyOf": [{ "type": "string" }, LogFormatTable::schema()],
        } })
    }
}

section! {
    /// Where to log, and what.
    struct AccessLogTable as "`access_log` as a table" {
        /// The file, with variables: then each line goes to the one they name, if its folder is there.
        path: PathBuf { required(); "access_log"; A }
        /// `combined` is nginx's; `json` is one object a line, with all that is known of a tunnel; others are
        /// those of `log_format`.
        format: String { default("combined"); "log_format"; A }
        /// A value with variables: what it is empty or `0` for is not logged.
        r#if: String { unset("everything is logged"); "if="; A }
        /// Tunnels get a line when they open too, not only when they end.
        open: bool { default(false); "–"; A }
        /// Lines are gathered up to so many bytes before they are written.
        buffer: Size<1024, 1_073_741_824> { unset("written as soon as possible; `64k` with `gzip`"); "buffer="; A }
        /// They wait for no more than this.
        flush: Time { unset("as long as it takes"); "flush="; A }
        /// They are compressed, from 1, fast, to 9, small.
        gzip: Int<1, 9> { unset("plain text"); "gzip="; A }
    }
}

impl FromText for LogCache {
    const TYPE: &'static str = "off, or max=N inactive=TIME min_uses=N valid=TIME";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let fault = || {
            Fault::new("needs how many files stay open")
                .help("write such as `\"max=1000 inactive=20s min_uses=2 valid=1m\"`")
        };
        let mut cache = Self {
            max: 0,
            inactive: Duration::from_secs(10),
            min_uses: 1,
            valid: Duration::from_secs(60),
        };
        if text == "off" {
            return Ok(cache);
        }
        for word in text.split_whitespace() {
            match word.split_once('=').ok_or_else(fault)? {
                ("max", number) => cache.max = number.parse().map_err(|_| fault())?,
                ("min_uses", number) => cache.min_uses = number.parse().map_err(|_| fault())?,
                ("inactive", time) => cache.inactive = Time::from_text(time)?.0,
                ("valid", time) => cache.valid = Time::from_text(time)?.0,
                _ => return Err(fault()),
            }
        }
        if cache.max == 0 { Err(fault()) } else { Ok(cache) }
    }
}

/// What is gathered for `gzip`.
const DEFAULT_BUFFER: u64 = 64 * 1024;

/// `off`, or where to log.
#[derive(Clone, Debug)]
pub(in crate::config) enum AccessLogValue {
    Off,
    To(Box<LogTo>),
}

/// Where to log.
#[derive(Clone, Debug)]
pub(in crate::config) struct LogTo {
    pub(in crate::config) path: PathBuf,
    pub(in crate::config) format: Option<At<String>>,
    pub(in crate::config) open: bool,
    pub(in crate::config) condition: Option<At<String>>,
    pub(in crate::config) buffer: Option<LogBuffer>,
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
        if let Some((path, format)) = text.rsplit_once(' ') {
            return Err(Fault::new("takes the path only").help(format!(
                "write `access_log = {{ path = \"{path}\", format = \"{format}\" }}`"
            )));
        }
        let path = PathBuf::from_text(text)?;
        Ok(Self::To(Box::new(LogTo {
            path,
            format: None,
            open: false,
            condition: None,
            buffer: None,
        })))
    }

    fn from_table(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let AccessLogTable { path, format, r#if, open, buffer, flush, gzip } =
            read_section(node, cx)?;
        if path.is_absent() {
            let fault = Fault::new("needs a `path`").cause("the table has none");
            cx.fault(node, fault.help("write `{ path = \"/var/log/wayhold/access.log\" }`"));
        }
        let size = buffer.get().map(|size| size.0).or(gzip.get().map(|_| DEFAULT_BUFFER));
        if size.is_none() && !flush.is_absent() {
            let fault = Fault::new("needs a `buffer` where it has `flush`");
            cx.fault(node, fault.help("write such as `buffer = \"64k\"`"));
        }
        let told = path.get().is_some_and(|path| path.to_string_lossy().contains('$'));
        if size.is_some() && told {
            let fault = Fault::new("cannot gather lines for files that variables name");
            cx.fault(node, fault.help("leave `buffer`, `flush` and `gzip` out"));
        }
        let buffer = size.map(|size| LogBuffer {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            flush: flush.copied().map(|time| time.0),
            gzip: gzip.copied().map(Int::get),
        });
        Some(Self::To(Box::new(LogTo {
            path: path.get()?.value.clone(),
            format: format.get().cloned(),
            open: open.copied().unwrap_or(false),
            condition: r#if.get().cloned(),
            buffer,
        })))
    }
}
