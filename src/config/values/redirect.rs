//! `proxy_redirect`: how a `Location` of an upstream becomes one of ours.

use serde_json::{Value, json};

use crate::config::read::{Fault, Read, Reader};
use crate::config::source::At;
use crate::config::tree::{Kind, Node};

/// One of them.
#[derive(Clone, Debug)]
pub(in crate::config) enum RedirectValue {
    /// As it came.
    Off,
    /// What `proxy_pass` names becomes the location's path.
    Default,
    /// A beginning, or with `~` or `~*` an expression, and what becomes of it.
    Pair(At<String>, At<String>),
}

impl Read for RedirectValue {
    fn type_name() -> String {
        "\"off\", \"default\", or \"FROM TO\"".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Text { value, .. } = &node.kind else {
            cx.wrong_type(node, "such as `\"http://127.0.0.1:8888/ /\"`");
            return None;
        };
        let words: Vec<_> = value.split_whitespace().collect();
        let at = |word: &str| {
            let start = word.as_ptr() as usize - value.as_ptr() as usize;
            At::new(word.to_owned(), &node.place.part(value, start..start + word.len()))
        };
        let result = match words[..] {
            ["off"] => Ok(Self::Off),
            ["default"] => Ok(Self::Default),
            [from, to] => Ok(Self::Pair(at(from), at(to))),
            _ => Err(Fault::new("needs what is replaced and by what")
                .help("write such as `\"http://127.0.0.1:8888/ /\"`, `\"default\"` or `\"off\"`")),
        };
        cx.check(node, result)
    }

    fn schema() -> Value {
        json!({ "type": "string" })
    }
}
