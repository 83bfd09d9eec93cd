//! The tables that find a location and a server agree with a plain scan by the order of nginx's
//! documentation.

#![no_main]

use libfuzzer_sys::fuzz_target;
use regex::Regex;
use std::sync::LazyLock;
use wayhold::config::model::{LocationPath, ServerName};
use wayhold::config::names::NameTable;
use wayhold::http::route::{Found, RouteTable};
use wayhold_fuzz::Input;

static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns =
        ["a", "^/a", "b$", "^/(a|b)+/?$", "(?i)A/B", "/{2}", r"\.", "^$", "", r"^\w+\.a$", "é"];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let paths: Vec<_> = (0..input.below(16)).map(|_| location(&mut input)).collect();
    let mut table = RouteTable::default();
    for (location, path) in paths.iter().enumerate() {
        table.add(path, location, RouteTable::default());
    }
    let names: Vec<Vec<_>> = (0..input.below(6))
        .map(|_| (0..input.below(4)).map(|_| name(&mut input)).collect())
        .collect();
    let servers = names.iter().enumerate().map(|(server, names)| (server, names.as_slice()));
    let server_table = NameTable::new(servers, 99);
    for _ in 0..8 {
        let path = word(&mut input, "/");
        assert_eq!(table.find(&path), find_location(&paths, &path), "{path:?} in {paths:?}");
        let host = word(&mut input, "");
        assert_eq!(server_table.find(&host), find_server(&names, &host), "{host:?} in {names:?}");
    }
});

/// A short text of few letters, so that many are alike.
fn word(input: &mut Input<'_>, start: &str) -> String {
    let mut text = start.to_owned();
    for _ in 0..input.below(10) {
        text.push(input.pick(&['a', 'b', '/', '.', '.', 'A', 'é', '-']));
    }
    text
}

fn location(input: &mut Input<'_>) -> LocationPath {
    match input.below(4) {
        0 => LocationPath::Exact(word(input, "/")),
        kind @ (1 | 2) => LocationPath::Prefix { path: word(input, "/"), no_regex: kind == 1 },
        _ => LocationPath::Regex(PATTERNS[input.below(PATTERNS.len())].clone().into()),
    }
}

fn name(input: &mut Input<'_>) -> ServerName {
    match input.below(4) {
        0 => ServerName::Exact(word(input, "a")),
        1 => ServerName::Suffix(word(input, ".")),
        2 => ServerName::Prefix(word(input, "a") + "."),
        _ => ServerName::Regex(PATTERNS[input.below(PATTERNS.len())].clone().into()),
    }
}

/// `=` first; then the longest prefix is remembered, and used at once when it has `^~`; then the
/// regular expressions in the order of the file; then the remembered prefix.
fn find_location(paths: &[LocationPath], path: &str) -> Option<Found> {
    let whole = |location| Found::new(location, path.len());
    for (location, candidate) in paths.iter().enumerate() {
        if matches!(candidate, LocationPath::Exact(exact) if exact == path) {
            return Some(whole(location));
        }
    }
    let mut remembered: Option<(Found, bool)> = None;
    for (location, candidate) in paths.iter().enumerate() {
        if let LocationPath::Prefix { path: prefix, no_regex } = candidate
            && path.get(..prefix.len()) == Some(prefix.as_str())
            && remembered.is_none_or(|(found, _)| found.matched < prefix.len())
        {
            remembered = Some((Found::new(location, prefix.len()), *no_regex));
        }
    }
    if let Some((found, true)) = remembered {
        return Some(found);
    }
    for (location, candidate) in paths.iter().enumerate() {
        if matches!(candidate, LocationPath::Regex(pattern) if pattern.regex.is_match(path)) {
            return Some(whole(location));
        }
    }
    remembered.map(|(found, _)| found)
}

/// Exact, the longest `*.suffix`, the longest `prefix.*`, the first regular expression.
fn find_server(servers: &[Vec<ServerName>], host: &str) -> usize {
    let host = host.strip_suffix('.').unwrap_or(host);
    let all = || {
        servers
            .iter()
            .enumerate()
            .flat_map(|(server, names)| names.iter().map(move |n| (server, n)))
    };
    if let Some((server, _)) = all().find(|(_, n)| matches!(n, ServerName::Exact(e) if e == host)) {
        return server;
    }
    let longest = |length: &dyn Fn(&ServerName) -> Option<usize>| {
        let mut best: Option<(usize, usize)> = None;
        for (server, name) in all() {
            if let Some(len) = length(name)
                && best.is_none_or(|(_, other)| other < len)
            {
                best = Some((server, len));
            }
        }
        best.map(|(server, _)| server)
    };
    let suffix = |name: &ServerName| match name {
        ServerName::Suffix(s) if host.ends_with(s) && host.len() > s.len() => Some(s.len()),
        _ => None,
    };
    let prefix = |name: &ServerName| match name {
        ServerName::Prefix(p) if host.starts_with(p) => Some(p.len()),
        _ => None,
    };
    if let Some(server) = longest(&suffix).or_else(|| longest(&prefix)) {
        return server;
    }
    let pattern = all()
        .find(|(_, n)| matches!(n, ServerName::Regex(pattern) if pattern.regex.is_match(host)));
    pattern.map_or(99, |(server, _)| server)
}
