//! What is said about an nginx.conf: its faults, what could not be carried over, and what changes
//! nothing.

use super::super::diagnostic::{Diagnostic, Diagnostics};
use super::super::source::Place;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Weight {
    /// nginx would not take the file.
    Emerg,
    /// It is not carried over: a server that runs this file refuses to.
    Refused,
    /// It is left out, and something differs then.
    Differs,
    /// It is left out, and nothing differs.
    Note,
}

/// One thing that is said.
#[derive(Clone, Debug)]
pub(in crate::config) struct Remark {
    pub(in crate::config) weight: Weight,
    pub(in crate::config) place: Place,
    pub(in crate::config) message: String,
}

/// All of it.
#[derive(Debug, Default)]
pub(in crate::config) struct Remarks(pub(in crate::config) Vec<Remark>);

impl Remarks {
    fn push(&mut self, weight: Weight, place: &Place, message: impl Into<String>) {
        self.0.push(Remark { weight, place: place.clone(), message: printable(message.into()) });
    }

    pub(super) fn emerg(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Weight::Emerg, place, message);
    }

    pub(super) fn refused(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Weight::Refused, place, message);
    }

    pub(super) fn differs(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Weight::Differs, place, message);
    }

    pub(super) fn note(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Weight::Note, place, message);
    }

    /// What whoever runs the file is told: notes are not, as nothing differs.
    pub(in crate::config) fn report(&self, out: &mut Diagnostics) {
        for remark in &self.0 {
            match remark.weight {
                Weight::Emerg | Weight::Refused => {
                    out.push(Diagnostic::error(&remark.place, &remark.message));
                }
                Weight::Differs => out.push(Diagnostic::warning(&remark.place, &remark.message)),
                Weight::Note => {}
            }
        }
    }
}

/// A message with words of the file in it: their control characters are escaped.
fn printable(message: String) -> String {
    if !message.contains(char::is_control) {
        return message;
    }
    let mut escaped = String::with_capacity(message.len() + 8);
    for c in message.chars() {
        if c.is_control() {
            escaped.extend(c.escape_debug());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_the_file_are_not_said() {
        assert_eq!(printable("a \"b\0\u{1b}[31m\n\" é".to_owned()), "a \"b\\0\\u{1b}[31m\\n\" é");
    }
}
