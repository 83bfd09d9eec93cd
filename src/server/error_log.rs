//! The error log: nginx's lines, to standard error or a file that can be opened again.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::access_log::file::ReopenableFile;
use crate::config::model::{Config, LogLevel, NOTICE};

/// Where lines go.
#[derive(Debug)]
enum Target {
    Stderr,
    File(ReopenableFile),
}

/// The process's error log.
#[derive(Debug)]
pub(super) struct ErrorLog {
    target: Mutex<Target>,
    /// A [`LogLevel`]: what is less severe is left out.
    level: AtomicU8,
    /// Runs for each line: the time zone is looked up once.
    zone: jiff::tz::TimeZone,
}

impl ErrorLog {
    /// The one log of the process; from now on events go to it. Starts on standard error.
    pub(super) fn global() -> Arc<Self> {
        static LOG: OnceLock<Arc<ErrorLog>> = OnceLock::new();
        let start = || {
            let log = Arc::new(Self {
                target: Mutex::new(Target::Stderr),
                level: AtomicU8::new(LogLevel::Notice as u8),
                zone: jiff::tz::TimeZone::system(),
            });
            // Another subscriber of this process (a test's) keeps its place.
            let _other = tracing::subscriber::set_global_default(Events(Arc::clone(&log)));
            log
        };
        Arc::clone(LOG.get_or_init(start))
    }

    /// Follows `error_log` and `error_log_level`.
    pub(super) fn configure(&self, config: &Config) -> io::Result<()> {
        let mut target = self.target();
        let same = matches!(
            (&*target, &config.error_log),
            (Target::File(file), Some(path)) if file.path() == path
        );
        if !same {
            *target = match &config.error_log {
                None => Target::Stderr,
                Some(path) => Target::File(ReopenableFile::open(path)?),
            };
        }
        self.level.store(config.error_log_level as u8, Ordering::Relaxed);
        Ok(())
    }

    /// USR1: the file is opened again.
    pub(super) fn reopen(&self) {
        if let Target::File(file) = &mut *self.target()
            && let Err(error) = file.reopen()
        {
            eprintln!("the error log cannot be opened again: {}: {error}", file.path().display());
        }
    }

    fn target(&self) -> MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `2026/11/24 14:43:20 [error] 1234#0: message`
    fn write(&self, level: LogLevel, message: &str) {
        let now = jiff::Timestamp::now().to_zoned_datetime(self.zone.clone());
        let mut line = String::with_capacity(message.len() + 48);
        let pid = std::process::id();
        // Writing to a String does not fail.
        let _ok = write!(line, "{} [{}] {pid}#0: ", now.strftime("%Y/%m/%d %H:%M:%S"), word(level));
        line.push_str(message);
        line.push('\n');
        // If it fails, there is nowhere left to complain.
        let _lost = match &mut *self.target() {
            Target::Stderr => io::stderr().write_all(line.as_bytes()),
            Target::File(file) => file.write_all(line.as_bytes()),
        };
    }
}

/// tracing's levels in nginx's words; INFO of the target `notice` is a notice.
fn level_of(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO if metadata.target() == NOTICE => LogLevel::Notice,
        Level::INFO => LogLevel::Info,
        Level::DEBUG | Level::TRACE => LogLevel::Debug,
    }
}

const fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Notice => "notice",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
        LogLevel::Crit => "crit",
    }
}

/// tracing's events, as lines of the log. There are no spans.
struct Events(Arc<ErrorLog>);

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries are heard when something is off, or when everything is wanted.
        let level = level_of(metadata);
        let ours = metadata.target().starts_with("wayhold") || metadata.target() == NOTICE;
        let least = self.0.level.load(Ordering::Relaxed);
        level as u8 >= least && (ours || level >= LogLevel::Warn || least == 0)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.0.write(level_of(event.metadata()), &message.whole());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The text of an event.
#[derive(Default)]
struct Message {
    text: String,
    /// The field `lines`: what is wrong with a configuration is shown in several.
    lines: String,
}

impl Message {
    /// One event is one line, whatever a client made us say.
    fn whole(self) -> String {
        let visible = |c: char| if c.is_control() { '?' } else { c };
        let mut whole: String = self.text.chars().map(visible).collect();
        for line in self.lines.lines() {
            if !whole.is_empty() {
                whole.push('\n');
            }
            whole.extend(line.chars().map(visible));
        }
        whole
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ok = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            "lines" => write!(self.lines, "{value:?}"),
            _ => write!(self.text, " {field}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_configurations_errors_have_lines() {
        let whole = |text: &str, lines: &str| {
            Message { text: text.to_owned(), lines: lines.to_owned() }.whole()
        };
        assert_eq!(whole("a\n2026/01/01 [error] \x1b[2J", ""), "a?2026/01/01 [error] ?[2J");
        assert_eq!(whole("not used:", "a\n\tb"), "not used:\na\n?b");
        assert_eq!(whole("", "a\nb"), "a\nb");
    }
}
