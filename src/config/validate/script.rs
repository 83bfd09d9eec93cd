//! `rewrite` and what it may hold, `error_page`, and the variables that regular expressions set.

use std::sync::Arc;

use regex::Regex;

use super::Context;
use super::location::{self, Levels, Outer};
use crate::config::diagnostic::quote;
use crate::config::model::{
    Assigned, Branch, Condition, ErrorPage, Location, LocationPath, Pattern, Returned, Rewrite,
    RewriteFlag, ServerName, Step, Test,
};
use crate::config::schema::{LocationKeys, LocationSection, TopSection};
use crate::config::source::At;
use crate::config::values::{
    ConditionValue, ErrorPageValue, List, ReturnValue, StepTable, Steps, TestValue,
};

/// Where the script stands.
pub(super) struct Around<'a> {
    /// The keys around it, the innermost first.
    pub(super) levels: &'a Levels<'a>,
    /// The location, for what an `if` in it inherits; nothing in a server.
    pub(super) outer: Option<Outer<'a>>,
}

/// The steps, and what holds under their conditions.
#[derive(Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    pub(super) branches: Vec<Arc<Location>>,
}

/// Validates a list of steps.
pub(super) fn script(
    cx: &mut Context<'_>,
    steps: Option<&At<Steps>>,
    around: &Around<'_>,
) -> Script {
    let mut script = Script::default();
    if let Some(steps) = steps {
        script.steps = list(cx, steps, around, &mut script.branches);
    }
    script
}

fn list(
    cx: &mut Context<'_>,
    steps: &Steps,
    around: &Around<'_>,
    branches: &mut Vec<Arc<Location>>,
) -> Vec<Step> {
    steps.0.iter().filter_map(|table| step(cx, table, around, branches)).collect()
}

/// One step; `None` when it had a fault.
fn step(
    cx: &mut Context<'_>,
    table: &At<StepTable>,
    around: &Around<'_>,
    branches: &mut Vec<Arc<Location>>,
) -> Option<Step> {
    let StepTable {
        regex,
        replacement,
        flag,
        set,
        value,
        r#if,
        rewrite: inner,
        location,
        r#return,
        r#break,
    } = &table.value;
    let kinds = [
        !regex.is_absent(),
        !set.is_absent(),
        !r#if.is_absent(),
        !r#return.is_absent() && r#if.is_absent(),
        !r#break.is_absent() && r#if.is_absent(),
    ];
    if kinds.iter().filter(|kind| **kind).count() != 1 {
        let help =
            "write `regex` with `replacement`, `set` with `value`, `if`, `return` or `break`";
        cx.error(&table.place, "a step of `rewrite` does one thing", help);
        return None;
    }
    for (absent, of, needs) in [
        (replacement.is_absent() || !regex.is_absent(), "replacement", "regex"),
        (flag.is_absent() || !regex.is_absent(), "flag", "regex"),
        (value.is_absent() || !set.is_absent(), "value", "set"),
        (inner.is_absent() || !r#if.is_absent(), "rewrite", "if"),
        (location.is_absent() || !r#if.is_absent(), "location", "if"),
    ] {
        if !absent {
            let message = format!("`{of}` does nothing in a step without `{needs}`");
            cx.error(&table.place, message, "take it out");
        }
    }
    if let Some(regex) = regex.get() {
        let Some(replacement) = replacement.get() else {
            let help = "write what the path becomes: `replacement = \"/new/$1\"`";
            cx.error(&table.place, "`regex` needs a `replacement`", help);
            return None;
        };
        return Some(Step::Rewrite(Box::new(rewrite(cx, regex, replacement, flag.copied()))));
    }
    if let Some(name) = set.get() {
        let value = value.get().map(|value| cx.template(value)).unwrap_or_default();
        return assigned(cx, name).map(|variable| Step::Set { variable, value });
    }
    if let Some(answer) = r#return.get().filter(|_| r#if.is_absent()) {
        return Some(Step::Return(returned(cx, answer)));
    }
    if let Some(condition) = r#if.get() {
        let condition = self::condition(cx, condition);
        let mut script = inner.get().map(|steps| list(cx, steps, around, branches));
        let script = script.get_or_insert_default();
        if let Some(answer) = r#return.get() {
            script.push(Step::Return(returned(cx, answer)));
        }
        if r#break.copied() == Some(true) {
            script.push(Step::Break);
        }
        let location = location.get().and_then(|section| {
            let built = branch(cx, section, around)?;
            branches.push(Arc::new(built));
            Some(branches.len() - 1)
        });
        let script = std::mem::take(script);
        return Some(Step::If(Box::new(Branch { condition, script, location })));
    }
    (r#break.copied() == Some(true)).then_some(Step::Break)
}

/// What holds where a condition does.
fn branch(
    cx: &mut Context<'_>,
    section: &At<LocationSection>,
    around: &Around<'_>,
) -> Option<Location> {
    let Some(outer) = &around.outer else {
        let help = "only an `if` of a location may have one";
        cx.error(&section.place, "`location` cannot stand in an `if` of a server", help);
        return None;
    };
    for (absent, key) in [
        (section.path.is_absent(), "path"),
        (section.rewrite.is_absent(), "rewrite"),
        (section.internal.is_absent(), "internal"),
        (section.location.is_absent(), "location"),
    ] {
        if !absent {
            let message = format!("`{key}` cannot stand in the `location` of an `if`");
            cx.error(&section.place, message, "take it out");
        }
    }
    Some(location::branch(cx, section, outer, around.levels))
}

fn rewrite(
    cx: &mut Context<'_>,
    regex: &At<Regex>,
    replacement: &At<String>,
    flag: Option<RewriteFlag>,
) -> Rewrite {
    let text = &replacement.value;
    let is_url = ["http://", "https://", "$scheme"].iter().any(|scheme| text.starts_with(scheme));
    let keep_args = !text.ends_with('?');
    let text = text.strip_suffix('?').unwrap_or(text);
    let part = |range: std::ops::Range<usize>| {
        At::new(text[range.clone()].to_owned(), &replacement.place.part(&replacement.value, range))
    };
    let (path, args) = match text.find('?') {
        Some(at) => (part(0..at), Some(part(at + 1..text.len()))),
        None => (part(0..text.len()), None),
    };
    let flag = match flag {
        None | Some(RewriteFlag::Last | RewriteFlag::Break) if is_url => {
            Some(RewriteFlag::Redirect)
        }
        flag => flag,
    };
    Rewrite {
        pattern: cx.pattern(regex),
        path: cx.template(&path),
        args: args.map(|args| cx.template(&args)),
        keep_args,
        flag,
    }
}

pub(super) fn assigned(cx: &mut Context<'_>, name: &At<String>) -> Option<Assigned> {
    let Some(bare) = name.strip_prefix('$').filter(|bare| !bare.is_empty()) else {
        let message = format!("`set` needs a variable: {}", quote(name));
        cx.error(&name.place, message, "write such as `\"$limit\"`");
        return None;
    };
    match bare {
        "args" => return Some(Assigned::Args),
        "limit_rate" => return Some(Assigned::Rate),
        _ => {}
    }
    let slot = cx.variables.own(bare);
    if slot.is_none() {
        let message = format!("variable cannot be set: `${bare}`");
        cx.error(&name.place, message, "it has a meaning already: give it another name");
    }
    slot.map(Assigned::Own)
}

fn condition(cx: &mut Context<'_>, written: &At<ConditionValue>) -> Condition {
    let ConditionValue { subject, test, not } = &written.value;
    let at = |text: &String| At::new(text.clone(), &written.place);
    Condition {
        subject: cx.template(&at(subject)),
        test: match test {
            TestValue::Set => Test::Set,
            TestValue::Equals(text) => Test::Equals(cx.template(&at(text))),
            TestValue::Matches(regex) => Test::Matches(cx.pattern(regex)),
            TestValue::File(test) => Test::File(*test),
        },
        not: *not,
    }
}

pub(super) fn returned(cx: &mut Context<'_>, answer: &ReturnValue) -> Returned {
    Returned {
        status: answer.status,
        text: answer.text.as_ref().map(|text| cx.template(text)),
        redirect: answer.redirect,
    }
}

pub(super) fn error_pages(
    cx: &mut Context<'_>,
    pages: Option<&At<List<ErrorPageValue>>>,
) -> Vec<ErrorPage> {
    let pages = pages.into_iter().flat_map(|pages| pages.iter());
    pages
        .map(|page| ErrorPage {
            codes: page.codes.clone(),
            status: page.status,
            to: cx.template(&page.to),
        })
        .collect()
}

/// Every variable that something sets, so that it is known wherever it is used.
pub(super) fn declare(top: &TopSection, declared: &mut impl FnMut(&str)) {
    declare_set(&top.keys, declared);
    let servers = top.server.get().into_iter().flat_map(|servers| &servers.0);
    for server in servers {
        for name in server.server_name.get().into_iter().flat_map(|names| names.iter()) {
            if let ServerName::Regex(pattern) = &name.value.value {
                groups(&pattern.regex, declared);
            }
        }
        declare_steps(server.rewrite.get(), declared);
        declare_set(&server.keys, declared);
        let locations = server.location.get().into_iter().flat_map(|locations| &locations.0);
        locations.for_each(|location| declare_location(location, declared));
    }
}

fn declare_location(location: &LocationSection, declared: &mut impl FnMut(&str)) {
    if let Some(LocationPath::Regex(pattern)) = location.path.get().map(|path| &path.value.value) {
        groups(&pattern.regex, declared);
    }
    declare_steps(location.rewrite.get(), declared);
    declare_set(&location.keys, declared);
    let nested = location.location.get().into_iter().flat_map(|locations| &locations.0);
    for location in nested {
        declare_location(location, &mut *declared);
    }
}

fn declare_set(keys: &LocationKeys, declared: &mut impl FnMut(&str)) {
    for (name, _) in keys.auth.auth_request_set.get().into_iter().flat_map(|set| &set.0) {
        declared(name.strip_prefix('$').unwrap_or(name));
    }
}

fn declare_steps(steps: Option<&At<Steps>>, declared: &mut impl FnMut(&str)) {
    for step in steps.into_iter().flat_map(|steps| &steps.0) {
        if let Some(name) = step.set.get() {
            declared(name.strip_prefix('$').unwrap_or(name));
        }
        if let Some(regex) = step.regex.get() {
            groups(regex, declared);
        }
        if let Some(TestValue::Matches(regex)) = step.r#if.get().map(|condition| &condition.test) {
            groups(regex, declared);
        }
        declare_steps(step.rewrite.get(), &mut *declared);
    }
}

fn groups(regex: &Regex, declared: &mut impl FnMut(&str)) {
    regex.capture_names().flatten().for_each(declared);
}

impl Context<'_> {
    /// A regular expression whose named groups set variables.
    pub(super) fn pattern(&self, regex: &Regex) -> Pattern {
        let names = regex.capture_names().enumerate();
        let names = names.filter_map(|(group, name)| Some((group, self.variables.own(name?)?)));
        Pattern { regex: regex.clone(), names: names.collect() }
    }
}
