//! A document with commands: `<!--#name parameter="value" … -->`. Pure.

/// A piece of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'d> {
    /// This, as it is.
    Text(&'d [u8]),
    Command(Command),
    /// What looks like a command and is none.
    Malformed,
}

/// A command: `include`, `echo`, and so on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, String)>,
}

impl Command {
    /// The first parameter of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known == name;
        self.parameters.iter().find(named).map(|(_, value)| value.as_str())
    }
}

const START: &[u8] = b"<!--#";
const END: &[u8] = b"-->";

/// Takes a document apart. What begins like a command and never ends is text.
pub(super) fn parse(mut rest: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while let Some(start) = find(rest, START) {
        let inner = &rest[start + START.len()..];
        let Some((command, length)) = command(inner) else {
            break;
        };
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        pieces.push(command.map_or(Piece::Malformed, Piece::Command));
        rest = &inner[length..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// The command that is written here, with the length of it; `None` when it has no end.
fn command(text: &[u8]) -> Option<(Option<Command>, usize)> {
    let mut scan = Scan { text, at: 0 };
    match scan.command() {
        Some(command) => Some((Some(command), scan.at)),
        // what is malformed ends where a comment does
        None => find(text, END).map(|end| (None, end + END.len())),
    }
}

struct Scan<'d> {
    text: &'d [u8],
    at: usize,
}

impl Scan<'_> {
    fn command(&mut self) -> Option<Command> {
        self.space();
        let name = self.word();
        let mut parameters = Vec::new();
        loop {
            self.space();
            if self.text[self.at..].starts_with(END) {
                self.at += END.len();
                return (!name.is_empty()).then_some(Command { name, parameters });
            }
            let parameter = self.word();
            if parameter.is_empty() {
                return None;
            }
            self.space();
            self.take(b'=')?;
            self.space();
            parameters.push((parameter, self.value()?));
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.at += 1;
        }
        String::from_utf8_lossy(&self.text[start..self.at]).to_ascii_lowercase()
    }

    /// What stands in quotes; a backslash takes its meaning from a quote or another backslash.
    fn value(&mut self) -> Option<String> {
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''))?;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'\\' if self.peek().is_some_and(|next| next == quote || next == b'\\') => {
                    value.extend(self.peek());
                    self.at += 1;
                }
                _ if byte == quote => return Some(String::from_utf8_lossy(&value).into_owned()),
                _ => value.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(document: &str) -> String {
        let pieces = parse(document.as_bytes()).into_iter().map(|piece| match piece {
            Piece::Text(text) => format!("({})", String::from_utf8_lossy(text)),
            Piece::Malformed => "!".to_owned(),
            Piece::Command(Command { name, parameters }) => format!("{name}{parameters:?}"),
        });
        pieces.collect()
    }

    #[test]
    fn commands_are_told_from_text() {
        for (document, pieces) in [
            ("", ""),
            ("<p>a</p>", "(<p>a</p>)"),
            ("a<!--#echo var=\"x\" -->b", "(a)echo[(\"var\", \"x\")](b)"),
            (
                "<!--#INCLUDE  virtual = '/a\"b' wait='yes'-->",
                "include[(\"virtual\", \"/a\\\"b\"), (\"wait\", \"yes\")]",
            ),
            (
                "<!--#set var=\"a\" value=\"\\\"-->\\\\ \\n\" -->",
                "set[(\"var\", \"a\"), (\"value\", \"\\\"-->\\\\ \\\\n\")]",
            ),
            ("<!--#endif --><!-- a -->", "endif[](<!-- a -->)"),
            ("<!--#echo var -->b", "!(b)"),
            ("<!--# -->", "!"),
            ("<!--#echo var=\"x", "(<!--#echo var=\"x)"),
        ] {
            assert_eq!(shown(document), pieces, "{document}");
        }
    }
}
