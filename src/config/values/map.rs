//! `values` of a `map`: results by value or by regular expression.

use regex::Regex;
use serde_json::{Value, json};

use super::regex;
use crate::config::diagnostic::Diagnostic;
use crate::config::read::{Read, Reader};
use crate::config::source::At;
use crate::config::tree::{Key, Kind, Node};

/// What a result is for.
#[derive(Clone, Debug)]
pub(in crate::config) enum MapKey {
    /// A value, in lower case: nginx compares so.
    Exact(String),
    /// `~re` or `~*re`.
    Pattern(Regex),
}

/// Results in the order written.
#[derive(Clone, Debug)]
pub(in crate::config) struct MapValues(pub(in crate::config) Vec<(At<MapKey>, At<String>)>);

impl Read for MapValues {
    fn type_name() -> String {
        "table of value = result".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Table(table) = &node.kind else {
            cx.wrong_type(node, "a table such as `{ websocket = \"upgrade\" }`");
            return None;
        };
        let mut values = Vec::new();
        for (key, value) in &table.entries {
            let result = cx.with_key(&key.name, |cx| cx.text(value, "a string").map(str::to_owned));
            if let (Some(map_key), Some(text)) = (read_key(key, cx), result) {
                values.push((At::new(map_key, &key.place), At::new(text, &value.place)));
            }
        }
        Some(Self(values))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

fn read_key(key: &Key, cx: &mut Reader<'_>) -> Option<MapKey> {
    if let Some(help) = special_word(&key.name) {
        let message = format!("`{}` is no value here", key.name);
        cx.out.push(Diagnostic::error(&key.place, message).help(help));
        return None;
    }
    let (pattern, ignore_case) = match key.name.strip_prefix('~') {
        Some(rest) => match rest.strip_prefix('*') {
            Some(rest) => (rest, true),
            None => (rest, false),
        },
        None => {
            // a backslash makes a value of one of the words above
            let value = key.name.strip_prefix('\\').unwrap_or(&key.name);
            return Some(MapKey::Exact(value.to_lowercase()));
        }
    };
    let node = Node {
        kind: Kind::Text { value: key.name.clone(), substituted: true },
        place: key.place.clone(),
    };
    let compiled = regex(pattern, ignore_case);
    cx.check(&node, compiled).map(MapKey::Pattern)
}

/// nginx's words inside a map that are not values.
fn special_word(name: &str) -> Option<&'static str> {
    match name {
        "default" => Some("write `default = \"…\"` beside `values`"),
        "hostnames" | "volatile" | "include" => Some("not supported yet"),
        _ => None,
    }
}
