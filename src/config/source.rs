//! Texts that were read, and places in them. Every value of the raw configuration knows its place,
//! so that whatever is found wrong with it later can be shown where it was written.

use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The language of a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Wayhold's own: nginx's words in TOML.
    #[default]
    Toml,
    /// An nginx.conf.
    Nginx,
}

/// A text that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// Its turn: 0 is the main file, includes follow in the order they were read.
    pub(super) index: usize,
    /// What messages call it: the path as the user would write it.
    pub(super) name: String,
    /// The text; empty when the file could not be read.
    pub(super) text: String,
    /// What relative paths in it are relative to, absolute.
    pub(super) dir: PathBuf,
    /// Its language, in which it is also talked about.
    pub(super) format: Format,
}

#[cfg(test)]
impl Source {
    /// A text on its own.
    pub(super) fn test(text: &str) -> Self {
        Self {
            index: 0,
            name: "x.conf".into(),
            text: text.into(),
            dir: "/etc".into(),
            format: Format::Nginx,
        }
    }
}

/// A stretch of a source.
/// Invariant: `span` lies inside the text, on character boundaries.
#[derive(Clone, Debug)]
pub(super) struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// The stretch `span` of `source`, cut to what the text has.
    pub(super) fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = &source.text;
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end).max(start);
        Self { source: Arc::clone(source), span: start..end }
    }

    /// The very beginning of `source`.
    pub(super) fn start_of(source: &Arc<Source>) -> Self {
        Self::new(source, 0..0)
    }

    /// The source.
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The stretch in bytes.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The text that stands there.
    pub(super) fn text(&self) -> &str {
        &self.source.text[self.span.clone()]
    }

    /// The line it begins on, from 1.
    pub(super) fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// The character of that line it begins at, from 1.
    pub(super) fn column(&self) -> usize {
        let before = self.before();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        before[line_start..].chars().count() + 1
    }

    /// Only what stands on the first of its lines: a caret under a whole table says nothing.
    pub(super) fn first_line(&self) -> Range<usize> {
        let length = self.text().find(['\n', '\r']).unwrap_or(self.span.len());
        self.span.start..self.span.start + length
    }

    /// The line it begins on, whole.
    pub(super) fn whole_line(&self) -> &str {
        let text = &self.source.text;
        let start = self.before().rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        &text[start..end]
    }

    /// The stretch `part` of a string value, when the string is written without escapes and
    /// substitutions; else the whole.
    pub(super) fn part(&self, value: &str, part: Range<usize>) -> Self {
        let written = self.text();
        let quoted = written.get(1..written.len().saturating_sub(1));
        if quoted != Some(value) {
            return self.clone();
        }
        let start = self.span.start + 1;
        Self::new(&self.source, start + part.start..start + part.end)
    }

    /// Whether the string that is written here takes in a file, which may hold a secret.
    pub(super) fn is_from_file(&self) -> bool {
        self.text().contains("${file:")
    }

    /// The key for the order of reading.
    pub(super) fn order(&self) -> (usize, usize) {
        (self.source.index, self.span.start)
    }

    /// `path`, made absolute as seen from this place.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.source.dir.join(path)
    }

    fn before(&self) -> &str {
        &self.source.text[..self.span.start]
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    /// The value.
    pub(super) value: T,
    /// Where it was written.
    pub(super) place: Place,
}

impl<T> At<T> {
    pub(super) fn new(value: T, place: &Place) -> Self {
        Self { value, place: place.clone() }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source::test(text))
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let source = source("a\nüö = 1\n");
        let place = Place::new(&source, 7..8);
        assert_eq!((place.line(), place.column()), (2, 4));
    }

    #[test]
    fn a_span_outside_the_text_is_cut() {
        let source = source("ü");
        assert_eq!(Place::new(&source, 1..99).span(), 0..2);
    }

    #[test]
    fn a_part_is_found_only_in_a_plain_string() {
        let source = source(r#"a = "80 ssl" b = "8\u0030 ssl""#);
        let plain = Place::new(&source, 4..12);
        assert_eq!(plain.part("80 ssl", 3..6).text(), "ssl");
        let escaped = Place::new(&source, 17..30);
        assert_eq!(escaped.part("80 ssl", 3..6).text(), escaped.text());
    }
}
