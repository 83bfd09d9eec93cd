//! The logs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::template::Template;

/// nginx's levels of the error log, most severe last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Life signs.
    Info,
    /// Normal but worth knowing.
    Notice,
    /// Something is off.
    Warn,
    /// Something failed.
    #[default]
    Error,
    /// Something failed that the operator must act on.
    Crit,
}

/// The target of messages of [`LogLevel::Notice`], which tracing does not have: they are INFO there.
pub const NOTICE: &str = "notice";

impl LogLevel {
    /// The level below, but no more than life signs.
    #[must_use]
    pub const fn below(self) -> Self {
        match self {
            Self::Debug => Self::Debug,
            Self::Info | Self::Notice => Self::Info,
            Self::Warn => Self::Notice,
            Self::Error => Self::Warn,
            Self::Crit => Self::Error,
        }
    }
}

/// `access_log`.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// The file.
    pub path: LogPath,
    /// Lines are gathered before they are written.
    pub buffer: Option<LogBuffer>,
    /// The shape of a line.
    pub format: LogFormat,
    /// Tunnels are logged when they open too.
    pub open: bool,
    /// Only what this is neither empty nor `0` for is logged.
    pub condition: Option<Template>,
}

/// Which file a log is.
#[derive(Clone, Debug)]
pub enum LogPath {
    /// This one.
    File(PathBuf),
    /// One that variables name, and how many of those stay open.
    Told(Template, LogCache),
}

impl LogPath {
    /// The file, for a message.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Told(..) => PathBuf::from("(told by variables)"),
        }
    }
}

/// `open_log_file_cache`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCache {
    /// At most so many stay open; none with 0.
    pub max: usize,
    /// Until they have not been used for so long.
    pub inactive: Duration,
    /// From so many uses on.
    pub min_uses: u64,
    /// How long a file is believed to be the one of its name.
    pub valid: Duration,
}

/// How lines are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBuffer {
    /// Up to so many bytes,
    pub size: usize,
    /// and no longer than this.
    pub flush: Option<Duration>,
    /// They are compressed, so hard.
    pub gzip: Option<u32>,
}

/// `log_format`
#[derive(Clone, Debug)]
pub struct CustomFormat {
    /// The line.
    pub line: Template,
    /// How values are escaped in it.
    pub escape: Escape,
}

/// How values are escaped in a line of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Quotes, backslashes and what is not ASCII as `\xXX`.
    #[default]
    Default,
    /// As in a string of JSON.
    Json,
    /// Not at all.
    None,
}

/// Shapes of an access log line.
#[derive(Clone, Debug)]
pub enum LogFormat {
    /// nginx's `combined`.
    Combined,
    /// One JSON object.
    Json,
    /// A `log_format`.
    Custom(Arc<CustomFormat>),
}
