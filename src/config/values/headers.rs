//! Header names, and tables of headers.

use http::HeaderName;
use serde_json::{Value, json};

use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::hints;
use crate::config::model::RealIpHeader;
use crate::config::read::{Fault, FromText, Read, Reader};
use crate::config::section::{read_section, section};
use crate::config::source::At;
use crate::config::tree::{Kind, Node};

impl FromText for RealIpHeader {
    const TYPE: &'static str = "header or \"proxy_protocol\"";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text == "proxy_protocol" {
            return Ok(Self::ProxyProtocol);
        }
        HeaderName::from_text(text).map(Self::Field)
    }
}

impl FromText for HeaderName {
    const TYPE: &'static str = "header";

    fn from_text(text: &str) -> Result<Self, Fault> {
        Self::from_bytes(text.as_bytes()).map_err(|_| Fault::new("needs the name of a header"))
    }
}

/// Headers by name, in the order written. Inner sections add to outer ones and override them by
/// name.
#[derive(Clone, Debug)]
pub(in crate::config) struct Headers(pub(in crate::config) Vec<(At<HeaderName>, At<String>)>);

impl Read for Headers {
    fn type_name() -> String {
        "table of header = value".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        read_headers(node, cx, |_, value, cx| header_value(value, cx)).map(Self)
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }

    fn inherit(&self, outer: &Self) -> Self {
        Self(merged(&self.0, &outer.0))
    }
}

section! {
    /// A header that is added, part by part.
    struct AddHeaderTable as "a header of `add_header` as a table" {
        /// The value, with variables.
        value: String { required(); "add_header"; N }
        /// Whatever the status is; else only to 200, 201, 204, 206, 301, 302, 303, 304, 307, 308, and to a
        /// 101.
        always: bool { default(false); "always"; N }
    }
}

/// What is added to an answer.
#[derive(Clone, Debug)]
pub(in crate::config) struct AddedValue {
    /// The header's name as written.
    pub(in crate::config) spelled: String,
    pub(in crate::config) text: At<String>,
    pub(in crate::config) always: bool,
}

/// Headers by name that are added to answers.
#[derive(Clone, Debug)]
pub(in crate::config) struct AddHeaders(
    pub(in crate::config) Vec<(At<HeaderName>, At<Vec<AddedValue>>)>,
);

impl Read for AddHeaders {
    fn type_name() -> String {
        "table of header = value, table, or a list of these".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        read_headers(node, cx, added_values).map(Self)
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": {
            "anyOf": [{ "type": "string" }, AddHeaderTable::schema(), { "type": "array" }],
        } })
    }

    fn inherit(&self, outer: &Self) -> Self {
        Self(merged(&self.0, &outer.0))
    }
}

fn added_values(name: &str, node: &Node, cx: &mut Reader<'_>) -> Option<Vec<AddedValue>> {
    match &node.kind {
        Kind::Array(items) => items.iter().map(|item| added_value(name, item, cx)).collect(),
        _ => added_value(name, node, cx).map(|value| vec![value]),
    }
}

fn added_value(name: &str, node: &Node, cx: &mut Reader<'_>) -> Option<AddedValue> {
    let spelled = name.to_owned();
    if !matches!(node.kind, Kind::Table(_)) {
        let text = header_value(node, cx)?;
        return Some(AddedValue { spelled, text: At::new(text, &node.place), always: false });
    }
    let AddHeaderTable { value, always } = read_section(node, cx)?;
    if value.is_absent() {
        let fault = Fault::new("needs a `value`").cause("the table has none");
        cx.fault(node, fault.help("write `{ value = \"…\", always = true }`"));
    }
    let text = value.get()?;
    let inner = Node {
        kind: Kind::Text { value: text.value.clone(), substituted: true },
        place: text.place.clone(),
    };
    header_value(&inner, cx)?;
    Some(AddedValue { spelled, text: text.clone(), always: always.copied().unwrap_or(false) })
}

type Named<T> = Vec<(At<HeaderName>, At<T>)>;

/// The own entries, behind those of an outer section that have other names.
fn merged<T: Clone>(own: &Named<T>, outer: &Named<T>) -> Named<T> {
    let is_new = |name: &HeaderName| own.iter().all(|(own, _)| own.value != name);
    let kept = outer.iter().filter(|(name, _)| is_new(name)).cloned();
    kept.chain(own.iter().cloned()).collect()
}

fn read_headers<T>(
    node: &Node,
    cx: &mut Reader<'_>,
    read_value: fn(&str, &Node, &mut Reader<'_>) -> Option<T>,
) -> Option<Named<T>> {
    let Kind::Table(table) = &node.kind else {
        cx.wrong_type(node, "a table such as `{ Host = \"$http_host\" }`");
        return None;
    };
    let section = cx.key.clone();
    let mut headers = Vec::new();
    for (key, value) in &table.entries {
        if let Some(diagnostic) = hints::key_among_headers(&section, key) {
            cx.out.push(diagnostic);
            continue;
        }
        let Ok(name) = HeaderName::from_bytes(key.name.as_bytes()) else {
            let message = format!("`{section}` needs names of headers: {}", quote(&key.name));
            cx.out.push(Diagnostic::error(&key.place, message));
            continue;
        };
        if let Some(read) = cx.with_key(&key.name, |cx| read_value(&key.name, value, cx)) {
            headers.push((At::new(name, &key.place), At::new(read, &value.place)));
        }
    }
    Some(headers)
}

fn header_value(node: &Node, cx: &mut Reader<'_>) -> Option<String> {
    let text = cx.text(node, "a string")?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        cx.fault(node, Fault::new("has a control character in its value").cause(""));
        return None;
    }
    Some(text.to_owned())
}
