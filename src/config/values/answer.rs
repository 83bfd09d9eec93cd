//! `return`: an answer made here.

use serde_json::{Value, json};

use super::Int;
use crate::config::read::{Fault, Read, Reader};
use crate::config::section::{read_section, section};
use crate::config::source::At;
use crate::config::tree::{Kind, Node};

section! {
    /// An answer, part by part.
    struct ReturnTable as "`return` as a table" {
        /// The status; 200 beside a body, 302 beside a location.
        status: Int<200, 599> { unset("200 or 302"); "return"; N }
        /// The body, with variables.
        body: String { unset("empty"); "return"; N }
        /// The Location of a redirect, with variables; the status has to be 301, 302, 303, 307 or 308.
        location: String { unset("none"); "return"; N }
    }
}

/// An answer made here.
#[derive(Clone, Debug)]
pub(in crate::config) struct ReturnValue {
    pub(in crate::config) status: u16,
    pub(in crate::config) text: Option<At<String>>,
    /// `text` is the Location.
    pub(in crate::config) redirect: bool,
}

/// Statuses that send the client elsewhere.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

impl Read for ReturnValue {
    fn type_name() -> String {
        "status, string or table".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Text { value, .. } => {
                let result = from_words(value, node);
                cx.check(node, result)
            }
            Kind::Integer(_) => {
                let status = Int::<200, 599>::read(node, cx)?.get();
                Some(Self { status, text: None, redirect: false })
            }
            Kind::Table(_) => from_table(node, cx),
            _ => {
                cx.wrong_type(node, "a status, such as `404`, or a table");
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 200, "maximum": 599 },
            { "type": "string" },
            ReturnTable::schema(),
        ] })
    }
}

/// nginx's words: `301 https://…`, `200 ok`, or a URL alone.
fn from_words(text: &str, node: &Node) -> Result<ReturnValue, Fault> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim_start();
    if ["http://", "https://", "$scheme"].iter().any(|start| first.starts_with(start)) {
        return Ok(ReturnValue {
            status: 302,
            text: Some(At::new(text.to_owned(), &node.place)),
            redirect: true,
        });
    }
    let status = Int::<200, 599>::parse(first)
        .map_err(|_| {
            Fault::new("needs a status from 200 to 599")
                .help("write `{ status = 200, body = \"…\" }` or `\"301 https://…\"`")
                .word(text, first)
        })?
        .get();
    let place = node.place.part(text, text.len() - rest.len()..text.len());
    Ok(ReturnValue {
        status,
        text: (!rest.is_empty()).then(|| At::new(rest.to_owned(), &place)),
        redirect: REDIRECTS.contains(&status) && !rest.is_empty(),
    })
}

fn from_table(node: &Node, cx: &mut Reader<'_>) -> Option<ReturnValue> {
    let ReturnTable { status, body, location } = read_section(node, cx)?;
    let given: Option<u16> = status.copied().map(Int::get);
    let problem = match (given, body.get(), location.get()) {
        (_, Some(_), Some(_)) => Some("takes a `body` or a `location`, not both"),
        (None, None, None) => Some("needs a `status`, a `body` or a `location`"),
        (Some(status), _, Some(_)) if !REDIRECTS.contains(&status) => {
            Some("takes a `location` only with status 301, 302, 303, 307 or 308")
        }
        _ => None,
    };
    if let Some(problem) = problem {
        let broken = !(status.is_absent() || given.is_some());
        if !broken {
            let fault = Fault::new(problem).cause("");
            cx.fault(node, fault);
        }
        return None;
    }
    let redirect = location.get().is_some();
    Some(ReturnValue {
        status: given.unwrap_or(if redirect { 302 } else { 200 }),
        text: location.get().or(body.get()).cloned(),
        redirect,
    })
}
