//! Bytes: how the corpus writes them, WebSocket frames both ways, and a lenient reading of answers.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};
use toml::Table;

use super::keys::Keys;

/// The virtual host of the tests.
pub const HOST: &str = "example.test";
/// The key of RFC 6455's example.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The masking key of every masked frame.
const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// Fills in what stands for the host, the key and the case.
pub fn fill(text: &str, id: &str) -> String {
    text.replace("{{HOST}}", HOST).replace("{{KEY}}", KEY).replace("{{ID}}", id)
}

/// One byte for each character.
pub fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A pattern over bytes, without regard to case, over lines.
pub fn pattern(text: &str) -> Regex {
    RegexBuilder::new(text)
        .unicode(false)
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .size_limit(1 << 28)
        .build()
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A frame as a case writes it: `op`, `payload` (or `payload_hex`, `code`), `fin`, `rsv`, `mask`,
/// and `len` and `form` (7, 16 or 64 bits) where the length is to be a lie or long-winded.
pub fn frame_of(id: &str, table: Table) -> Vec<u8> {
    let mut keys = Keys::new(id, table);
    let times = keys.number("times").unwrap_or(1.0) as usize;
    let mut payload = keys.text("payload").map(|text| latin1(&text).repeat(times));
    payload = payload.or_else(|| keys.text("payload_hex").map(|text| unhex(&text)));
    let mut payload = payload.unwrap_or_default();
    if let Some(code) = keys.number("code") {
        payload.splice(0..0, (code as u16).to_be_bytes());
    }
    let len = keys.integer("len").unwrap_or(payload.len() as u64);
    let form = keys.number("form").map_or(0, |form| form as u8);
    let fin = keys.maybe("fin").unwrap_or(true);
    let first = (u8::from(fin) << 7)
        | ((keys.number("rsv").unwrap_or(0.0) as u8) << 4)
        | keys.number("op").unwrap() as u8;
    let masked = keys.maybe("mask").unwrap_or(true);
    keys.finish();
    frame(first, &payload, masked, len, form)
}

/// `form` 0 is the shortest.
pub fn frame(first: u8, payload: &[u8], masked: bool, len: u64, form: u8) -> Vec<u8> {
    let bit = u8::from(masked) << 7;
    let mut out = vec![first];
    match (form, len) {
        (7, _) | (0, 0..126) => out.push(bit | len as u8),
        (16, _) | (0, 126..65_536) => {
            out.push(bit | 0x7e);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(bit | 0x7f);
            out.extend(len.to_be_bytes());
        }
    }
    if masked {
        out.extend(MASK);
        out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        out.extend(payload);
    }
    out
}

/// The whole frames of a stream: first byte and unmasked payload.
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some((frame, len)) = first_frame(bytes) {
        all.push(frame);
        bytes = &bytes[len..];
    }
    all
}

fn first_frame(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (len, mut at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        len => (u64::from(len), 2),
    };
    let mut key = [0; 4];
    if second & 0x80 != 0 {
        key.copy_from_slice(bytes.get(at..at + 4)?);
        at += 4;
    }
    let end = at.checked_add(usize::try_from(len).ok()?)?;
    let payload = bytes.get(at..end)?;
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some(((first, payload), end))
}

/// One answer on a client's connection.
pub struct Answer<'a> {
    pub status: i64,
    /// What follows its head; of a 101, everything.
    pub body: &'a [u8],
}

static LINE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^HTTP/\d\.\d (\d{3})[^\r\n]*\r?\n"));
static CHUNKED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\ntransfer-encoding:\s*chunked"));
static LENGTH: LazyLock<Regex> = LazyLock::new(|| pattern(r"\ncontent-length:\s*(\d+)"));

/// The answers in what a client received, up to what is none.
pub fn answers(mut bytes: &[u8]) -> Vec<Answer<'_>> {
    let mut all = Vec::new();
    while let Some(found) = LINE.captures(bytes) {
        let status: i64 = str::from_utf8(&found[1]).unwrap().parse().unwrap();
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            all.push(Answer { status, body: &[] });
            break;
        };
        let (head, rest) = bytes.split_at(end + 4);
        let len = if status == 101 {
            rest.len()
        } else if status < 200 || status == 204 || status == 304 {
            0
        } else if CHUNKED.is_match(head) {
            chunked_len(rest)
        } else {
            let digits = LENGTH.captures(head).map(|found| found[1].to_vec());
            let len = digits.and_then(|digits| String::from_utf8(digits).ok()?.parse().ok());
            len.unwrap_or(rest.len()).min(rest.len())
        };
        all.push(Answer { status, body: &rest[..len] });
        bytes = &rest[len..];
    }
    all
}

/// How many bytes a chunked body takes, as far as it goes.
fn chunked_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = bytes.get(at..).and_then(|rest| find(rest, b"\r\n")) {
        let digits = bytes[at..at + len].split(|b| *b == b';').next().unwrap_or_default();
        let text = str::from_utf8(digits).unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(text, 16) else { break };
        at = (at + len + 2 + size + 2).min(bytes.len());
        if size == 0 {
            break;
        }
    }
    at
}

pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
