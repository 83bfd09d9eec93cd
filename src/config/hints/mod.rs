//! What is said about keys that do not exist: where a misplaced one belongs, what an nginx word is
//! called here, what is not supported yet, and what was probably meant.

mod words;

use words::{NGINX, NOT_YET};

use super::diagnostic::{Diagnostic, quote};
use super::schema::{
    LocationSection, ServerKeys, ServerSection, TopSection, UpstreamSection, WebSocketSection,
};
use super::section::Section;
use super::tree::Key;
use super::values::PeerTable;

/// A section that keys may be meant for.
struct Home {
    /// Its title among the sections.
    title: &'static str,
    /// How messages call it.
    shown: &'static str,
    /// How deep it is nested; `None` is beside the servers.
    depth: Option<u8>,
    keys: fn() -> Vec<&'static str>,
}

/// The sections in the order in which a key is looked for.
const HOMES: [Home; 7] = [
    Home {
        title: ServerSection::TITLE,
        shown: "`[[server]]`",
        depth: Some(1),
        keys: || ServerSection::OWN_KEYS.to_vec(),
    },
    Home {
        title: ServerSection::TITLE,
        shown: "`[[server]]`",
        depth: Some(1),
        keys: || ServerKeys::OWN_KEYS.to_vec(),
    },
    Home {
        title: LocationSection::TITLE,
        shown: "`[[server.location]]`",
        depth: Some(2),
        keys: LocationSection::keys,
    },
    Home {
        title: WebSocketSection::TITLE,
        shown: "`[server.location.websocket]`",
        depth: Some(3),
        keys: || WebSocketSection::OWN_KEYS.to_vec(),
    },
    Home {
        title: UpstreamSection::TITLE,
        shown: "`[upstream.NAME]`",
        depth: None,
        keys: || UpstreamSection::OWN_KEYS.to_vec(),
    },
    Home {
        title: TopSection::TITLE,
        shown: "the top of the file",
        depth: Some(0),
        keys: || TopSection::OWN_KEYS.to_vec(),
    },
    Home {
        title: PeerTable::TITLE,
        shown: "a peer in `servers`",
        depth: None,
        keys: || PeerTable::OWN_KEYS.to_vec(),
    },
];

/// The diagnostic for a key that `section`, with its `known` keys, does not have.
pub(super) fn unknown_key(section: &str, known: &[&str], key: &Key) -> Diagnostic {
    let name = key.name.as_str();
    let unknown = |help: String| {
        let message = format!("unknown key {} {}", quote(name), within(section));
        Diagnostic::error(&key.place, message).help(help)
    };
    if let Some((_, help)) = NGINX.iter().find(|(word, _)| *word == name) {
        return unknown((*help).to_owned());
    }
    if NOT_YET.contains(&name) {
        return unknown("not supported yet: take it out".to_owned());
    }
    // one letter more or less is a slip, even where another section has just this key
    if let Some(near) = known.iter().find(|k| is_slip_of(k, name)) {
        return unknown(format!("did you mean `{near}`?"));
    }
    let has_it = |home: &&Home| (home.keys)().contains(&name);
    if let Some(home) = HOMES.iter().find(has_it) {
        let message = format!("{} belongs to {}", quote(name), home.shown);
        return Diagnostic::error(&key.place, message)
            .label(format!("here it stands {}", within(section)))
            .help(way_home(section, name, home));
    }
    unknown(match closest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`wayhold schema --markdown` prints every key there is".to_owned(),
    })
}

/// How to move `key` from `section` to where it belongs.
fn way_home(section: &str, key: &str, home: &Home) -> String {
    if home.title == PeerTable::TITLE {
        return format!("write it with its address: `\"127.0.0.1:8888 {key}=…\"`");
    }
    if home.depth == Some(0) {
        return "move it above the first header: below one, every key belongs to that header"
            .to_owned();
    }
    if key == "location" {
        return "write its header as `[[server.location]]`".to_owned();
    }
    let here = HOMES.iter().find(|h| h.title == section);
    let here = here.and_then(|h| h.depth.map(|depth| (depth, h.shown)));
    match (here, home.depth) {
        (Some((depth, shown)), Some(target)) if target < depth => {
            let first = if depth == 2 { "the first" } else { "the header" };
            format!("move it above {first} {shown}")
        }
        _ => format!("move it below a header {}", home.shown),
    }
}

/// Where a key stands: headers in backticks, words as they are.
fn within(title: &str) -> String {
    let first = title.split(", ").next().unwrap_or(title);
    match first {
        TopSection::TITLE => format!("at {first}"),
        _ if first.starts_with('[') => format!("in {}", quote(first)),
        _ => format!("in {first}"),
    }
}

/// The key of a section that landed in a table of headers, because TOML puts every key into the
/// table whose header stands last.
pub(super) fn key_among_headers(table: &str, key: &Key) -> Option<Diagnostic> {
    let name = key.name.as_str();
    if !name.contains('_') && !matches!(name, "path" | "listen") {
        return None;
    }
    let inner_first = [2, 0, 1, 3].map(|at: usize| &HOMES[at]);
    let home = inner_first.into_iter().find(|h| (h.keys)().contains(&name))?;
    let message = format!("{} belongs to {}", quote(name), home.shown);
    Some(
        Diagnostic::error(&key.place, message)
            .label(format!("here it is a header of `{table}`"))
            .help(format!("move it above the header of the `{table}` table")),
    )
}

/// The known word nearest to `word`, when it is near enough to be meant.
pub(super) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed)
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether two words differ by one letter.
fn is_slip_of(one: &str, other: &str) -> bool {
    one.len().abs_diff(other.len()) <= 1 && distance(one, other) == 1
}

/// Letters to change, swap, add or drop between two words.
fn distance(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["proxy_pass", "path", "return"];
        assert_eq!(closest("proxy_passs", known), Some("proxy_pass"));
        assert_eq!(closest("proxy-pass", known), Some("proxy_pass"));
        assert_eq!(closest("Path", known), Some("path"));
        assert_eq!(closest("worker", known), None);
        assert_eq!(closest("", known), None);
    }

    #[test]
    fn no_hint_is_about_a_key_that_works() {
        let working: Vec<_> = [
            TopSection::keys(),
            ServerSection::keys(),
            LocationSection::keys(),
            UpstreamSection::keys(),
            WebSocketSection::keys(),
        ]
        .into_iter()
        .flatten()
        .collect();
        for word in NGINX.iter().map(|(word, _)| word).chain(NOT_YET) {
            assert!(!working.contains(word), "`{word}` works");
        }
    }
}
