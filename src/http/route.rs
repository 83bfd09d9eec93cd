//! Which location a path belongs to, by nginx's order: `=`, then the longest prefix if it has `^~`,
//! then the first regular expression, then the longest prefix. A location may hold others, which are
//! asked before the regular expressions beside it. Pure.

use std::collections::HashMap;

use regex::Regex;

use crate::config::model::LocationPath;

/// The locations of a server, or of a location.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, usize>,
    /// Longest first.
    prefixes: Vec<Prefix>,
    patterns: Vec<(Regex, usize)>,
    named: HashMap<String, usize>,
    /// Paths that lack only the last slash of a prefix.
    slashed: HashMap<String, usize>,
    /// What stands in them, where something does.
    nested: HashMap<usize, RouteTable>,
}

#[derive(Debug)]
struct Prefix {
    path: String,
    no_regex: bool,
    location: usize,
}

/// A location, and how much of the path it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub location: usize,
    /// Bytes of the path that it matched: what a `proxy_pass` with a URI replaces.
    pub matched: usize,
    /// It lacks the slash at the end: the client is to ask for it with one.
    lacks_slash: bool,
}

impl Found {
    /// A location, and how much of the path it stands for.
    pub const fn new(location: usize, matched: usize) -> Self {
        Self { location, matched, lacks_slash: false }
    }

    /// Whether the client is to ask for the path with a slash at its end.
    pub const fn lacks_slash(self) -> bool {
        self.lacks_slash
    }
}

impl RouteTable {
    /// Takes in a location by its number, and what stands in it. Of two with one path the first
    /// counts.
    pub fn add(&mut self, path: &LocationPath, location: usize, nested: Self) {
        match path {
            LocationPath::Exact(path) => {
                self.exact.entry(path.clone()).or_insert(location);
            }
            LocationPath::Prefix { path, no_regex } => {
                let longer = |prefix: &Prefix| prefix.path.len() >= path.len();
                let at = self.prefixes.partition_point(longer);
                let prefix = Prefix { path: path.clone(), no_regex: *no_regex, location };
                self.prefixes.insert(at, prefix);
            }
            LocationPath::Regex(pattern) => self.patterns.push((pattern.regex.clone(), location)),
            LocationPath::Named(name) => {
                self.named.entry(name.clone()).or_insert(location);
            }
        }
        if !nested.is_empty() {
            self.nested.insert(location, nested);
        }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.patterns.is_empty()
    }

    /// The location `@name`.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }

    /// Requests for this path without the slash at its end are for the location too.
    pub fn add_slash(&mut self, path: &LocationPath, location: usize) {
        if let LocationPath::Prefix { path, .. } = path
            && let Some(bare) = path.strip_suffix('/').filter(|bare| !bare.is_empty())
        {
            self.slashed.entry(bare.to_owned()).or_insert(location);
        }
    }

    /// The location of a normalised path.
    pub fn find(&self, path: &str) -> Option<Found> {
        self.search(path).map(|(found, _)| found)
    }

    /// And whether it is certain: nothing outside is asked then.
    fn search(&self, path: &str) -> Option<(Found, bool)> {
        let matched = path.len();
        if let Some(location) = self.exact.get(path) {
            return Some((Found::new(*location, matched), true));
        }
        let longest = self.prefixes.iter().find(|prefix| path.starts_with(&prefix.path));
        if let Some(location) = self.slashed.get(path)
            && longest.is_none_or(|prefix| prefix.path != path)
        {
            let found = Found { lacks_slash: true, ..Found::new(*location, matched) };
            return Some((found, true));
        }
        let mut found = longest.map(|prefix| Found::new(prefix.location, prefix.path.len()));
        if let Some((inner, certain)) =
            longest.and_then(|prefix| self.inside(prefix.location, path))
        {
            if certain {
                return Some((inner, true));
            }
            found = Some(inner);
        }
        if longest.is_none_or(|prefix| !prefix.no_regex) {
            let pattern = self.patterns.iter().find(|(regex, _)| regex.is_match(path));
            if let Some((_, location)) = pattern {
                let inner = self.inside(*location, path).map(|(found, _)| found);
                return Some((inner.unwrap_or(Found::new(*location, matched)), true));
            }
        }
        found.map(|found| (found, false))
    }

    fn inside(&self, location: usize, path: &str) -> Option<(Found, bool)> {
        self.nested.get(&location)?.search(path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(path: &str, no_regex: bool) -> LocationPath {
        LocationPath::Prefix { path: path.to_owned(), no_regex }
    }

    fn pattern(text: &str) -> LocationPath {
        LocationPath::Regex(Regex::new(text).unwrap().into())
    }

    fn table(paths: &[LocationPath]) -> RouteTable {
        let mut table = RouteTable::default();
        for (location, path) in paths.iter().enumerate() {
            table.add(path, location, RouteTable::default());
        }
        table
    }

    #[test]
    fn what_stands_in_a_location_is_asked_first() {
        let mut inner = table(&[]);
        inner.add(&pattern("b$"), 10, RouteTable::default());
        inner.add(&prefix("/a/c/", false), 11, RouteTable::default());
        let mut outer = RouteTable::default();
        outer.add(&prefix("/a/", false), 0, inner);
        outer.add(&pattern("[bd]$"), 1, RouteTable::default());
        outer.add(&LocationPath::Named("@x".to_owned()), 2, RouteTable::default());
        for (path, location) in
            [("/a/b", 10), ("/a/c/x", 11), ("/a/c/d", 1), ("/a/x", 0), ("/b", 1)]
        {
            assert_eq!(outer.find(path).map(|found| found.location), Some(location), "{path}");
        }
        assert_eq!((outer.find("@x"), outer.named("@x")), (None, Some(2)));
    }

    #[test]
    fn a_slash_that_lacks_is_asked_for() {
        let paths =
            [prefix("/a/", false), prefix("/a-b", false), prefix("/", false), pattern("a$")];
        let mut table = table(&paths);
        table.add_slash(&paths[0], 0);
        table.add_slash(&paths[2], 2);
        let found = |table: &RouteTable, path: &str| {
            table.find(path).map(|found| (found.location, found.lacks_slash()))
        };
        for (path, expected) in
            [("/a", (0, true)), ("/a/", (0, false)), ("/a-b", (1, false)), ("/", (2, false))]
        {
            assert_eq!(found(&table, path), Some(expected), "{path}");
        }
        // a location of its own needs no slash
        table.add(&prefix("/a", true), 4, RouteTable::default());
        assert_eq!(found(&table, "/a"), Some((4, false)));
    }

    #[test]
    fn nginx_s_own_example() {
        let table = table(&[
            LocationPath::Exact("/".to_owned()),
            prefix("/", false),
            prefix("/documents/", false),
            prefix("/images/", true),
            pattern(r"(?i)\.(gif|jpg|jpeg)$"),
        ]);
        for (path, location) in [
            ("/", 0),
            ("/index.html", 1),
            ("/documents/document.html", 2),
            ("/images/1.gif", 3),
            ("/documents/1.JPG", 4),
        ] {
            assert_eq!(table.find(path).map(|found| found.location), Some(location), "{path}");
        }
    }

    #[test]
    fn nothing_matches_nothing() {
        assert_eq!(table(&[prefix("/a", false)]).find("/b"), None);
    }

    /// The rules, read off nginx's documentation and nothing else.
    fn naive(paths: &[LocationPath], path: &str) -> Option<usize> {
        let exact = paths.iter().position(|p| matches!(p, LocationPath::Exact(e) if e == path));
        let mut longest: Option<(usize, &str, bool)> = None;
        for (index, candidate) in paths.iter().enumerate() {
            if let LocationPath::Prefix { path: prefix, no_regex } = candidate
                && path.starts_with(prefix.as_str())
                && longest.is_none_or(|(_, best, _)| prefix.len() > best.len())
            {
                longest = Some((index, prefix, *no_regex));
            }
        }
        let pattern = paths
            .iter()
            .position(|p| matches!(p, LocationPath::Regex(p) if p.regex.is_match(path)));
        match (exact, longest, pattern) {
            (Some(exact), ..) => Some(exact),
            (_, Some((index, _, true)), _) => Some(index),
            (_, _, Some(pattern)) => Some(pattern),
            (_, longest, _) => longest.map(|(index, ..)| index),
        }
    }

    fn any_path() -> impl Strategy<Value = LocationPath> {
        prop_oneof![
            "/[ab/]{0,4}".prop_map(LocationPath::Exact),
            ("/[ab/]{0,4}", any::<bool>())
                .prop_map(|(path, no_regex)| LocationPath::Prefix { path, no_regex }),
            "[ab]{1,2}".prop_map(|re| pattern(&re)),
        ]
    }

    proptest! {
        #[test]
        fn it_equals_a_naive_scan(
            paths in prop::collection::vec(any_path(), 0..12),
            wanted in "/[ab/]{0,6}",
        ) {
            let found = table(&paths).find(&wanted).map(|found| found.location);
            prop_assert_eq!(found, naive(&paths, &wanted));
        }
    }
}
