//! What changes about a request on its way to an answer: its path, its arguments, the variables that
//! are set, and how often it has been sent on inside. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method};

use super::pace;
use super::told::Told;
use crate::config::model::{Assigned, Pattern};

/// How often a path may change, as in nginx.
const CHANGES: u8 = 10;

/// See the module.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct State {
    /// `$uri`: decoded and normalised.
    pub(super) path: String,
    /// `$args`, where they are not those of the request any more.
    args: Option<String>,
    /// The path is not what the client asked for any more.
    pub(super) rewritten: bool,
    /// It was sent on inside: `internal` locations are open to it.
    pub(super) internal: bool,
    /// A page stands in for an error.
    pub(super) in_error_page: bool,
    /// The status that the client gets, where it is not the answer's.
    pub(super) status: Option<u16>,
    /// The method, where it is not the client's any more.
    pub(super) method: Option<Method>,
    /// What peers said before a page stood in.
    pub(super) told: Option<Box<Told>>,
    /// `$upstream_addr` of then.
    pub(super) upstream_addr: Box<str>,
    /// `$proxy_host`, where variables tell it.
    pub(super) proxy_host: Option<String>,
    /// `$limit_req_status`; a request is limited once.
    pub(super) limit_req_status: &'static str,
    /// `$limit_conn_status`
    pub(super) limit_conn_status: &'static str,
    /// `$request_body`, where somebody asks for it.
    pub(super) body: Option<Bytes>,
    /// The body has gone to a peer.
    pub(super) body_is_gone: bool,
    /// `$limit_rate`, where a script sets it.
    pub(super) rate: Option<u64>,
    /// How a client is asked who it is.
    pub(super) challenge: Vec<HeaderValue>,
    /// How many requests it was made for, each for the sake of the other.
    pub(super) depth: u8,
    /// What `<!--# set -->` has set.
    pub(super) ssi: BTreeMap<String, String>,
    /// Changes of the path that are left.
    changes: u8,
    /// The variables of the configuration's own, by their numbers.
    own: Vec<String>,
    captures: Captures,
}

/// What the groups of the last regular expression took.
#[derive(Debug, Default)]
struct Captures(Vec<String>);

/// The path has changed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cycle;

impl State {
    pub(super) fn new(path: String) -> Self {
        Self {
            path,
            args: None,
            rewritten: false,
            internal: false,
            in_error_page: false,
            status: None,
            method: None,
            told: None,
            upstream_addr: Box::default(),
            proxy_host: None,
            limit_req_status: "",
            limit_conn_status: "",
            body: None,
            body_is_gone: false,
            rate: None,
            challenge: Vec::new(),
            depth: 0,
            ssi: BTreeMap::new(),
            changes: CHANGES,
            own: Vec::new(),
            captures: Captures::default(),
        }
    }

    /// That of a request for a part of the answer: what has been set is set there, too.
    pub(super) fn of_part(&self, path: String, args: String) -> Self {
        Self {
            args: Some(args),
            rewritten: true,
            internal: true,
            method: Some(Method::GET),
            limit_req_status: self.limit_req_status,
            limit_conn_status: self.limit_conn_status,
            depth: self.depth + 1,
            ssi: self.ssi.clone(),
            own: self.own.clone(),
            ..Self::new(path)
        }
    }

    /// Takes over what has been set there.
    pub(super) fn take_over(&mut self, part: Self) {
        (self.ssi, self.own) = (part.ssi, part.own);
    }

    /// `$args`
    pub(super) fn args<'s>(&'s self, parts: &'s Parts) -> Option<&'s str> {
        match &self.args {
            Some(args) if args.is_empty() => None,
            Some(args) => Some(args),
            None => parts.uri.query(),
        }
    }

    pub(super) fn set_args(&mut self, args: String) {
        self.args = Some(args);
    }

    /// Whether the target is still as the client sent it.
    pub(super) fn is_as_received(&self) -> bool {
        !self.rewritten && self.args.is_none()
    }

    /// `set`, and what sets variables elsewhere.
    pub(super) fn assign(&mut self, variable: Assigned, value: String) {
        match variable {
            Assigned::Own(number) => self.set_own(number, value),
            Assigned::Args => self.set_args(value),
            Assigned::Rate => self.rate = Some(pace::size(&value)),
        }
    }

    /// The value of a variable of the configuration's own.
    pub(super) fn own(&self, number: usize) -> &str {
        self.own.get(number).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn set_own(&mut self, number: usize, value: String) {
        if self.own.len() <= number {
            self.own.resize(number + 1, String::new());
        }
        self.own[number] = value;
    }

    /// `$1` to `$9`
    pub(super) fn capture(&self, group: usize) -> &str {
        self.captures.0.get(group).map(String::as_str).unwrap_or_default()
    }

    /// Whether a text fits; what the groups take can be asked for then.
    pub(super) fn fits(&mut self, pattern: &Pattern, text: &str) -> bool {
        if !pattern.captures() {
            return pattern.regex.is_match(text);
        }
        let Some(found) = pattern.regex.captures(text) else {
            return false;
        };
        let taken = |group: Option<regex::Match<'_>>| {
            group.map_or_else(String::new, |group| group.as_str().to_owned())
        };
        let captures: Vec<_> = found.iter().map(taken).collect();
        for (group, number) in &pattern.names {
            self.set_own(*number, captures[*group].clone());
        }
        self.captures = Captures(captures);
        true
    }

    /// Whether the path fits.
    pub(super) fn path_fits(&mut self, pattern: &Pattern) -> bool {
        let path = std::mem::take(&mut self.path);
        let fits = self.fits(pattern, &path);
        self.path = path;
        fits
    }

    /// Counts a change of the path.
    pub(super) fn change(&mut self) -> Result<(), Cycle> {
        self.changes = self.changes.checked_sub(1).ok_or(Cycle)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn groups_are_kept_until_the_next_expression_with_groups_fits() {
        let mut state = State::new("/a/b".to_owned());
        let named =
            Pattern { regex: Regex::new("^/(?<first>[a-z])/(.)").unwrap(), names: vec![(1, 3)] };
        assert!(state.path_fits(&named));
        assert_eq!((state.capture(1), state.capture(2), state.own(3)), ("a", "b", "a"));
        assert!(state.fits(&Regex::new("x").unwrap().into(), "x"));
        assert!(!state.fits(&Regex::new("(x)").unwrap().into(), "y"));
        assert_eq!((state.capture(2), state.capture(3), state.own(0)), ("b", "", ""));
    }

    #[test]
    fn a_path_changes_ten_times_at_most() {
        let mut state = State::new("/".to_owned());
        let changes = std::iter::from_fn(|| state.change().ok()).take(100).count();
        assert_eq!(changes, 10);
    }
}
