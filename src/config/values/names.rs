//! Names of servers, paths of locations, and the regular expressions in both.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::config::model::{LocationPath, ServerName};
use crate::config::read::{Fault, FromText};

/// A value, and how it was written.
#[derive(Clone, Debug)]
pub(in crate::config) struct Written<T> {
    pub(in crate::config) text: String,
    pub(in crate::config) value: T,
}

impl<T: FromText> FromText for Written<T> {
    const TYPE: &'static str = T::TYPE;
    const NEEDS: &'static str = T::NEEDS;

    fn from_text(text: &str) -> Result<Self, Fault> {
        let value = T::from_text(text)?;
        let text = text.to_owned();
        Ok(Self { text, value })
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// Compiles a regular expression.
pub(in crate::config) fn regex(pattern: &str, ignore_case: bool) -> Result<Regex, Fault> {
    RegexBuilder::new(&unquoted(pattern)).case_insensitive(ignore_case).build().map_err(|error| {
        let text = error.to_string();
        let cause = text.lines().last().unwrap_or_default().trim();
        let cause = cause.strip_prefix("error: ").unwrap_or(cause);
        let fault = Fault::new("has an invalid regular expression").cause(cause);
        if cause.contains("look-around") || cause.contains("backreferences") {
            fault.help(
                "expressions are matched in linear time, without look-around and back-references",
            )
        } else {
            fault
        }
    })
}

/// What stands between PCRE's `\\Q` and `\\E` is text.
fn unquoted(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, quoted)) = rest.split_once("\\Q") {
        let (text, behind) = quoted.split_once("\\E").unwrap_or((quoted, ""));
        out += before;
        out += &regex::escape(text);
        rest = behind;
    }
    out + rest
}

impl FromText for ServerName {
    const TYPE: &'static str = "name";
    const NEEDS: &'static str = "a name such as `\"example.org\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if let Some(pattern) = text.strip_prefix('~') {
            // host names are compared in lower case
            return regex(pattern, true).map(|regex| Self::Regex(regex.into()));
        }
        check_name(text)?;
        let name = text.to_ascii_lowercase();
        if let Some(suffix) = name.strip_prefix('*') {
            return Ok(Self::Suffix(suffix.to_owned()));
        }
        if let Some(prefix) = name.strip_suffix('*') {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        // nginx's `.example.org` is split into two names by `validate`
        Ok(Self::Exact(name))
    }
}

fn check_name(text: &str) -> Result<(), Fault> {
    let fault = Fault::new("is not a valid name");
    if text.contains("://") {
        return Err(fault.help("write the host only, without scheme and path"));
    }
    if text.split_whitespace().count() > 1 {
        let names: Vec<_> = text.split_whitespace().map(|name| format!("\"{name}\"")).collect();
        return Err(fault.help(format!("several names are a list: `[{}]`", names.join(", "))));
    }
    if text.contains(':') {
        return Err(fault.help("write the host only: the port stands in `listen`"));
    }
    let inner = text.strip_prefix("*.").unwrap_or(text);
    let inner = inner.strip_suffix(".*").unwrap_or(inner);
    if inner.contains('*') {
        return Err(fault.help(
            "`*` may stand alone in the first or the last label: `\"*.example.org\"`, \
             `\"www.example.*\"`; for anything else write `\"~regex\"`",
        ));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !inner.chars().all(fits) || inner.contains("..") {
        return Err(fault.help("letters, digits, `-`, `_` and dots; other scripts as punycode"));
    }
    Ok(())
}

/// A location as written, and what it matches.
impl FromText for LocationPath {
    const TYPE: &'static str = "path with nginx's modifiers";
    const NEEDS: &'static str = "a path such as `\"/ws\"`";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let trimmed = text.trim();
        if let Some(pattern) = trimmed.strip_prefix("~*") {
            return regex(pattern.trim_start(), true).map(|regex| Self::Regex(regex.into()));
        }
        if let Some(pattern) = trimmed.strip_prefix('~') {
            return regex(pattern.trim_start(), false).map(|regex| Self::Regex(regex.into()));
        }
        if let Some(path) = trimmed.strip_prefix('=') {
            return path_of(path).map(Self::Exact);
        }
        if let Some(path) = trimmed.strip_prefix("^~") {
            return path_of(path).map(|path| Self::Prefix { path, no_regex: true });
        }
        if trimmed.len() > 1 && trimmed.starts_with('@') {
            return Ok(Self::Named(trimmed.to_owned()));
        }
        path_of(trimmed).map(|path| Self::Prefix { path, no_regex: false })
    }
}

fn path_of(text: &str) -> Result<String, Fault> {
    let path = text.trim_start();
    if !path.starts_with('/') {
        return Err(Fault::new("must begin with `/`").help(
            "the forms are `\"/p\"`, `\"= /p\"`, `\"^~ /p\"`, `\"~ regex\"` and `\"~* regex\"`",
        ));
    }
    Ok(path.to_owned())
}
