//! `satisfy` and `auth_request_set`.

use serde_json::{Value, json};

use crate::config::read::{Fault, FromText, Read, Reader, one_of};
use crate::config::source::At;
use crate::config::tree::{Kind, Node};

/// How many of the rules have to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Satisfy {
    All,
    Any,
}

impl FromText for Satisfy {
    const TYPE: &'static str = "all or any";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &[("all", Self::All), ("any", Self::Any)])
    }

    fn schema() -> Value {
        json!({ "enum": ["all", "any"] })
    }
}

/// Values by the names of the variables that get them.
#[derive(Clone, Debug)]
pub(in crate::config) struct Assignments(pub(in crate::config) Vec<(At<String>, At<String>)>);

impl Read for Assignments {
    fn type_name() -> String {
        "table of variable = value".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Table(table) = &node.kind else {
            cx.wrong_type(node, "a table such as `{ \"$user\" = \"$upstream_http_x_user\" }`");
            return None;
        };
        let mut list = Vec::new();
        for (key, value) in &table.entries {
            let text = cx.with_key(&key.name, |cx| cx.text(value, "a value").map(str::to_owned))?;
            list.push((At::new(key.name.clone(), &key.place), At::new(text, &value.place)));
        }
        Some(Self(list))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}
