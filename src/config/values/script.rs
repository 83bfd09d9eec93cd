//! `rewrite`: steps that look at a request and change its path before a location is taken, with
//! nginx's words (`ngx_http_rewrite_module`).

use regex::Regex;
use serde_json::{Value, json};

use super::ReturnValue;
use super::names;
use crate::config::model::{FileTest, RewriteFlag};
use crate::config::read::{Fault, Field, FromText, Read, Reader, one_of};
use crate::config::schema::LocationSection;
use crate::config::section::{read_section, section};
use crate::config::source::{At, Place};
use crate::config::tree::{Kind, Node};

section! {
    /// One step: a `regex` with its `replacement`, a `set` with its `value`, an `if`, a `return` or a
    /// `break`.
    struct StepTable as "a step of `rewrite` as a table" {
        /// A regular expression for the decoded path; `(?i)` in front lets case not count.
        regex: Regex { unset("no rewriting"); "rewrite"; N }
        /// What the path becomes where it fits: a path with `$1`, variables and arguments (a `?` at its end
        /// drops those of the request), or a URL to send the client to.
        replacement: String { unset("needed beside `regex`"); "rewrite"; N }
        /// `"last"` looks for a location anew, `"break"` stays, `"redirect"` (302) and `"permanent"` (301)
        /// answer.
        flag: RewriteFlag { unset("the next step follows"); "rewrite"; N }
        /// A variable, such as `"$limit"`.
        set: String { unset("none"); "set"; N }
        /// Its value, with variables.
        value: String { unset("empty"); "set"; N }
        /// A condition: `"$variable"`, `"$variable = text"` (`!=`), `"$variable ~ regex"` (`~*`, `!~`, `!~*`), or
        /// `"-f path"` (`-d`, `-e`, `-x`, with `!` in front).
        r#if: ConditionValue { unset("none"); "if"; N }
        /// The steps that follow where the condition holds.
        rewrite: Steps { unset("none"); "if"; N }
        /// What else holds there, with the keys of a location; it inherits from the one around it.
        location: LocationSection { unset("the location around it"); "if"; N }
        /// An answer made here.
        r#return: ReturnValue { unset("none"); "return"; N }
        /// No further step.
        r#break: bool { unset("false"); "break"; N }
    }
}

impl FromText for Regex {
    const TYPE: &'static str = "regex";
    const NEEDS: &'static str = "a regular expression";

    fn from_text(text: &str) -> Result<Self, Fault> {
        names::regex(text, false)
    }
}

impl FromText for RewriteFlag {
    const TYPE: &'static str = "last, break, redirect or permanent";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let words = [
            ("last", Self::Last),
            ("break", Self::Break),
            ("redirect", Self::Redirect),
            ("permanent", Self::Permanent),
        ];
        one_of(text, &words)
    }

    fn schema() -> Value {
        json!({ "enum": ["last", "break", "redirect", "permanent"] })
    }
}

/// A list of steps.
#[derive(Clone, Debug)]
pub(in crate::config) struct Steps(pub(in crate::config) Vec<At<StepTable>>);

impl Read for Steps {
    fn type_name() -> String {
        "steps: strings or tables".to_owned()
    }

    fn read(node: &Node, cx: &mut Reader<'_>) -> Option<Self> {
        let Kind::Array(items) = &node.kind else {
            cx.wrong_type(node, "a list such as `[\"^/old/(.*)$ /new/$1 last\"]`");
            return None;
        };
        let read = |item: &Node, cx: &mut Reader<'_>| match &item.kind {
            Kind::Text { value, .. } => {
                let result = from_words(value, item);
                cx.check(item, result)
            }
            _ => read_section(item, cx),
        };
        let steps = items.iter().filter_map(|item| {
            let step = read(item, cx)?;
            Some(At::new(step, &item.place))
        });
        Some(Self(steps.collect()))
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": { "anyOf": [
            { "type": "string" },
            StepTable::schema(),
        ] } })
    }
}

/// nginx's words: `REGEX REPLACEMENT [FLAG]`, or `break`.
fn from_words(text: &str, node: &Node) -> Result<StepTable, Fault> {
    let mut step = StepTable::default();
    let given = |word: &str| part(text, word, &node.place);
    let words: Vec<_> = text.split_whitespace().collect();
    match words[..] {
        ["break"] => step.r#break = Field::Given(At::new(true, &node.place)),
        [regex, replacement, ref flag @ ..] if flag.len() <= 1 => {
            step.regex = Field::Given(At::new(names::regex(regex, false)?, &given(regex)));
            let value = At::new(replacement.to_owned(), &given(replacement));
            step.replacement = Field::Given(value);
            if let [flag] = flag {
                let value = At::new(RewriteFlag::from_text(flag)?, &given(flag));
                step.flag = Field::Given(value);
            }
        }
        _ => {
            return Err(Fault::new("needs a regex, a replacement and perhaps a flag")
                .help("write `\"^/old/(.*)$ /new/$1 last\"`, or a table"));
        }
    }
    Ok(step)
}

fn part(text: &str, word: &str, place: &Place) -> Place {
    let start = word.as_ptr() as usize - text.as_ptr() as usize;
    place.part(text, start..start + word.len())
}

/// The tests of files, without `!`.
fn file_test(word: &str) -> Option<FileTest> {
    Some(match word {
        "-f" => FileTest::File,
        "-d" => FileTest::Directory,
        "-e" => FileTest::Exists,
        "-x" => FileTest::Executable,
        _ => return None,
    })
}

/// The condition of an `if`.
#[derive(Clone, Debug)]
pub(in crate::config) struct ConditionValue {
    /// What is looked at: a value with variables.
    pub(in crate::config) subject: String,
    /// How.
    pub(in crate::config) test: TestValue,
    /// It holds where the test fails.
    pub(in crate::config) not: bool,
}

/// How a value is looked at.
#[derive(Clone, Debug)]
pub(in crate::config) enum TestValue {
    /// It is neither empty nor `0`.
    Set,
    /// It is this, with variables.
    Equals(String),
    /// It fits.
    Matches(Regex),
    /// It is the path of such a file.
    File(FileTest),
}

impl FromText for ConditionValue {
    const TYPE: &'static str = "condition";
    const NEEDS: &'static str = "a condition such as `\"$http_upgrade = websocket\"`";

    fn from_text(condition: &str) -> Result<Self, Fault> {
        let invalid = || {
            Fault::new("has an invalid condition").help(
                "write `\"$variable\"`, `\"$variable = text\"`, `\"$variable ~ regex\"` or `\"-f path\"`",
            )
        };
        let condition = condition.trim();
        let (subject, rest) = condition.split_once(char::is_whitespace).unwrap_or((condition, ""));
        let rest = rest.trim_start();
        let bare = subject.strip_prefix('!').unwrap_or(subject);
        if let Some(test) = file_test(bare) {
            if rest.is_empty() {
                return Err(invalid());
            }
            let not = bare.len() < subject.len();
            return Ok(Self { subject: rest.to_owned(), test: TestValue::File(test), not });
        }
        if !subject.starts_with('$') || subject.len() < 2 {
            return Err(invalid());
        }
        let subject = subject.to_owned();
        if rest.is_empty() {
            return Ok(Self { subject, test: TestValue::Set, not: false });
        }
        let (operator, against) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let against = against.trim_start();
        let not = operator.starts_with('!');
        let test = match operator {
            "=" | "!=" => TestValue::Equals(against.to_owned()),
            "~" | "!~" => TestValue::Matches(names::regex(against, false)?),
            "~*" | "!~*" => TestValue::Matches(names::regex(against, true)?),
            _ => return Err(invalid()),
        };
        Ok(Self { subject, test, not })
    }
}
