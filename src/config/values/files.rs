//! What a file's type is by its extension.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::read::{Read, Reader};
use crate::config::tree::{Kind, Node};

/// Types by extension, in lower case.
#[derive(Clone, Debug)]
pub(in crate::config) struct Types(pub(in crate::config) BTreeMap<String, String>);

impl Read for Types {
    fn type_name() -> String {
        "table of type = extensions".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Table(table) = &node.kind else {
            cx.wrong_type(node, "a table such as `{ \"text/html\" = [\"html\", \"htm\"] }`");
            return None;
        };
        let mut types = BTreeMap::new();
        for (key, value) in &table.entries {
            let items = match &value.kind {
                Kind::Array(items) => items.as_slice(),
                _ => std::slice::from_ref(value),
            };
            for item in items {
                let extension = cx
                    .with_key(&key.name, |cx| cx.text(item, "an extension").map(str::to_lowercase));
                types.extend(extension.map(|extension| (extension, key.name.clone())));
            }
        }
        Some(Self(types))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" } },
        ] } })
    }
}
