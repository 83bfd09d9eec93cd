//! HTTP/1.1 messages read a second time, in the ways that servers are known to read them. Bytes are
//! unambiguous when all of them find the same requests.

/// How a reader takes what the RFCs forbid, or leave to it.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// A lone LF ends a line too.
    pub bare_lf: bool,
    /// So does a lone CR.
    pub bare_cr: bool,
    /// A length counts even beside chunks.
    pub length_first: bool,
    /// Of several lengths the last counts.
    pub last_length: bool,
    /// Whatever `Transfer-Encoding` says, it means chunks.
    pub any_coding: bool,
    /// Names are compared without spaces around them. (That some take `_` for `-` is dealt with
    /// behind the guard: such fields do not go to an upstream.)
    pub loose_names: bool,
    /// A line that begins with a space goes on with the one before.
    pub folds: bool,
    /// A length is read as far as it has digits, with sign and spaces before them.
    pub loose_numbers: bool,
    /// A NUL ends a line's text.
    pub c_strings: bool,
}

impl Habits {
    /// None of them.
    pub const STRICT: Self = Self {
        bare_lf: false,
        bare_cr: false,
        length_first: false,
        last_length: false,
        any_coding: false,
        loose_names: false,
        folds: false,
        loose_numbers: false,
        c_strings: false,
    };

    /// Each alone, and all at once.
    pub fn every() -> Vec<Self> {
        let no = Self::STRICT;
        vec![
            no,
            Self { bare_lf: true, ..no },
            Self { bare_cr: true, bare_lf: true, ..no },
            Self { length_first: true, ..no },
            Self { last_length: true, ..no },
            Self { any_coding: true, ..no },
            Self { loose_names: true, ..no },
            Self { folds: true, ..no },
            Self { loose_numbers: true, ..no },
            Self { c_strings: true, ..no },
            Self {
                bare_lf: true,
                bare_cr: true,
                length_first: true,
                last_length: true,
                any_coding: true,
                loose_names: true,
                folds: true,
                loose_numbers: true,
                c_strings: true,
            },
        ]
    }
}

/// A request that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where its head begins and ends.
    pub head: std::ops::Range<usize>,
    pub line: Vec<u8>,
    /// Names and values as they stand, without spaces around the values.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of its body that are data.
    pub body: Vec<u8>,
    /// Where it ends; `None` when it is cut.
    pub end: Option<usize>,
    /// It asks for a WebSocket.
    pub upgrade: bool,
    /// Lines of its trailer section.
    pub trailers: Vec<Vec<u8>>,
}

/// What a reader makes of a connection's bytes: the requests, up to an upgrade, a cut or a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub requests: Vec<Request>,
    /// What is wrong behind them.
    pub fault: Option<&'static str>,
}

pub fn read(bytes: &[u8], habits: Habits) -> Reading {
    let mut reading = Reading { requests: Vec::new(), fault: None };
    let mut at = 0;
    while at < bytes.len() {
        match request(bytes, at, habits) {
            Ok(request) => {
                let (end, upgrade) = (request.end, request.upgrade);
                reading.requests.push(request);
                match end {
                    Some(end) if !upgrade => at = end,
                    _ => return reading,
                }
            }
            Err(fault) => {
                reading.fault = Some(fault);
                return reading;
            }
        }
    }
    reading
}

/// The line that begins at `at`, without its end, and where the next begins; `None` when it is cut.
fn line(bytes: &[u8], at: usize, habits: Habits) -> Option<(&[u8], usize)> {
    let mut end = at;
    let (text, next) = loop {
        match bytes.get(end..)? {
            [b'\r', b'\n', ..] => break (&bytes[at..end], end + 2),
            [b'\n', ..] if habits.bare_lf => break (&bytes[at..end], end + 1),
            [b'\r', ..] if habits.bare_cr => break (&bytes[at..end], end + 1),
            [] => return None,
            _ => end += 1,
        }
    };
    let text_end = text.iter().position(|byte| *byte == 0 && habits.c_strings);
    Some((&text[..text_end.unwrap_or(text.len())], next))
}

fn request(bytes: &[u8], start: usize, habits: Habits) -> Result<Request, &'static str> {
    let (line, mut at) = self::line(bytes, start, habits).ok_or("the head is cut")?;
    let line = line.to_vec();
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let (text, next) = self::line(bytes, at, habits).ok_or("the head is cut")?;
        at = next;
        if text.is_empty() {
            break;
        }
        if habits.folds && matches!(text[0], b' ' | b'\t') {
            let (_, value) = fields.last_mut().ok_or("a fold continues nothing")?;
            value.push(b' ');
            value.extend(text.trim_ascii());
            continue;
        }
        let colon = text.iter().position(|byte| *byte == b':').ok_or("a field has no colon")?;
        fields.push((text[..colon].to_vec(), text[colon + 1..].trim_ascii().to_vec()));
    }
    let upgrade = lists(&fields, "upgrade", b"websocket", habits)
        && lists(&fields, "connection", b"upgrade", habits);
    let framing = framing(&fields, habits)?;
    let (mut body, mut trailers, mut end) = (Vec::new(), Vec::new(), Some(at));
    match framing {
        _ if upgrade => {}
        Framing::Length(length) => {
            let have = (bytes.len() - at) as u64;
            let taken = length.min(have) as usize;
            body.extend(&bytes[at..at + taken]);
            end = (length <= have).then_some(at + taken);
        }
        Framing::Chunks => end = chunks(bytes, at, habits, &mut body, &mut trailers)?,
    }
    Ok(Request { head: start..at, line, fields, body, end, upgrade, trailers })
}

enum Framing {
    Length(u64),
    Chunks,
}

fn is_named(name: &[u8], wanted: &str, habits: Habits) -> bool {
    let name = if habits.loose_names { name.trim_ascii() } else { name };
    name.eq_ignore_ascii_case(wanted.as_bytes())
}

fn values<'a>(fields: &'a [(Vec<u8>, Vec<u8>)], name: &str, habits: Habits) -> Vec<&'a [u8]> {
    let named = fields.iter().filter(|(other, _)| is_named(other, name, habits));
    named.map(|(_, value)| &value[..]).collect()
}

fn lists(fields: &[(Vec<u8>, Vec<u8>)], name: &str, wanted: &[u8], habits: Habits) -> bool {
    let found = values(fields, name, habits);
    found
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(wanted))
}

fn framing(fields: &[(Vec<u8>, Vec<u8>)], habits: Habits) -> Result<Framing, &'static str> {
    let lengths = values(fields, "content-length", habits);
    let codings = values(fields, "transfer-encoding", habits);
    let length = if habits.last_length { lengths.last() } else { lengths.first() };
    let chunked = match codings.last() {
        None => false,
        Some(_) if habits.any_coding => true,
        Some(coding) => coding.to_ascii_lowercase().ends_with(b"chunked"),
    };
    match length {
        Some(length) if !chunked || habits.length_first => {
            number(length, 10, habits).map(Framing::Length).ok_or("the length is no number")
        }
        _ if chunked => Ok(Framing::Chunks),
        _ => Ok(Framing::Length(0)),
    }
}

fn number(text: &[u8], base: u32, habits: Habits) -> Option<u64> {
    let mut text = std::str::from_utf8(text).ok()?;
    if habits.loose_numbers {
        text = text.trim().trim_start_matches(['+', '-']);
        text = text.strip_prefix("0x").filter(|_| base == 16).unwrap_or(text);
        let end = text.find(|c: char| !c.is_digit(base)).unwrap_or(text.len());
        text = &text[..end];
    }
    if text.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(text, base).ok()
}

fn chunks(
    bytes: &[u8],
    mut at: usize,
    habits: Habits,
    body: &mut Vec<u8>,
    trailers: &mut Vec<Vec<u8>>,
) -> Result<Option<usize>, &'static str> {
    loop {
        let Some((size, next)) = line(bytes, at, habits) else {
            return Ok(None);
        };
        let digits = size.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = number(digits.trim_ascii_end(), 16, habits).ok_or("a chunk's size is none")?;
        at = next;
        if size == 0 {
            break;
        }
        let have = (bytes.len() - at) as u64;
        body.extend(&bytes[at..at + size.min(have) as usize]);
        if size >= have {
            return Ok(None);
        }
        at += size as usize;
        match line(bytes, at, habits) {
            Some((b"", next)) => at = next,
            None => return Ok(None),
            Some(_) => return Err("a chunk is longer than its size"),
        }
    }
    loop {
        match line(bytes, at, habits) {
            None => return Ok(None),
            Some((b"", next)) => return Ok(Some(next)),
            Some((trailer, next)) => {
                trailers.push(trailer.to_vec());
                at = next;
            }
        }
    }
}
