//! Which location a path belongs to, by nginx's order: `=`, then the longest prefix if it has `^~`,
//! then the first regular expression, then the longest prefix. Pure.

use std::collections::HashMap;

use regex::Regex;

use crate::config::model::LocationPath;

/// The locations of a server.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, usize>,
    /// Longest first.
    prefixes: Vec<Prefix>,
    patterns: Vec<(Regex, usize)>,
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
    /// Its place in the server.
    pub location: usize,
    /// Bytes of the path that it matched: what a `proxy_pass` with a URI replaces.
    pub matched: usize,
}

impl RouteTable {
    /// The table of these locations.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a LocationPath>) -> Self {
        let mut table = Self::default();
        for (location, path) in paths.into_iter().enumerate() {
            match path {
                LocationPath::Exact(path) => {
                    table.exact.entry(path.clone()).or_insert(location);
                }
                LocationPath::Prefix { path, no_regex } => {
                    table.prefixes.push(Prefix {
                        path: path.clone(),
                        no_regex: *no_regex,
                        location,
                    });
                }
                LocationPath::Regex(regex) => table.patterns.push((regex.clone(), location)),
            }
        }
        // Stable: of equals the first of the file stays first.
        table.prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        table
    }

    /// The location of a normalised path.
    pub fn find(&self, path: &str) -> Option<Found> {
        let matched = path.len();
        if let Some(location) = self.exact.get(path) {
            return Some(Found { location: *location, matched });
        }
        let longest = self.prefixes.iter().find(|prefix| path.starts_with(&prefix.path));
        if longest.is_none_or(|prefix| !prefix.no_regex) {
            let pattern = self.patterns.iter().find(|(regex, _)| regex.is_match(path));
            if let Some((_, location)) = pattern {
                return Some(Found { location: *location, matched });
            }
        }
        longest.map(|prefix| Found { location: prefix.location, matched: prefix.path.len() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(path: &str, no_regex: bool) -> LocationPath {
        LocationPath::Prefix { path: path.to_owned(), no_regex }
    }

    #[test]
    fn nginx_s_own_example() {
        let table = RouteTable::new(&[
            LocationPath::Exact("/".to_owned()),
            prefix("/", false),
            prefix("/documents/", false),
            prefix("/images/", true),
            LocationPath::Regex(Regex::new(r"(?i)\.(gif|jpg|jpeg)$").unwrap()),
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
        assert_eq!(RouteTable::new(&[prefix("/a", false)]).find("/b"), None);
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
        let pattern =
            paths.iter().position(|p| matches!(p, LocationPath::Regex(r) if r.is_match(path)));
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
            "[ab]{1,2}".prop_map(|re| LocationPath::Regex(Regex::new(&re).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn it_equals_a_naive_scan(
            paths in prop::collection::vec(any_path(), 0..12),
            wanted in "/[ab/]{0,6}",
        ) {
            let found = RouteTable::new(&paths).find(&wanted).map(|found| found.location);
            prop_assert_eq!(found, naive(&paths, &wanted));
        }
    }
}
