//! What the guard lets through is unambiguous: readers of every known habit find the same requests
//! in it as a strict one, hyper's own parser too, and no byte that any of them could stumble over.
//! And it does not depend on how the bytes were cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wayhold::http::fuzzing::{Guarded, Step};
use wayhold_fuzz::http1::{self, Habits, Request};
use wayhold_fuzz::{Input, pieces};

/// Limits that a fuzzer's input can reach.
const HEAD_SIZE: usize = 512;
const FIELDS: usize = 12;

/// What readers have stumbled over.
const TROUBLE: [&[u8]; 28] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\xff",
    b"+",
    b"-",
    b"0",
    b"0x",
    b",",
    b";",
    b":",
    b"Host: b\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: x, chunked\r\n",
    b"http://b",
    b"chunked, ",
    b"0\r\n\r\n",
];

/// What the guard did with a connection's bytes.
#[derive(Debug, PartialEq)]
struct Passed {
    released: Vec<u8>,
    refused: bool,
    held: bool,
    /// Bytes that it waits to see more of.
    waiting: usize,
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let sizes = input.short(12);
    let bytes = input.spoilt(&TROUBLE);
    let whole = pass(&[&bytes]);
    for cut in [pass(&pieces(&bytes, sizes)), pass(&pieces(&bytes, &[1]))] {
        let text = bytes.escape_ascii();
        assert_eq!((whole.refused, whole.held), (cut.refused, cut.held), "{text}");
        // Refused for its first bytes or for its last, a head is let through whole or not at all.
        if whole.refused {
            check(&cut);
        } else {
            assert_eq!(whole.released, cut.released, "{text}");
        }
    }
    check(&whole);
});

fn pass(pieces: &[&[u8]]) -> Passed {
    let mut guard = Guarded::new(HEAD_SIZE, FIELDS);
    let mut passed = Passed { released: Vec::new(), refused: false, held: false, waiting: 0 };
    let mut raw = Vec::new();
    for piece in pieces {
        raw.extend_from_slice(piece);
        loop {
            match guard.step(&raw) {
                Step::Release(len) => {
                    assert!(len > 0, "a release of nothing");
                    passed.released.extend(raw.drain(..len));
                }
                Step::Skip(len) => {
                    assert_eq!(raw.drain(..len).collect::<Vec<_>>(), b"\r\n");
                }
                Step::More => break,
                Step::Hold => {
                    passed.held = true;
                    break;
                }
                Step::Refuse => {
                    passed.refused = true;
                    return passed;
                }
            }
        }
        assert!(passed.held || raw.len() <= 10_000, "more is kept than any limit");
    }
    passed.waiting = raw.len();
    passed
}

fn check(passed: &Passed) {
    let bytes = &passed.released;
    let strict = http1::read(bytes, Habits::STRICT);
    assert_eq!(strict.fault, None, "{}", bytes.escape_ascii());
    for habits in Habits::every() {
        let other = http1::read(bytes, habits);
        assert_eq!(strict, other, "{habits:?}: {}", bytes.escape_ascii());
    }
    for request in &strict.requests {
        check_head(request);
        check_hyper(request, &bytes[request.head.clone()]);
        for trailer in &request.trailers {
            check_trailer(trailer);
        }
    }
    let last = strict.requests.last();
    assert_eq!(passed.held, last.is_some_and(|request| request.upgrade));
    if let Some(Request { upgrade: true, head, .. }) = last {
        assert_eq!(head.end, bytes.len(), "nothing goes on behind an upgrade");
    }
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// RFC 9112 §3, §5, §6 and RFC 9110 §7.2, read strictly.
fn check_head(request: &Request) {
    let words: Vec<&[u8]> = request.line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        panic!("a request line of {} words", words.len());
    };
    assert!(is_token(method) && method != b"CONNECT" && method != b"TRACE");
    assert!(version == b"HTTP/1.1" || version == b"HTTP/1.0");
    assert!(!target.is_empty() && target.iter().all(|b| matches!(b, b'!'..=b'~') && *b != b'#'));
    let named = |name: &str| -> Vec<&[u8]> {
        let fits = |other: &[u8]| other.eq_ignore_ascii_case(name.as_bytes());
        request
            .fields
            .iter()
            .filter(|(other, _)| fits(other))
            .map(|(_, value)| &value[..])
            .collect()
    };
    for (name, value) in &request.fields {
        assert!(is_token(name) && is_text(value), "{}", value.escape_ascii());
    }
    assert!(request.fields.len() <= FIELDS && request.head.len() <= HEAD_SIZE);
    let (hosts, lengths) = (named("host"), named("content-length"));
    let codings = named("transfer-encoding");
    assert!(hosts.len() <= 1 && (hosts.len() == 1 || version == b"HTTP/1.0"));
    assert!(lengths.len() + codings.len() <= 1, "two fields say where the body ends");
    assert!(
        lengths.iter().all(|length| !length.is_empty() && length.iter().all(u8::is_ascii_digit))
    );
    assert!(codings.iter().all(|coding| coding.eq_ignore_ascii_case(b"chunked")));
    assert!(codings.is_empty() || version == b"HTTP/1.1");
    for host in &hosts {
        assert!(
            !host.iter().any(|b| b"@/?#, \t\"\\<>^`{|}".contains(b)),
            "{}",
            host.escape_ascii()
        );
    }
    let absolute = target.iter().position(|byte| *byte == b':').filter(|_| target[0] != b'/');
    if let (Some(colon), [host]) = (absolute, &hosts[..]) {
        let authority = target[colon + 1..].strip_prefix(b"//").expect("the form of RFC 3986");
        let end = authority.iter().position(|b| b"/?".contains(b)).unwrap_or(authority.len());
        assert!(authority[..end].eq_ignore_ascii_case(host), "two hosts");
    }
    assert!(absolute.is_some() || target[0] == b'/');
}

/// RFC 9110 §6.5.1: nothing that frames, routes or tells who somebody is.
fn check_trailer(line: &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
    let name = line[..colon].to_ascii_lowercase();
    assert!(is_token(&name) && is_text(&line[colon + 1..]));
    let forbidden: [&[u8]; 8] = [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"connection",
        b"upgrade",
        b"x-forwarded-for",
        b"authorization",
        b"cookie",
    ];
    assert!(!forbidden.contains(&&name[..]), "{}", line.escape_ascii());
}

/// hyper reads heads with httparse: it must see what the strict reader sees.
fn check_hyper(request: &Request, head: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let status = parsed.parse(head);
    assert_eq!(status, Ok(httparse::Status::Complete(head.len())), "{}", head.escape_ascii());
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let line = format!("{method} {target} HTTP/1.{}", parsed.version.unwrap_or(9));
    assert_eq!(line.as_bytes(), request.line);
    let seen: Vec<_> = parsed
        .headers
        .iter()
        .map(|field| (field.name.as_bytes().to_vec(), field.value.trim_ascii().to_vec()))
        .collect();
    assert_eq!(seen, request.fields);
}
