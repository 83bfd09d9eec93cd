//! An nginx.conf as a tree of directives that know their places. Faults are told in nginx's words,
//! and parsing goes on behind them. Pure; not here: which directives there are (`names`).

use std::sync::Arc;

use super::super::source::{At, Place, Source};
use super::lexer::{Kind, Lexer, Token};

/// Blocks in blocks at most: more is a mistake, or an attack on the stack.
const DEEPEST: usize = 64;

/// A directive: its name, its arguments, and its block if it has one.
#[derive(Clone, Debug)]
pub(in crate::config) struct Directive {
    pub(super) name: At<String>,
    pub(super) args: Vec<At<String>>,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// Where it is reported.
    pub(super) fn place(&self) -> &Place {
        &self.name.place
    }

    /// The argument with this index; empty when there is none.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map(|arg| arg.as_str()).unwrap_or_default()
    }

    /// What stands in its block.
    pub(super) fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// A fault of the syntax.
#[derive(Clone, Debug)]
pub(in crate::config) struct Fault {
    pub(super) message: String,
    pub(super) place: Place,
}

/// Parses a file.
pub(in crate::config) fn parse(source: &Arc<Source>) -> (Vec<Directive>, Vec<Fault>) {
    let mut parser = Parser { lexer: Lexer::new(source), faults: Vec::new() };
    let mut tree = Vec::new();
    while let Some(stray) = parser.block(0, &mut tree) {
        parser.fault(&stray, "unexpected \"}\"");
    }
    (tree, parser.faults)
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    faults: Vec<Fault>,
}

impl Parser<'_> {
    fn fault(&mut self, place: &Place, message: impl Into<String>) {
        self.faults.push(Fault { message: message.into(), place: place.clone() });
    }

    /// Directives up to the `}` of their block, whose place comes back, or to the end of the file.
    fn block(&mut self, depth: usize, into: &mut Vec<Directive>) -> Option<Place> {
        let mut words: Vec<At<String>> = Vec::new();
        loop {
            let Token { kind, place } = self.lexer.next();
            match kind {
                Kind::Word(word) => words.push(At::new(word, &place)),
                Kind::Semicolon => match directive(&mut words, None) {
                    Some(directive) => into.push(directive),
                    None => self.fault(&place, "unexpected \";\""),
                },
                Kind::Open => {
                    if words.is_empty() {
                        self.fault(&place, "unexpected \"{\"");
                    }
                    let mut inner = Vec::new();
                    let closed = self.inner_block(depth, &place, &mut inner);
                    into.extend(directive(&mut words, Some(inner)));
                    if !closed {
                        return None;
                    }
                }
                Kind::Close if words.is_empty() => return Some(place),
                Kind::Close => {
                    // what is missing is most likely a `;`: the block ends here all the same
                    self.fault(&place, "unexpected \"}\"");
                    into.extend(directive(&mut words, None));
                    return (depth > 0).then_some(place).or_else(|| self.block(depth, into));
                }
                Kind::Unexpected(c) => {
                    self.fault(&place, format!("unexpected \"{}\"", c.escape_debug()));
                }
                Kind::End { in_word } => {
                    if in_word || !words.is_empty() {
                        self.fault(&place, "unexpected end of file, expecting \";\" or \"}\"");
                    } else if depth > 0 {
                        self.fault(&place, "unexpected end of file, expecting \"}\"");
                    }
                    return None;
                }
            }
        }
    }

    /// The content of a block that was opened at `open`; false when the file ends in it.
    fn inner_block(&mut self, depth: usize, open: &Place, into: &mut Vec<Directive>) -> bool {
        if depth < DEEPEST {
            return self.block(depth + 1, into).is_some();
        }
        self.fault(open, "too many blocks are nested here");
        let mut deeper = 1;
        while deeper > 0 {
            match self.lexer.next().kind {
                Kind::Open => deeper += 1,
                Kind::Close => deeper -= 1,
                Kind::End { .. } => return false,
                Kind::Word(_) | Kind::Semicolon | Kind::Unexpected(_) => {}
            }
        }
        true
    }
}

/// The directive of these words, which are used up; `None` when there are none.
fn directive(words: &mut Vec<At<String>>, block: Option<Vec<Directive>>) -> Option<Directive> {
    let mut words = std::mem::take(words).into_iter();
    Some(Directive { name: words.next()?, args: words.collect(), block })
}

/// Whether a text that may be TOML is rather an nginx.conf: by its first statement. One of nginx's
/// begins with two words, or with a word and `;` or `{`; one of TOML's with `[`, or with a key and
/// `=` or `.`.
pub(in crate::config) fn is_nginx(source: &Arc<Source>) -> bool {
    let mut lexer = Lexer::new(source);
    let Kind::Word(first) = lexer.next().kind else {
        return false;
    };
    let plain = first.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    plain
        && match lexer.next().kind {
            Kind::Word(second) => !second.starts_with('='),
            Kind::Semicolon | Kind::Open => true,
            Kind::Close | Kind::End { .. } | Kind::Unexpected(_) => false,
        }
}

/// A tree as text: parsed again, it is the same.
#[cfg(test)]
fn print(tree: &[Directive], depth: usize, out: &mut String) {
    for directive in tree {
        out.push_str(&"    ".repeat(depth));
        for (index, word) in std::iter::once(&directive.name).chain(&directive.args).enumerate() {
            if index > 0 {
                out.push(' ');
            }
            out.push('"');
            out.push_str(&word.replace('\\', "\\\\").replace('"', "\\\""));
            out.push('"');
        }
        match &directive.block {
            None => out.push_str(" ;\n"),
            Some(block) => {
                out.push_str(" {\n");
                print(block, depth + 1, out);
                out.push_str(&"    ".repeat(depth));
                out.push_str("}\n");
            }
        }
    }
}

/// Whether two trees say the same, wherever it was written.
#[cfg(test)]
fn same(a: &[Directive], b: &[Directive]) -> bool {
    let words = |a: &[At<String>], b: &[At<String>]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value == b.value)
    };
    let one = |a: &Directive, b: &Directive| {
        a.name.value == b.name.value
            && words(&a.args, &b.args)
            && match (&a.block, &b.block) {
                (None, None) => true,
                (Some(a), Some(b)) => same(a, b),
                _ => false,
            }
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| one(a, b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (Vec<Directive>, Vec<Fault>) {
        parse(&Arc::new(Source::test(text)))
    }

    /// `line:column message` of every fault.
    fn faults(text: &str) -> Vec<String> {
        let told = |fault: &Fault| {
            format!("{}:{} {}", fault.place.line(), fault.place.column(), fault.message)
        };
        parsed(text).1.iter().map(told).collect()
    }

    #[test]
    fn a_tree_has_words_and_blocks() {
        let (tree, faults) = parsed("a b 'c d';\nhttp {\n  # no\n  server { listen 80; }\n}\n");
        assert!(faults.is_empty());
        assert_eq!(tree[0].args.iter().map(|a| a.as_str()).collect::<Vec<_>>(), ["b", "c d"]);
        let listen = &tree[1].children()[0].children()[0];
        assert_eq!((listen.name.as_str(), listen.arg(0), listen.arg(1)), ("listen", "80", ""));
        assert_eq!((listen.place().line(), listen.place().column()), (4, 12));
        assert!(tree[0].block.is_none());
    }

    #[test]
    fn faults_are_nginx_s() {
        for (text, told) in [
            ("a b;\n}\nc;", "2:1 unexpected \"}\""),
            ("a {\n b }\nc;", "2:4 unexpected \"}\""),
            ("; a;", "1:1 unexpected \";\""),
            ("{ a; }", "1:1 unexpected \"{\""),
            ("a \"b\"c;", "1:6 unexpected \"c\""),
            ("a {\nb;\n", "2:2 unexpected end of file, expecting \"}\""),
            ("a {\nb", "2:1 unexpected end of file, expecting \";\" or \"}\""),
            ("a 'b;\n", "1:5 unexpected end of file, expecting \";\" or \"}\""),
        ] {
            assert_eq!(faults(text), [told], "{text}");
        }
        assert_eq!(faults("}\n;\n}\na").len(), 4, "all of them at once");
    }

    #[test]
    fn what_stands_behind_a_fault_is_read() {
        let (tree, _) = parsed("a {\n b }\nc; } d;");
        let names: Vec<_> = tree.iter().map(|directive| directive.name.as_str()).collect();
        assert_eq!(names, ["a", "c", "d"]);
    }

    #[test]
    fn blocks_may_not_be_nested_without_end() {
        let text = format!("{}{}", "a {".repeat(100_000), "}".repeat(100_000));
        assert!(faults(&text)[0].ends_with("too many blocks are nested here"));
        assert!(!faults(&"a {".repeat(100_000)).is_empty());
        assert_eq!(faults(&format!("{}x;{}", "a {".repeat(64), "}".repeat(64))), [""; 0]);
    }

    #[test]
    fn the_first_statement_tells_the_language() {
        for (text, nginx) in [
            ("# c\nuser www;\n", true),
            ("events {}\n[[server]]", true),
            ("daemon off;", true),
            ("worker_processes = 4\nuser www;", false),
            ("worker_processes= 4", false),
            ("upstream.a.balance = \"random\"", false),
            ("[[server]]\nlisten 80;", false),
            ("\"a\" = 1", false),
            ("", false),
            ("server", false),
        ] {
            assert_eq!(is_nginx(&Arc::new(Source::test(text))), nginx, "{text}");
        }
    }

    fn any_tree() -> impl Strategy<Value = String> {
        prop::collection::vec("[a-z;{}\"'\\\\$# \n]{0,3}", 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn a_printed_tree_is_parsed_to_the_same(text in any_tree()) {
            let (tree, _) = parsed(&text);
            let mut printed = String::new();
            print(&tree, 0, &mut printed);
            let (again, faults) = parsed(&printed);
            prop_assert!(faults.is_empty(), "{printed}\n{faults:?}");
            prop_assert!(same(&tree, &again), "{printed}");
        }
    }
}
