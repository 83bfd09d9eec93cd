//! Any text at all: no panic, and every diagnostic stands inside its file.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::{Machine, config};
use crate::config::diagnostic::Diagnostics;
use crate::config::{Format, load_str_on};

/// Pieces that reach deep into the reader when they meet.
const PIECES: &[&str] = &[
    "[[server]]\n",
    "[server]\n",
    "[[server.location]]\n",
    "[server.location.websocket]\n",
    "[server.location.proxy_set_header]\n",
    "[upstream.chat]\n",
    "[[map]]\n",
    "[[geo]]\n",
    "[metrics]\n",
    "[server.location.websocket.close_codes]\n",
    "listen = ",
    "server_name = ",
    "path = ",
    "proxy_pass = ",
    "return = ",
    "servers = ",
    "balance = ",
    "source = ",
    "variable = ",
    "values = ",
    "allow = ",
    "deny = ",
    "ssl_certificate = ",
    "include = ",
    "access_log = ",
    "worker_connections = ",
    "idle_timeout = ",
    "max_buffer = ",
    "drain = ",
    "Host = ",
    "pid = ",
    "proxy_set_header = ",
    "allowed_origins = ",
    "shutdown_timeout = ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "= ",
    "\"80\"",
    "\"443 ssl\"",
    "\"127.0.0.1:1 weight=2 backup\"",
    "\"/ws\"",
    "\"~ ^/(\"",
    "\"http://chat/ws\"",
    "\"http://unix:/a:/b\"",
    "\"$host ${\"",
    "\"$a\"",
    "\"${env:X}\"",
    "\"${file:x\"",
    "\"10.0.0.0/8\"",
    "\"301 $uri\"",
    "\"1h30m\"",
    "\"99y\"",
    "\"16k\"",
    "0",
    "-1",
    "1.5",
    "99999999999999999999",
    "true",
    "1979-05-27",
    "\"ü\u{0}\"",
    "\"",
    "'",
    "\\",
    "#",
    "ü",
    "\r\n",
    "\n",
    "\n",
    "\n",
    " ",
    "\u{feff}",
    "{ address = \"80\", ssl = true }",
    "{ status = 200, body = \"x\" }",
];

fn check_spans(diagnostics: &Diagnostics, text: &str) -> Result<(), TestCaseError> {
    for diagnostic in diagnostics {
        let span = diagnostic.span();
        prop_assert!(text.get(span.clone()).is_some(), "{span:?} of {}: {diagnostic}", text.len());
        let line = text.lines().nth(diagnostic.line() - 1).unwrap_or_default();
        prop_assert!(diagnostic.column() <= line.chars().count() + 2, "{diagnostic}");
        prop_assert!(!diagnostic.message().contains('\n'), "{diagnostic}");
    }
    let rendered = diagnostics.render(false);
    prop_assert_eq!(rendered.is_empty(), diagnostics.is_empty());
    Ok(())
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let machine = Machine::default();
    match load_str_on(text, Format::Toml, "fuzz.toml", Path::new("/etc/wayhold"), &machine) {
        Ok(loaded) => {
            prop_assert!(!loaded.config.servers.is_empty());
            check_spans(&loaded.warnings, text)
        }
        Err(faults) => {
            prop_assert!(faults.has_errors());
            check_spans(&faults, text)
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_pieces_are_answered(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn a_good_text_with_a_hole_is_answered(at in 0usize..600, length in 0usize..20) {
        let text = include_str!("typical.toml");
        let cut = |at: usize| (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let (start, end) = (cut(at), cut(at + length));
        check(&format!("{}{}", &text[..start], &text[end..]))?;
    }
}

#[test]
fn the_text_with_the_hole_is_good_without_it() {
    config(include_str!("typical.toml"));
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("pid = {}", "[".repeat(100_000));
    assert!(super::read(&text).is_err());
}

#[test]
fn a_long_chain_of_maps_is_refused() {
    let mut maps = String::new();
    for n in 0..2000 {
        writeln!(maps, "[[map]]\nsource = \"$v{}\"\nvariable = \"v{n}\"", n + 1).unwrap();
    }
    let faults =
        super::read(&format!("{maps}[[server]]\nlisten = 80\nreturn = 404\n")).unwrap_err();
    assert!(faults.to_string().contains("variables refer to each other in a row"), "{faults}");
}
