//! What is said about a text that is no TOML. nginx's own syntax is recognised and answered with the
//! TOML for it.

use super::diagnostic::{Diagnostic, Diagnostics, quote};
use super::source::Place;

/// Errors of one text that are looked at: junk has one for every byte.
const MOST: usize = 200;

/// Reports the errors of one text, at most one for each line.
pub(super) fn report(errors: &[(String, Place)], out: &mut Diagnostics) {
    let mut last_line = 0;
    for (message, place) in errors.iter().take(MOST) {
        let line = place.line();
        if line == last_line {
            continue;
        }
        last_line = line;
        if let Some(help) = nginx_line(place.whole_line()) {
            // the rest of the file is nginx's too: one answer shows how it goes
            out.push(
                Diagnostic::error(place, "this is nginx's syntax: Wayhold is configured in TOML")
                    .help(help),
            );
            return;
        }
        out.push(explain(message, place));
    }
}

fn explain(message: &str, place: &Place) -> Diagnostic {
    let found = place.text().trim();
    match message {
        _ if message.starts_with("duplicate key") => {
            let help = if found.is_empty() || place.whole_line().trim_start().starts_with('[') {
                "keep one of them; headers of things that repeat have two brackets: `[[server]]`"
                    .to_owned()
            } else {
                format!("keep one of them; several values are a list: `{found} = [\"…\", \"…\"]`")
            };
            Diagnostic::error(place, format!("{} stands here twice", quote(found))).help(help)
        }
        _ if message.contains("escape") => Diagnostic::error(
            place,
            "not valid TOML: the backslash escapes nothing",
        )
        .help(
            "in single quotes a backslash stands for itself: `'~ \\.php$'`; in double quotes it \
                 is written twice",
        ),
        _ if message.contains("must be quoted") && !found.is_empty() => {
            Diagnostic::error(place, "not valid TOML: a string needs quotes")
                .help(format!("write `\"{found}\"`"))
        }
        _ => Diagnostic::error(place, tidy(message)),
    }
}

/// The parser's words the way messages are written here.
fn tidy(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let mut chars = first.chars();
    let lower = chars.next().map(|c| c.to_lowercase().chain(chars).collect::<String>());
    format!("not valid TOML: {}", lower.unwrap_or_default())
}

/// The TOML for a line in nginx's syntax: a block's beginning, or a directive.
fn nginx_line(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(block) = line.strip_suffix('{') {
        return nginx_block(block.trim());
    }
    let directive = line.strip_suffix(';')?;
    let (name, value) = directive.split_once(char::is_whitespace)?;
    if name.contains('=') || value.trim_start().starts_with('=') {
        return None;
    }
    let value = value.trim().trim_matches(['"', '\'']);
    Some(format!("write `{name} = \"{value}\"`, without a semicolon"))
}

fn nginx_block(block: &str) -> Option<String> {
    if block.contains('=') && !block.starts_with("location") {
        return None;
    }
    let mut words = block.split_whitespace();
    let name = words.next()?;
    let rest = words.collect::<Vec<_>>().join(" ");
    Some(match name {
        "server" => "write the header `[[server]]`; its keys follow, without braces".to_owned(),
        "location" => format!(
            "write the header `[[server.location]]`, and below it `path = \"{rest}\"`, without braces"
        ),
        "upstream" => {
            format!("write the header `[upstream.{rest}]`, and below it `servers = [\"…\"]`")
        }
        "http" | "events" => {
            format!("leave the `{name}` block out: its keys stand at the top of the file")
        }
        "geo" => "write the header `[[geo]]`, with `variable` and `values`".to_owned(),
        "map" => "write the header `[[map]]`, with `source`, `variable` and `values`".to_owned(),
        _ => format!("write a header in brackets, such as `[{name}]`"),
    })
}
