//! What must hold of every byte stream that reached an upstream, whatever the case was about.

use super::recorder::Seen;
use super::wire::pattern;

/// Tokens that may be left in `Connection`.
const TOKENS: [&str; 4] = ["", "close", "keep-alive", "upgrade"];
/// Fields that may stand once only.
const SINGLE: [&str; 5] =
    ["host", "content-length", "transfer-encoding", "upgrade", "sec-websocket-key"];

/// The invariants that these connections break.
pub fn broken(seen: &[Seen]) -> Vec<String> {
    let mut faults: Vec<String> =
        seen.iter().flat_map(|seen| &seen.heads).flat_map(|head| of_head(head)).collect();
    faults.sort();
    faults.dedup();
    faults
}

fn of_head(head: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let without_ends = text.replace("\r\n", "");
    for (what, name) in [('\n', "bare LF"), ('\r', "bare CR"), ('\0', "NUL")] {
        if without_ends.contains(what) {
            faults.push(format!("{name} in a head"));
        }
    }
    if text.contains("\r\n ") || text.contains("\r\n\t") {
        faults.push("a folded field".to_owned());
    }
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let good = pattern(r"^[!#$%&'*+.^_`|~0-9A-Z-]+ [!-~\x80-\xff]+ HTTP/1\.[01]$");
    if !good.is_match(&head[..line.chars().count()]) {
        faults.push(format!("request line {line:?}"));
    }
    let mut fields = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && name.chars().all(is_token) => {
                fields.push((name.to_ascii_lowercase(), value.trim().to_ascii_lowercase()));
            }
            _ => faults.push(format!("field {line:?}")),
        }
    }
    of_fields(&fields, line, &mut faults);
    faults
}

fn of_fields(fields: &[(String, String)], line: &str, faults: &mut Vec<String>) {
    let has = |name: &str| fields.iter().any(|(n, _)| n == name);
    for name in SINGLE {
        let count = fields.iter().filter(|(n, _)| n == name).count();
        if count > 1 {
            faults.push(format!("{name} stands {count} times"));
        }
    }
    for (name, value) in fields {
        match name.as_str() {
            "content-length" if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) => {
                faults.push(format!("Content-Length: {value}"));
            }
            "transfer-encoding" if value != "chunked" => {
                faults.push(format!("Transfer-Encoding: {value}"));
            }
            "connection" => {
                let stray = value.split(',').find(|token| !TOKENS.contains(&token.trim()));
                faults.extend(stray.map(|token| format!("Connection: {token}")));
            }
            _ => {}
        }
    }
    if !has("host") && line.contains("HTTP/1.1") {
        faults.push("no Host".to_owned());
    }
    if has("content-length") && has("transfer-encoding") {
        faults.push("Content-Length and Transfer-Encoding".to_owned());
    }
    let empty = fields.iter().any(|(name, value)| name == "content-length" && value == "0");
    if has("upgrade") && ((has("content-length") && !empty) || has("transfer-encoding")) {
        faults.push("an Upgrade with a body".to_owned());
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
