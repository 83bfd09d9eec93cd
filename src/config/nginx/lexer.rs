//! Words and marks of an nginx.conf, with their places: quotes, backslashes, comments. Pure.

use std::iter::Peekable;
use std::str::CharIndices;
use std::sync::Arc;

use super::super::source::{Place, Source};

/// A word, a mark, or the end.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, quotes and escapes resolved.
    Word(String),
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// The end of the file, at its last character; `in_word` when a word was not finished.
    End { in_word: bool },
    /// A character that may not stand behind a quoted word.
    Unexpected(char),
}

/// Takes a text apart.
pub(super) struct Lexer<'s> {
    source: &'s Arc<Source>,
    chars: Peekable<CharIndices<'s>>,
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s Arc<Source>) -> Self {
        Self { source, chars: source.text.char_indices().peekable() }
    }

    /// The next token; [`Kind::End`] for ever at the end.
    pub(super) fn next(&mut self) -> Token {
        self.skip_blanks();
        let Some((start, first)) = self.chars.next() else {
            return self.end(false);
        };
        match first {
            ';' => self.token(start, Kind::Semicolon),
            '{' => self.token(start, Kind::Open),
            '}' => self.token(start, Kind::Close),
            '"' | '\'' => self.quoted(start, first),
            _ => self.plain(start, first),
        }
    }

    fn skip_blanks(&mut self) {
        while let Some((_, c)) = self.chars.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' => {
                    self.chars.next();
                }
                '#' => while self.chars.next_if(|(_, c)| *c != '\n').is_some() {},
                _ => break,
            }
        }
    }

    /// A word in quotes; behind it only a blank, `;`, `{` or `)` may stand.
    fn quoted(&mut self, start: usize, quote: char) -> Token {
        let mut value = String::new();
        loop {
            match self.chars.next() {
                None => return self.end(true),
                Some((_, c)) if c == quote => break,
                Some((_, '\\')) => match self.chars.next() {
                    None => return self.end(true),
                    Some((_, escaped)) => unescape(escaped, &mut value),
                },
                Some((_, c)) => value.push(c),
            }
        }
        match self.chars.peek().copied() {
            Some((at, c)) if !matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '{' | ')') => {
                self.chars.next();
                self.token(at, Kind::Unexpected(c))
            }
            None => self.end(true),
            Some(_) => self.token(start, Kind::Word(value)),
        }
    }

    /// A word without quotes ends before a blank, `;`, or a `{` that is none of `${`.
    fn plain(&mut self, start: usize, first: char) -> Token {
        let mut value = String::new();
        let mut next = Some(first);
        let mut behind_dollar;
        while let Some(c) = next {
            if c == '\\' {
                match self.chars.next() {
                    None => return self.end(true),
                    Some((_, escaped)) => unescape(escaped, &mut value),
                }
                behind_dollar = false;
            } else {
                value.push(c);
                behind_dollar = c == '$';
            }
            let goes_on = |c: char| match c {
                ' ' | '\t' | '\r' | '\n' | ';' => false,
                '{' => behind_dollar,
                _ => true,
            };
            if self.chars.peek().is_none() {
                return self.end(true);
            }
            next = self.chars.next_if(|(_, c)| goes_on(*c)).map(|(_, c)| c);
        }
        self.token(start, Kind::Word(value))
    }

    /// A token from `start` to here.
    fn token(&mut self, start: usize, kind: Kind) -> Token {
        let end = self.chars.peek().map_or(self.source.text.len(), |(at, _)| *at);
        Token { kind, place: Place::new(self.source, start..end) }
    }

    fn end(&self, in_word: bool) -> Token {
        let text = self.source.text.trim_end();
        let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
        Token { kind: Kind::End { in_word }, place: Place::new(self.source, last..text.len()) }
    }
}

/// A backslash stands for itself except in front of a quote, another backslash, or `t`, `r`, `n`.
fn unescape(escaped: char, value: &mut String) {
    match escaped {
        '"' | '\'' | '\\' => value.push(escaped),
        't' => value.push('\t'),
        'r' => value.push('\r'),
        'n' => value.push('\n'),
        _ => value.extend(['\\', escaped]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let source = Arc::new(Source::test(text));
        let mut lexer = Lexer::new(&source);
        let mut kinds = Vec::new();
        loop {
            let kind = lexer.next().kind;
            let last = matches!(kind, Kind::End { .. });
            kinds.push(kind);
            if last {
                return kinds;
            }
        }
    }

    fn word(text: &str) -> String {
        match &kinds(&format!("{text} ;"))[..] {
            [Kind::Word(word), Kind::Semicolon, Kind::End { in_word: false }] => word.clone(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn words_are_nginx_s() {
        for (text, value) in [
            ("a", "a"),
            (r#""a b;{}#""#, "a b;{}#"),
            (r"'it\'s'", "it's"),
            (r#""\"\\\t\n\r\d""#, "\"\\\t\n\r\\d"),
            (r"~\.php$", r"~\.php$"),
            (r"a\ b", r"a\ b"),
            ("${host}x", "${host}x"),
            ("a#b", "a#b"),
            ("a\"b\"c", "a\"b\"c"),
            ("a}b", "a}b"),
            ("''", ""),
            ("\"a\nb\"", "a\nb"),
        ] {
            assert_eq!(word(text), value, "{text}");
        }
    }

    #[test]
    fn marks_end_words() {
        let word = |text: &str| Kind::Word(text.to_owned());
        let end = Kind::End { in_word: false };
        assert_eq!(
            kinds("a{b;}# c\n\"d\"{"),
            [
                word("a"),
                Kind::Open,
                word("b"),
                Kind::Semicolon,
                Kind::Close,
                word("d"),
                Kind::Open,
                end
            ]
        );
    }

    #[test]
    fn what_is_not_finished_is_told() {
        for text in ["a", "\"a", "'a\\", "a\\", "\"a\""] {
            assert_eq!(kinds(text), [Kind::End { in_word: true }], "{text}");
        }
        assert_eq!(kinds("\"a\"b ;")[0], Kind::Unexpected('b'));
        assert_eq!(kinds(" # a"), [Kind::End { in_word: false }]);
    }
}
