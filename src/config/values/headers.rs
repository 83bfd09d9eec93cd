//! Header names, and tables of headers.

use http::HeaderName;
use serde_json::{Value, json};

use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::hints;
use crate::config::model::RealIpHeader;
use crate::config::read::{Fault, FromText, Read, Reader};
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
            if let Some(text) = cx.with_key(&key.name, |cx| header_value(value, cx)) {
                headers.push((At::new(name, &key.place), At::new(text, &value.place)));
            }
        }
        Some(Self(headers))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }

    fn inherit(&self, outer: &Self) -> Self {
        let is_new = |name: &HeaderName| self.0.iter().all(|(own, _)| own.value != name);
        let kept = outer.0.iter().filter(|(name, _)| is_new(name)).cloned();
        Self(kept.chain(self.0.iter().cloned()).collect())
    }
}

fn header_value(node: &Node, cx: &mut Reader<'_>) -> Option<String> {
    let text = cx.text(node, "a string")?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        cx.fault(node, Fault::new("has a control character in its value").cause(""));
        return None;
    }
    Some(text.to_owned())
}
