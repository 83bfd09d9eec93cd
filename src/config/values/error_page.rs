//! `error_page`: what answers in place of an error.

use serde_json::{Value, json};

use super::{Int, List};
use crate::config::model::PageStatus;
use crate::config::read::{Fault, Read, Reader};
use crate::config::section::{read_section, section};
use crate::config::source::At;
use crate::config::tree::{Kind, Node};

section! {
    /// What answers in place of some errors, part by part.
    struct ErrorPageTable as "`error_page` as a table" {
        /// The statuses, from 300 to 599.
        codes: List<Int<300, 599>> { required(); "error_page"; N }
        /// The status that the client gets; `0` is that of the page itself.
        status: Int<0, 599> { unset("that of the error"); "=CODE"; N }
        /// A path, a named location (`"@fallback"`), or a URL to send the client to; with variables.
        to: String { required(); "error_page"; N }
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub(in crate::config) struct ErrorPageValue {
    pub(in crate::config) codes: Vec<u16>,
    pub(in crate::config) status: PageStatus,
    pub(in crate::config) to: At<String>,
}

impl Read for ErrorPageValue {
    fn type_name() -> String {
        "string or table".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Text { value, .. } => {
                let result = from_words(value, node);
                cx.check(node, result)
            }
            Kind::Table(_) => from_table(node, cx),
            _ => {
                cx.wrong_type(node, "such as `\"404 /404.html\"`, or a table");
                None
            }
        }
    }

    fn schema() -> Value {
        json!({ "anyOf": [{ "type": "string" }, ErrorPageTable::schema()] })
    }
}

/// nginx's words: `500 502 =200 /error.html`.
fn from_words(text: &str, node: &Node) -> Result<ErrorPageValue, Fault> {
    let fault = || {
        Fault::new("needs statuses and a page").help("write such as `\"500 502 =503 /sorry.html\"`")
    };
    let mut words: Vec<_> = text.split_whitespace().collect();
    let to = words.pop().ok_or_else(fault)?;
    let mut status = PageStatus::OfError;
    if let Some(word) = words.pop_if(|word| word.starts_with('=')) {
        status = match &word[1..] {
            "" => PageStatus::OfPage,
            code => PageStatus::Given(Int::<100, 999>::parse(code)?.get()),
        };
    }
    let codes: Result<Vec<u16>, _> =
        words.iter().map(|word| Int::<300, 599>::parse(word).map(Int::get)).collect();
    let codes = codes?;
    if codes.is_empty() {
        return Err(fault());
    }
    let start = to.as_ptr() as usize - text.as_ptr() as usize;
    let place = node.place.part(text, start..start + to.len());
    Ok(ErrorPageValue { codes, status, to: At::new(to.to_owned(), &place) })
}

fn from_table(node: &Node, cx: &mut Reader<'_>) -> Option<ErrorPageValue> {
    let ErrorPageTable { codes, status, to } = read_section(node, cx)?;
    let (Some(codes), Some(to)) = (codes.get(), to.get()) else {
        if codes.is_absent() || to.is_absent() {
            cx.fault(node, Fault::new("needs `codes` and `to`").cause(""));
        }
        return None;
    };
    let status = match status.copied().map(Int::get::<u16>) {
        None => PageStatus::OfError,
        Some(0) => PageStatus::OfPage,
        Some(code) => PageStatus::Given(code),
    };
    let codes = codes.iter().map(|code| code.get()).collect();
    Some(ErrorPageValue { codes, status, to: to.clone() })
}
