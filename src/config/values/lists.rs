//! One or many values, tables that repeat, tables by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::diagnostic::Diagnostic;
use crate::config::read::{Fault, Read, Reader};
use crate::config::source::{At, Place};
use crate::config::tree::{Kind, Node};

/// One value, or an array of them.
#[derive(Clone, Debug)]
pub(in crate::config) struct List<T>(pub(in crate::config) Vec<At<T>>);

impl<T> List<T> {
    /// The values, places and all.
    pub(in crate::config) fn iter(&self) -> std::slice::Iter<'_, At<T>> {
        self.0.iter()
    }

    /// Whether it is empty.
    pub(in crate::config) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Read> Read for List<T> {
    fn type_name() -> String {
        format!("{}, or a list", T::type_name())
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Array(items) = &node.kind else {
            return T::read(node, cx).map(|value| Self(vec![At::new(value, &node.place)]));
        };
        let read: Vec<_> = items
            .iter()
            .filter_map(|item| T::read(item, cx).map(|value| At::new(value, &item.place)))
            .collect();
        // a list with nothing but faults is no empty list
        (items.is_empty() || !read.is_empty()).then_some(Self(read))
    }

    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "type": "array", "items": T::schema() }] })
    }
}

/// `[[section]]`, any number of times.
#[derive(Clone, Debug)]
pub(in crate::config) struct Tables<T>(pub(in crate::config) Vec<At<T>>);

impl<T: Read> Read for Tables<T> {
    fn type_name() -> String {
        "tables".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let key = cx.key.clone();
        match &node.kind {
            Kind::Array(items) => Some(Self(
                items
                    .iter()
                    .filter_map(|item| T::read(item, cx).map(|value| At::new(value, &item.place)))
                    .collect(),
            )),
            Kind::Table(_) => {
                let written = node.place.text().trim_matches(['[', ']']);
                let header =
                    if written.contains('\n') || !written.ends_with(&key) { &key } else { written };
                let fault = Fault::new("may stand several times")
                    .cause("found a single table")
                    .help(format!("write its header with two brackets: `[[{header}]]`"));
                cx.fault(node, fault);
                None
            }
            _ => {
                cx.wrong_type(node, &format!("tables, each with the header `[[{key}]]`"));
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// `[section.NAME]`, for any name.
#[derive(Clone, Debug)]
pub(in crate::config) struct Named<T>(pub(in crate::config) BTreeMap<String, NamedTable<T>>);

/// One of them.
#[derive(Clone, Debug)]
pub(in crate::config) struct NamedTable<T> {
    /// Where its name stands.
    pub(in crate::config) name: Place,
    /// Its content.
    pub(in crate::config) value: T,
}

impl<T: Read> Read for Named<T> {
    fn type_name() -> String {
        "tables by name".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let outer = cx.key.clone();
        let Kind::Table(table) = &node.kind else {
            let fault = Fault::new("needs a name")
                .cause(format!("found {}", node.kind.name()))
                .help(format!("write its header with the name in it: `[{outer}.NAME]`"));
            cx.fault(node, fault);
            return None;
        };
        let mut named = BTreeMap::new();
        for (key, item) in &table.entries {
            if !matches!(item.kind, Kind::Table(_)) {
                let message = format!("`[{outer}]` has no name");
                let help = format!("write its header with the name in it: `[{outer}.NAME]`");
                cx.out.push(Diagnostic::error(&node.place, message).help(help));
                return None;
            }
            if let Some(value) = cx.with_key(&key.name, |cx| T::read(item, cx)) {
                let name = key.place.clone();
                named.insert(key.name.clone(), NamedTable { name, value });
            }
        }
        Some(Self(named))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}
