//! From tree to raw values: what a type of value is called, how it is read, and what its JSON Schema
//! is. Every fault is collected; reading goes on behind it.

use std::ops::Range;

use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Diagnostics, quote};
use super::source::At;
use super::tree::{Kind, Node};

/// A type of value.
pub(super) trait Read: Sized + Clone {
    /// What the reference page calls it.
    fn type_name() -> String;

    /// The value of `node`; `None` when it has a fault, which was reported.
    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self>;

    /// Its JSON Schema.
    fn schema() -> Value;

    /// The value in force where `self` is set and an outer section sets `outer`.
    fn inherit(&self, _outer: &Self) -> Self {
        self.clone()
    }
}

/// What reading needs besides the tree.
pub(super) struct Reader<'a> {
    /// Where faults go.
    pub(super) out: &'a mut Diagnostics,
    /// The key whose value is being read: messages begin with it.
    pub(super) key: String,
}

impl Reader<'_> {
    /// Reports a value with a fault.
    pub(super) fn fault(&mut self, node: &Node, fault: Fault) {
        if matches!(node.kind, Kind::Broken) {
            return;
        }
        let shown = node.shown();
        let (place, shown) = match fault.part {
            Some(part) => (node.place.part(shown, part.clone()), shown.get(part).unwrap_or(shown)),
            None => (node.place.clone(), shown),
        };
        let cause = fault.cause.unwrap_or_else(|| quote(shown));
        let colon = if cause.is_empty() { "" } else { ": " };
        let message = format!("{} {}{colon}{cause}", quote(&self.key), fault.message);
        self.out.push(Diagnostic::error(&place, message).maybe_help(fault.help));
    }

    /// Reports a value of another type.
    pub(super) fn wrong_type(&mut self, node: &Node, needs: &str) {
        let fault =
            Fault::new(format!("needs {needs}")).cause(format!("found {}", node.kind.name()));
        self.fault(node, fault);
    }

    /// The text of a string.
    pub(super) fn text<'n>(&mut self, node: &'n Node, needs: &str) -> Option<&'n str> {
        if let Kind::Text { value, .. } = &node.kind {
            return Some(value);
        }
        self.wrong_type(node, needs);
        None
    }

    /// Unwraps a result, reporting its fault.
    pub(super) fn check<T>(&mut self, node: &Node, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.fault(node, fault)).ok()
    }

    /// Reads with `key` in front of messages.
    pub(super) fn with_key<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.key, key.to_owned());
        let result = read(self);
        self.key = outer;
        result
    }
}

/// What is wrong with a value: the words behind its key.
#[derive(Debug)]
pub(super) struct Fault {
    message: String,
    cause: Option<String>,
    help: Option<String>,
    part: Option<Range<usize>>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None, help: None, part: None }
    }

    /// What to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What stands behind the colon, instead of the value; nothing when it is empty.
    pub(super) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The message behind the key, and the help.
    pub(super) fn into_words(self) -> (String, Option<String>) {
        (self.message, self.help)
    }

    /// The word of the value that is wrong.
    /// `word` has to be a slice of `text`; anything else points at the whole value.
    pub(super) fn word(mut self, text: &str, word: &str) -> Self {
        let offset = (word.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        self.part = offset.filter(|at| at + word.len() <= text.len()).map(|at| at..at + word.len());
        self
    }
}

/// A value that is written as a string, or for some as a number.
pub(super) trait FromText: Sized + Clone {
    /// What the reference page calls it.
    const TYPE: &'static str;
    /// What a message says it needs.
    const NEEDS: &'static str = "a string";

    /// The value of a string.
    fn from_text(text: &str) -> Result<Self, Fault>;

    /// The value of an integer, written `number`. Most have none.
    fn from_number(_number: &str) -> Result<Self, Fault> {
        Err(Fault::new(format!("needs {}", Self::NEEDS)).cause("found an integer"))
    }

    /// Its JSON Schema.
    fn schema() -> Value {
        json!({ "type": "string" })
    }
}

impl<T: FromText> Read for T {
    fn type_name() -> String {
        T::TYPE.to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let result =
            match &node.kind {
                Kind::Text { value, .. } => T::from_text(value),
                Kind::Integer(_) => T::from_number(node.place.text()),
                other => Err(Fault::new(format!("needs {}", T::NEEDS))
                    .cause(format!("found {}", other.name()))),
            };
        cx.check(node, result)
    }

    fn schema() -> Value {
        <T as FromText>::schema()
    }
}

/// A key of a section: not written, written with a fault, or written.
#[derive(Clone, Debug, Default)]
pub(super) enum Field<T> {
    /// Not written.
    #[default]
    Absent,
    /// Written, but with a fault that was reported.
    Broken,
    /// Written.
    Given(At<T>),
}

impl<T: Read> Field<T> {
    pub(super) fn read(node: &Node, cx: &mut Reader<'_>) -> Self {
        match T::read(node, cx) {
            Some(value) => Self::Given(At::new(value, &node.place)),
            None => Self::Broken,
        }
    }

    /// The value in force when an outer section has `outer`.
    pub(super) fn or(&self, outer: &Self) -> Self {
        match (self, outer) {
            (Self::Given(inner), Self::Given(outer)) => {
                Self::Given(At::new(inner.value.inherit(&outer.value), &inner.place))
            }
            (Self::Given(inner), _) => Self::Given(inner.clone()),
            (Self::Absent, outer) => outer.clone(),
            // the fault is reported; the outer value lets the checks go on
            (Self::Broken, Self::Given(outer)) => Self::Given(outer.clone()),
            (Self::Broken, _) => Self::Broken,
        }
    }
}

impl<T> Field<T> {
    /// The value, when it was written without a fault.
    pub(super) fn get(&self) -> Option<&At<T>> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Broken => None,
        }
    }

    /// Whether it was not written.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value of a key that has a default in the schema.
    pub(super) fn with_default(&self) -> &At<T> {
        self.get().expect("keys with a default are merged with the schema's defaults")
    }
}

impl<T: Copy> Field<T> {
    /// A copy of the value, when it was written without a fault.
    pub(super) fn copied(&self) -> Option<T> {
        self.get().map(|at| at.value)
    }
}

/// The value of `text` in a list of words.
pub(super) fn one_of<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T, Fault> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(value.clone());
    }
    let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let help = match super::hints::closest(text, names.iter().copied()) {
        Some(near) => format!("did you mean `\"{near}\"`?"),
        None => format!("write one of {}", listed(&names)),
    };
    Err(Fault::new("has no such value").help(help))
}

/// `"a"`, `"b"` or `"c"`.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// `schema`, or a string that a substitution makes one of it.
pub(super) fn or_substituted(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": r"\$\{(env|file):" }] })
}
