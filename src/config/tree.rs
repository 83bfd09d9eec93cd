//! A TOML text as a tree in which every key and value knows its place. Not here: what the keys mean
//! (`schema`) and what is said about broken TOML (`syntax`).

use std::collections::HashMap;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Diagnostics, quote};
use super::source::{Place, Source};

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A string; `substituted` when a `${…}` in it was replaced.
    Text { value: String, substituted: bool },
    /// An integer; those too large for the type are cut to its ends.
    Integer(i64),
    /// A float.
    Float,
    /// A boolean.
    Boolean(bool),
    /// A date or a time of day.
    Datetime,
    /// An array, of tables too.
    Array(Vec<Node>),
    /// A table of either spelling.
    Table(Table),
    /// A string in which a substitution failed, which was reported: nothing more is said about it.
    Broken,
}

impl Kind {
    /// The name of the type, with its article.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "a string",
            Self::Integer(_) => "an integer",
            Self::Float => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Broken => "nothing",
        }
    }
}

/// A key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) place: Place,
}

/// Keys and values in the order they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<(Key, Node)>,
}

impl Table {
    /// Parses `source`, recovering from errors; the errors come beside, as (message, place).
    pub(super) fn parse(source: &Arc<Source>) -> (Self, Vec<(String, Place)>) {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        let errors = errors
            .iter()
            .map(|error| {
                let end = source.text.len();
                let span = error.span().unwrap_or(end..end);
                (error.message().to_owned(), Place::new(source, span))
            })
            .collect();
        (Self::from_toml(table.into_inner(), source), errors)
    }

    fn from_toml(table: DeTable<'_>, source: &Arc<Source>) -> Self {
        let mut entries: Vec<_> = table
            .into_iter()
            .map(|(key, value)| {
                let place = Place::new(source, key.span());
                let name = key.into_inner().into_owned();
                (Key { name, place }, Node::from_toml(value, source))
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.place.order());
        Self { entries }
    }

    /// The value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    /// Takes in the top level of another file: arrays append, upstreams join, and nothing may be
    /// set twice.
    pub(super) fn merge(&mut self, other: Self, out: &mut Diagnostics) {
        self.absorb(other, |old_key, old, key, node| match (&mut old.kind, node.kind) {
            (Kind::Array(list), Kind::Array(more)) => list.extend(more),
            (Kind::Table(table), Kind::Table(more)) if key.name == "upstream" => {
                table.absorb(more, |old, _, key, _| out.push(defined_twice(&key, old)));
            }
            _ => out.push(set_twice(&key, old_key)),
        });
    }

    /// Takes in the entries of `other`; what has a key that is there already goes to `clash`.
    fn absorb(&mut self, other: Self, mut clash: impl FnMut(&Key, &mut Node, Key, Node)) {
        let names = self.entries.iter().enumerate();
        let known: HashMap<_, _> = names.map(|(at, (key, _))| (key.name.clone(), at)).collect();
        for (key, node) in other.entries {
            match known.get(&key.name) {
                Some(at) => {
                    let (old_key, old) = &mut self.entries[*at];
                    clash(old_key, old, key, node);
                }
                None => self.entries.push((key, node)),
            }
        }
    }
}

fn defined_twice(key: &Key, old: &Key) -> Diagnostic {
    let message = format!("upstream {} is defined twice", quote(&key.name));
    Diagnostic::error(&key.place, message)
        .label("the second definition")
        .see(&old.place, "the first is here")
        .help("rename one of them, or put all peers into one list of `servers`")
}

fn set_twice(key: &Key, old: &Key) -> Diagnostic {
    Diagnostic::error(&key.place, format!("{} is set in two files", quote(&key.name)))
        .label("set again here")
        .see(&old.place, "first set here")
        .help("keep one of them; only arrays and upstreams add up over included files")
}

impl Node {
    fn from_toml(value: toml::Spanned<DeValue<'_>>, source: &Arc<Source>) -> Self {
        let place = Place::new(source, value.span());
        let kind = match value.into_inner() {
            DeValue::String(text) => Kind::Text { value: text.into_owned(), substituted: false },
            DeValue::Integer(number) => Kind::Integer(integer(number.as_str(), number.radix())),
            DeValue::Float(_) => Kind::Float,
            DeValue::Boolean(value) => Kind::Boolean(value),
            DeValue::Datetime(_) => Kind::Datetime,
            DeValue::Array(list) => {
                Kind::Array(list.into_iter().map(|item| Self::from_toml(item, source)).collect())
            }
            DeValue::Table(table) => Kind::Table(Table::from_toml(table, source)),
        };
        Self { kind, place }
    }

    /// The text for messages: what it became, except that the content of a file, which may be a
    /// secret, is never shown.
    pub(super) fn shown(&self) -> &str {
        match &self.kind {
            Kind::Text { value, .. } if !self.place.is_from_file() => value,
            _ => self.place.text(),
        }
    }
}

fn integer(digits: &str, radix: u32) -> i64 {
    let cut = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
    i64::from_str_radix(digits, radix).unwrap_or(cut)
}
