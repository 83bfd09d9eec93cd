//! A configuration's text and what is said of it.

use std::path::Path;

use wayhold::config::Format;
use wayhold::config::diagnostic::{Diagnostic, Diagnostics, Severity};
use wayhold::config::fuzzing::{self, INCLUDED, MAIN};

/// What stands between the main file and the included one.
const BORDER: &str = "\n#### included\n";

/// Loads a text, with its included file behind a line that says so, and checks the answer.
pub fn load_and_check(data: &[u8], format: Format) {
    let all = String::from_utf8_lossy(data);
    let (main, included) = all.split_once(BORDER).unwrap_or((&all, ""));
    match fuzzing::load(main, included.as_bytes(), format) {
        Ok(loaded) => {
            assert!(!loaded.warnings.has_errors(), "{}", loaded.warnings);
            assert!(!loaded.config.servers.is_empty(), "a configuration that does nothing");
            check(&loaded.warnings, main, included, format);
        }
        Err(faults) => {
            assert!(faults.has_errors(), "refused without a reason: {faults}");
            check(&faults, main, included, format);
        }
    }
}

fn check(diagnostics: &Diagnostics, main: &str, included: &str, format: Format) {
    for diagnostic in diagnostics {
        match diagnostic.file() {
            MAIN => check_place(diagnostic, main),
            INCLUDED => check_place(diagnostic, included),
            // A line for every other file that an nginx.conf names.
            other if format == Format::Nginx => {
                let name = Path::new(other).file_name().unwrap_or_default();
                check_place(diagnostic, &format!("{}\n", name.to_string_lossy()));
            }
            other => panic!("`{other}` was not read: {diagnostic}"),
        }
        let message = diagnostic.message();
        assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
        let shown = diagnostic.to_string();
        let level = match (diagnostic.severity(), format) {
            (Severity::Error, Format::Nginx) => "wayhold: [emerg]",
            (Severity::Error, Format::Toml) => "error",
            (Severity::Warning, Format::Nginx) => "wayhold: [warn]",
            (Severity::Warning, Format::Toml) => "warning",
        };
        assert!(shown.starts_with(level) && shown.contains(diagnostic.file()), "{shown}");
    }
    for colour in [false, true] {
        assert_eq!(diagnostics.render(colour).is_empty(), diagnostics.is_empty());
    }
}

fn check_place(diagnostic: &Diagnostic, text: &str) {
    let span = diagnostic.span();
    assert!(text.get(span.clone()).is_some(), "{span:?} of {}: {diagnostic}", text.len());
    let (mut line, mut column) = (1, 1);
    for character in text[..span.start].chars() {
        column += 1;
        if character == '\n' {
            (line, column) = (line + 1, 1);
        }
    }
    assert_eq!((diagnostic.line(), diagnostic.column()), (line, column), "{diagnostic}");
    let location = format!("{}:{line}:{column}", diagnostic.file());
    assert_eq!(diagnostic.location(), location);
}
