//! `${env:NAME}`, `${env:NAME:-default}` and `${file:/path}` inside string values. Done on the tree,
//! after parsing: what comes in can never become syntax. `${name}` without a colon is a variable of
//! a request and stays.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Diagnostics, quote};
use super::source::Place;
use super::tree::{Kind, Node, Table};
use super::world::World;

/// Replaces what is to be replaced in every string of a table; the files that were read are added
/// to `files`.
pub(super) fn table(
    table: &mut Table,
    world: &dyn World,
    files: &mut Vec<PathBuf>,
    out: &mut Diagnostics,
) {
    for (_, value) in &mut table.entries {
        node(value, world, files, out);
    }
}

fn node(target: &mut Node, world: &dyn World, files: &mut Vec<PathBuf>, out: &mut Diagnostics) {
    match &mut target.kind {
        Kind::Text { value, substituted } => {
            let mut site = Site { place: &target.place, world, files, out };
            match site.replace(value) {
                Ok(Some(replaced)) => {
                    *value = replaced;
                    *substituted = true;
                }
                Ok(None) => {}
                Err(Reported) => target.kind = Kind::Broken,
            }
        }
        Kind::Array(list) => list.iter_mut().for_each(|item| node(item, world, files, out)),
        Kind::Table(inner) => table(inner, world, files, out),
        Kind::Integer(_) | Kind::Float | Kind::Boolean(_) | Kind::Datetime | Kind::Broken => {}
    }
}

/// A fault that was reported.
struct Reported;

/// One string and what is needed to replace in it.
struct Site<'a> {
    place: &'a Place,
    world: &'a dyn World,
    files: &'a mut Vec<PathBuf>,
    out: &'a mut Diagnostics,
}

impl Site<'_> {
    /// `None` when there is nothing to replace.
    fn replace(&mut self, text: &str) -> Result<Option<String>, Reported> {
        let mut result = String::new();
        let mut done = 0;
        let mut outcome = Ok(());
        while let Some(start) = next_start(text, done) {
            result.push_str(&text[done..start]);
            let Some(length) = text[start..].find('}') else {
                return Err(self.report(
                    text,
                    start..text.len(),
                    "has no closing `}`",
                    "add a `}`",
                ));
            };
            let end = start + length + 1;
            let inner = &text[start + 2..end - 1];
            match self.value(text, start..end, inner) {
                Ok(value) => result.push_str(&value),
                // the other substitutions of this string have their faults reported too
                Err(Reported) => outcome = Err(Reported),
            }
            done = end;
        }
        result.push_str(&text[done..]);
        outcome.map(|()| (done > 0).then_some(result))
    }

    fn value(&mut self, text: &str, range: Range<usize>, inner: &str) -> Result<String, Reported> {
        if let Some(path) = inner.strip_prefix("file:") {
            return self.file(text, range, path);
        }
        let inner = inner.strip_prefix("env:").unwrap_or(inner);
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let found = self.world.env(name).filter(|value| default.is_none() || !value.is_empty());
        found.or_else(|| default.map(str::to_owned)).ok_or_else(|| {
            let what = format!("is not set: {}", quote(name));
            let help = format!("set it, or give it a default: `${{env:{name}:-…}}`");
            self.report(text, range, &what, &help)
        })
    }

    fn file(&mut self, text: &str, range: Range<usize>, path: &str) -> Result<String, Reported> {
        let path = self.place.resolve(Path::new(path));
        let read = self
            .world
            .read(&path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()));
        self.files.push(path.clone());
        let mut content = read.map_err(|error| {
            let what = format!("cannot be read: {}: {error}", quote(&path.to_string_lossy()));
            self.report(text, range, &what, "check the path and its permissions")
        })?;
        if content.ends_with('\n') {
            content.pop();
        }
        Ok(content)
    }

    fn report(&mut self, text: &str, range: Range<usize>, what: &str, help: &str) -> Reported {
        let kind = if text[range.start..].starts_with("${file:") {
            "file"
        } else {
            "environment variable"
        };
        let place = self.place.part(text, range);
        self.out.push(Diagnostic::error(&place, format!("{kind} {what}")).help(help));
        Reported
    }
}

fn next_start(text: &str, from: usize) -> Option<usize> {
    let starts = ["${env:", "${file:"].map(|mark| text[from..].find(mark));
    starts.into_iter().flatten().min().map(|at| from + at)
}
