//! Sections of the configuration, each declared once: from one declaration come the raw struct, its
//! reader, its JSON Schema and its rows of the reference page, so that they cannot drift apart. The
//! defaults written there are the defaults in force.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::diagnostic::Diagnostics;
use super::hints;
use super::read::Reader;
use super::source::{Format, Source};
use super::tree::{Key, Kind, Node, Table};

/// What the reference page and the schema say about a key.
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) ty: String,
    pub(super) default: DefaultValue,
    pub(super) nginx: &'static str,
    pub(super) reload: &'static str,
    pub(super) doc: String,
    pub(super) schema: fn() -> Value,
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultValue {
    /// It has to be written.
    Required,
    /// This value, as TOML.
    Toml(&'static str),
    /// No value; this is what it means.
    Unset(&'static str),
}

/// A table of the configuration.
pub(super) trait Section: Sized + Default + Clone {
    /// How messages and the reference page call it: its header, or words.
    const TITLE: &'static str;

    /// The names of its own keys.
    const OWN_KEYS: &'static [&'static str];

    /// What it is.
    fn doc() -> String;

    /// The names of its own keys and of those it shares with other sections.
    fn keys() -> Vec<&'static str>;

    /// Its own keys.
    fn own_rows() -> Vec<Row>;

    /// Its own keys and those it shares with other sections.
    fn rows() -> Vec<Row>;

    /// Reads `node` into the field `key`; false when there is none of that name.
    fn accept(&mut self, key: &str, node: &Node, cx: &mut Reader<'_>) -> bool;

    /// The section in force inside of `outer`.
    fn or(&self, outer: &Self) -> Self;

    /// Reads a table.
    fn read_table(table: &Table, cx: &mut Reader<'_>) -> Self {
        let mut section = Self::default();
        for (key, node) in &table.entries {
            cx.with_key(&key.name, |cx| section.read_entry(key, node, cx));
        }
        section
    }

    /// Reads one key.
    fn read_entry(&mut self, key: &Key, node: &Node, cx: &mut Reader<'_>) {
        if !self.accept(&key.name, node, cx) {
            cx.out.push(hints::unknown_key(Self::TITLE, &Self::keys(), key));
        }
    }

    /// Every default of the schema.
    fn defaults() -> Self {
        let mut text = String::new();
        for row in Self::rows() {
            if let DefaultValue::Toml(value) = row.default {
                let _ = writeln!(text, "{} = {value}", row.key);
            }
        }
        let source = Arc::new(Source {
            index: usize::MAX,
            name: "the defaults".to_owned(),
            text,
            dir: PathBuf::new(),
            format: Format::Toml,
        });
        let (table, syntax) = Table::parse(&source);
        let mut out = Diagnostics::default();
        let mut cx = Reader { out: &mut out, key: String::new() };
        let defaults = Self::read_table(&table, &mut cx);
        debug_assert!(syntax.is_empty() && out.is_empty(), "{syntax:?} {out}");
        defaults
    }
}

/// Reads a node that has to be a table.
pub(super) fn read_section<S: Section>(node: &Node, cx: &mut Reader<'_>) -> Option<S> {
    if let Kind::Table(table) = &node.kind {
        return Some(S::read_table(table, cx));
    }
    cx.wrong_type(node, "a table");
    None
}

/// The JSON Schema of a section.
pub(super) fn schema_of<S: Section>() -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for row in S::rows() {
        let mut property = match (row.schema)() {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        property.insert("description".to_owned(), json!(row.doc));
        match row.default {
            DefaultValue::Required => required.push(row.key),
            DefaultValue::Toml(text) => {
                property.insert("default".to_owned(), toml_to_json(text));
            }
            DefaultValue::Unset(_) => {}
        }
        properties.insert(row.key.to_owned(), Value::Object(property));
    }
    let mut schema = json!({
        "description": S::doc(),
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn toml_to_json(text: &str) -> Value {
    let parsed: Option<toml::Table> = toml::from_str(&format!("v = {text}")).ok();
    let value = parsed.and_then(|mut table| table.remove("v"));
    value.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_default()
}

/// Doc comments as one text: lines joined, paragraphs kept.
pub(super) fn join_doc(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines.iter().map(|line| line.trim()) {
        match line {
            "" => text.push('\n'),
            _ if text.is_empty() || text.ends_with('\n') => text.push_str(line),
            _ => {
                text.push(' ');
                text.push_str(line);
            }
        }
    }
    text
}

/// The key of a field: `r#return` is `return`.
pub(super) const fn key_of(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Declares a section: doc comment, `struct Name as "title"`, the groups of keys it shares, and its
/// keys as `key: Type { default; "nginx's word"; reload }`, where the default is `required()`,
/// `default(VALUE)` (in TOML) or `unset("what that means")`.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        struct $name:ident as $title:literal $(with $($group:ident : $group_ty:ident),+)? {
            $(
                $(#[doc = $doc:literal])*
                $key:ident : $ty:ty { $kind:ident($($default:tt)*); $nginx:literal; $reload:ident }
            )*
        }
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug, Default)]
        #[allow(clippy::struct_field_names, reason = "fields are keys, and keys are nginx's words")]
        pub(in crate::config) struct $name {
            $($(pub(in crate::config) $group: $group_ty,)+)?
            $($(#[doc = $doc])* pub(in crate::config) $key: $crate::config::read::Field<$ty>,)*
        }

        impl $crate::config::section::Section for $name {
            const TITLE: &'static str = $title;

            const OWN_KEYS: &'static [&'static str] =
                &[$($crate::config::section::key_of(stringify!($key))),*];

            fn doc() -> String {
                $crate::config::section::join_doc(&[$($section_doc),*])
            }

            fn keys() -> Vec<&'static str> {
                #[allow(unused_mut, reason = "sections without groups have nothing to add")]
                let mut keys = Self::OWN_KEYS.to_vec();
                $($(keys.extend(<$group_ty as $crate::config::section::Section>::keys());)+)?
                keys
            }

            fn own_rows() -> Vec<$crate::config::section::Row> {
                vec![$($crate::config::section::Row {
                    key: $crate::config::section::key_of(stringify!($key)),
                    ty: <$ty as $crate::config::read::Read>::type_name(),
                    default: $crate::config::section::section!(@default $kind $($default)*),
                    nginx: $nginx,
                    reload: stringify!($reload),
                    doc: $crate::config::section::join_doc(&[$($doc),*]),
                    schema: <$ty as $crate::config::read::Read>::schema,
                }),*]
            }

            fn rows() -> Vec<$crate::config::section::Row> {
                #[allow(unused_mut, reason = "sections without groups have nothing to add")]
                let mut rows = Self::own_rows();
                $($(rows.extend(<$group_ty as $crate::config::section::Section>::rows());)+)?
                rows
            }

            fn accept(
                &mut self,
                key: &str,
                node: &$crate::config::tree::Node,
                cx: &mut $crate::config::read::Reader<'_>,
            ) -> bool {
                $(if key == $crate::config::section::key_of(stringify!($key)) {
                    self.$key = $crate::config::read::Field::read(node, cx);
                    return true;
                })*
                $($(if self.$group.accept(key, node, cx) {
                    return true;
                })+)?
                false
            }

            fn or(&self, outer: &Self) -> Self {
                Self {
                    $($($group: self.$group.or(&outer.$group),)+)?
                    $($key: self.$key.or(&outer.$key),)*
                }
            }
        }

        impl $crate::config::read::Read for $name {
            fn type_name() -> String {
                "table".to_owned()
            }

            fn read(
                node: &$crate::config::tree::Node,
                cx: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                $crate::config::section::read_section(node, cx)
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "$ref": concat!("#/$defs/", stringify!($name)) })
            }

            fn inherit(&self, outer: &Self) -> Self {
                $crate::config::section::Section::or(self, outer)
            }
        }
    };
    (@default required) => { $crate::config::section::DefaultValue::Required };
    (@default default $value:tt) => {
        $crate::config::section::DefaultValue::Toml(stringify!($value))
    };
    (@default unset $text:literal) => { $crate::config::section::DefaultValue::Unset($text) };
}
pub(super) use section;
