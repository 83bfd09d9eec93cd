//! A tree as TOML: what another language said, for people to read and go on with. Loaded again, it
//! becomes the same configuration.

use std::fmt::Write as _;

use super::tree::{Kind, Node, Table};

/// Tables of so many plain values stand on their key's line.
const SMALL: usize = 2;
/// Lists longer than this stand on lines of their own.
const WIDTH: usize = 96;

/// The tree as TOML.
pub(super) fn toml(table: &Table) -> String {
    let mut out = String::new();
    section(table, "", &mut out);
    out
}

/// Keys first, then tables, then tables that repeat: what stands behind a header belongs to it.
fn section(table: &Table, path: &str, out: &mut String) {
    let (mut tables, mut repeated) = (Vec::new(), Vec::new());
    for (key, node) in &table.entries {
        match &node.kind {
            Kind::Table(inner) if !is_small(inner) => tables.push((key, inner)),
            Kind::Array(list) if list.iter().any(|item| matches!(item.kind, Kind::Table(_))) => {
                repeated.push((key, list));
            }
            _ => {
                let _ = writeln!(out, "{} = {}", bare(&key.name), inline(node));
            }
        }
    }
    for (key, inner) in tables {
        let path = join(path, &key.name);
        // a table of tables needs no header of its own
        if inner.entries.iter().any(|(_, node)| !is_section(node)) {
            let _ = write!(out, "\n[{path}]\n");
        }
        section(inner, &path, out);
    }
    for (key, list) in repeated {
        let path = join(path, &key.name);
        for item in list {
            if let Kind::Table(inner) = &item.kind {
                let _ = write!(out, "\n[[{path}]]\n");
                section(inner, &path, out);
            }
        }
    }
}

fn is_section(node: &Node) -> bool {
    matches!(&node.kind, Kind::Table(table) if !is_small(table))
}

/// Whether a table fits into a line.
fn is_small(table: &Table) -> bool {
    let plain = |node: &Node| !matches!(node.kind, Kind::Table(_) | Kind::Array(_));
    table.entries.len() <= SMALL && table.entries.iter().all(|(_, node)| plain(node))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { bare(key) } else { format!("{path}.{}", bare(key)) }
}

fn inline(node: &Node) -> String {
    match &node.kind {
        Kind::Text { value, .. } => quoted(value),
        Kind::Integer(number) => number.to_string(),
        Kind::Boolean(value) => value.to_string(),
        Kind::Array(list) => {
            let items: Vec<_> = list.iter().map(inline).collect();
            let line = format!("[{}]", items.join(", "));
            if line.len() <= WIDTH { line } else { format!("[\n    {},\n]", items.join(",\n    ")) }
        }
        Kind::Table(table) => {
            let entry = |(key, node): &(super::tree::Key, Node)| {
                format!("{} = {}", bare(&key.name), inline(node))
            };
            let entries: Vec<_> = table.entries.iter().map(entry).collect();
            if entries.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", entries.join(", "))
            }
        }
        // no other language has them
        Kind::Float | Kind::Datetime | Kind::Broken => "\"\"".to_owned(),
    }
}

/// A key, in quotes where it needs them.
fn bare(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(plain) { key.to_owned() } else { quoted(key) }
}

/// A string: with backslashes in it, in single quotes where that is possible.
fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains('\'') && !text.contains(char::is_control) {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::source::Source;
    use super::*;

    fn parsed(text: &str) -> Table {
        let (table, errors) = Table::parse(&Arc::new(Source::test(text)));
        assert!(errors.is_empty(), "{text}\n{errors:?}");
        table
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let text = "a = \"x\"\nb = [\"1\", \"2\"]\nc = {}\nd = { e = true, f = 3 }\n\
                    \"g h\" = 'i\\j'\nk = \"'\\\\\\n\\u0001\\\"\"\n\n[t]\na = 1\nb = 2\nc = 3\n\n\
                    [up.one]\nx = 1\ny = 2\nz = 3\n\n[[s]]\nn = \"1\"\n\n[[s.l]]\np = \"/\"\n\n\
                    [s.l.h]\na = \"1\"\nb = \"2\"\nc = \"3\"\n\n[[s]]\nn = \"2\"\n";
        assert_eq!(toml(&parsed(text)), text);
    }

    #[test]
    fn long_lists_stand_on_lines_of_their_own() {
        let items: Vec<_> = (0..40).map(|n| format!("\"{n}\"")).collect();
        let printed = toml(&parsed(&format!("a = [{}]\n", items.join(", "))));
        assert!(printed.lines().count() > 40, "{printed}");
        assert_eq!(toml(&parsed(&printed)), printed);
    }
}
