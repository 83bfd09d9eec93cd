//! Any text is answered: with a configuration, or with errors that each stand inside a file that was
//! read, at the line and column that they tell; and showing them never fails. The input may have an
//! included file, behind a line that says so.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wayhold::config::diagnostic::{Diagnostic, Diagnostics, Severity};
use wayhold::config::fuzzing::{self, INCLUDED, MAIN};

/// What stands between the main file and the included one.
const BORDER: &str = "\n#### included\n";

fuzz_target!(|data: &[u8]| {
    let all = String::from_utf8_lossy(data);
    let (main, included) = all.split_once(BORDER).unwrap_or((&all, ""));
    match fuzzing::load(main, included.as_bytes()) {
        Ok(loaded) => {
            assert!(!loaded.warnings.has_errors(), "{}", loaded.warnings);
            assert!(!loaded.config.servers.is_empty(), "a configuration that does nothing");
            check(&loaded.warnings, main, included);
        }
        Err(faults) => {
            assert!(faults.has_errors(), "refused without a reason: {faults}");
            check(&faults, main, included);
        }
    }
});

fn check(diagnostics: &Diagnostics, main: &str, included: &str) {
    for diagnostic in diagnostics {
        match diagnostic.file() {
            MAIN => check_place(diagnostic, main),
            INCLUDED => check_place(diagnostic, included),
            other => panic!("`{other}` was not read: {diagnostic}"),
        }
        let message = diagnostic.message();
        assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
        let shown = diagnostic.to_string();
        let level = match diagnostic.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
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
