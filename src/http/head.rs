//! Heads of opening handshakes, read and written without hyper: a WebSocket's request and its 101.
//! Pure. Not here: whether a request is unambiguous (`guard`), and what its fields mean
//! (`ws::handshake`).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use httparse::ParserConfig;

/// The most fields of a head that is read here, as hyper is told for a peer's.
const MAX_FIELDS: usize = 256;

/// The names of a head's fields as they were spelt: few ends mind, and those are served too.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    head: Bytes,
    names: Vec<Range<usize>>,
}

/// Reads a request's whole head; nothing when it is none that asks for a WebSocket by GET and
/// HTTP/1.1: hyper reads those.
pub(super) fn request(head: &[u8]) -> Option<(Parts, Spelling)> {
    let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(head, &mut fields).ok()?;
    if status != httparse::Status::Complete(head.len())
        || parsed.method != Some("GET")
        || parsed.version != Some(1)
    {
        return None;
    }
    let (headers, spelling) = read_fields(head, parsed.headers)?;
    let target = spelling.head.slice(place(head, parsed.path?.as_bytes()));
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::GET;
    parts.uri = Uri::from_maybe_shared(target).ok()?;
    parts.version = Version::HTTP_11;
    parts.headers = headers;
    Some((parts, spelling))
}

/// What the beginning of a peer's bytes is.
#[derive(Debug)]
pub(super) enum Heard {
    /// A head that is not complete.
    More,
    /// So many bytes of an informational answer, behind which the answer comes.
    Informational(usize),
    /// A whole 101, and its length.
    Switching(Response<()>, Spelling, usize),
    /// Anything else.
    Other,
}

/// Looks at what a peer has sent.
pub(super) fn response(bytes: &[u8]) -> Heard {
    let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields) {
        Ok(httparse::Status::Complete(len)) => len,
        // Another status needs no second look.
        Ok(httparse::Status::Partial) if parsed.code.is_none_or(|code| code < 200) => {
            return Heard::More;
        }
        _ => return Heard::Other,
    };
    match parsed.code {
        Some(101) => {}
        Some(100..200) => return Heard::Informational(len),
        _ => return Heard::Other,
    }
    let Some((headers, spelling)) = read_fields(&bytes[..len], parsed.headers) else {
        return Heard::Other;
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    Heard::Switching(response, spelling, len)
}

fn read_fields(bytes: &[u8], fields: &[httparse::Header<'_>]) -> Option<(HeaderMap, Spelling)> {
    // One copy, which names and values share.
    let head = Bytes::copy_from_slice(bytes);
    // Room for those that are added on the way.
    let mut headers = HeaderMap::with_capacity(fields.len() + 8);
    let mut names = Vec::with_capacity(fields.len());
    for field in fields {
        names.push(place(bytes, field.name.as_bytes()));
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = head.slice(place(bytes, field.value));
        headers.append(name, HeaderValue::from_maybe_shared(value).ok()?);
    }
    Some((headers, Spelling { head, names }))
}

/// Where in a head a part of it stands; an empty part may stand nowhere.
fn place(head: &[u8], part: &[u8]) -> Range<usize> {
    if part.is_empty() {
        return 0..0;
    }
    let start = part.as_ptr() as usize - head.as_ptr() as usize;
    start..start + part.len()
}

/// A head that is being written.
pub(super) struct Head<'s> {
    bytes: Vec<u8>,
    spelling: &'s Spelling,
    /// Where the spelling of the field that was written last stands.
    last: Option<usize>,
    /// Where the first of its name stands: the next name is behind that, as a rule.
    first: usize,
}

impl<'s> Head<'s> {
    /// That of a request by GET.
    pub(super) fn request(uri: &Uri, spelling: &'s Spelling) -> Self {
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Self::new([b"GET ", target.as_bytes(), b" HTTP/1.1\r\n"], spelling)
    }

    fn new(first: [&[u8]; 3], spelling: &'s Spelling) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        for part in first {
            bytes.extend_from_slice(part);
        }
        Self { bytes, spelling, last: None, first: 0 }
    }

    /// Adds a field, spelt as it was where it was there. The values of a name come one behind the
    /// other.
    pub(super) fn field(&mut self, name: &HeaderName, value: &[u8]) {
        self.bytes.reserve(name.as_str().len() + value.len() + b": \r\n".len());
        match self.find(name.as_str()) {
            Some(spelt) => self.bytes.extend_from_slice(spelt),
            None => title_case(name.as_str().as_bytes(), &mut self.bytes),
        }
        self.bytes.extend_from_slice(if value.is_empty() { b":" } else { b": " });
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn find(&mut self, name: &str) -> Option<&'s [u8]> {
        let Spelling { head, names } = self.spelling;
        let fits = |place: &usize| {
            let range: &Range<usize> = &names[*place];
            // Nearly all differ by their length.
            range.len() == name.len() && head[range.clone()].eq_ignore_ascii_case(name.as_bytes())
        };
        let found = match self.last.filter(fits) {
            Some(last) => (last + 1..names.len()).find(fits)?,
            None => {
                let found = (self.first..names.len()).find(fits);
                let found = found.or_else(|| (0..self.first).find(fits))?;
                self.first = found + 1;
                found
            }
        };
        self.last = Some(found);
        Some(&head[names[found].clone()])
    }

    /// The whole head.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }
}

/// The head of a 101.
pub(super) fn write_switching(headers: &HeaderMap, spelling: &Spelling) -> Vec<u8> {
    let mut head = Head::new([b"HTTP/1.1 101 ", b"Switching Protocols", b"\r\n"], spelling);
    for (name, value) in headers {
        head.field(name, value.as_bytes());
    }
    head.end()
}

/// `X-Forwarded-For`, as the fields that hyper writes.
fn title_case(name: &[u8], head: &mut Vec<u8>) {
    let start = head.len();
    head.extend_from_slice(name);
    let mut first = true;
    for byte in &mut head[start..] {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET /ws?a=1 HTTP/1.1\r\nhOST: a\r\nUpgrade: websocket\r\nX-A: 1\r\n\
        x-a: 2\r\nX-Empty:\r\n\r\n";
    const SWITCHING: &str = "HTTP/1.1 101 Whatever\r\nsec-WebSocket-accept: x\r\n\r\n";

    #[test]
    fn names_go_on_as_they_were_spelt() {
        let (mut parts, spelling) = request(GET).unwrap();
        assert_eq!((parts.uri.path(), parts.uri.query()), ("/ws", Some("a=1")));
        parts.headers.insert("x-real-ip", HeaderValue::from_static("::1"));
        let mut head = Head::request(&parts.uri, &spelling);
        for (name, value) in &parts.headers {
            head.field(name, value.as_bytes());
        }
        let head = String::from_utf8(head.end()).unwrap();
        let whole = std::str::from_utf8(GET).unwrap();
        assert_eq!(head, whole.replace("X-Empty:\r\n", "X-Empty:\r\nX-Real-Ip: ::1\r\n"));
    }

    #[test]
    fn other_requests_are_not_read_here() {
        let whole = std::str::from_utf8(GET).unwrap();
        for (from, to) in [("GET", "POST"), ("1.1", "1.0"), ("X-Empty:\r\n\r\n", "X-Empty:\r\n")] {
            let head = whole.replace(from, to);
            assert!(request(head.as_bytes()).is_none(), "{to}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(request(many.as_bytes()).is_none());
    }

    #[test]
    fn a_101_is_read_when_it_is_whole() {
        let bytes = format!("{SWITCHING}frames").into_bytes();
        for len in 0..SWITCHING.len() {
            assert!(matches!(response(&bytes[..len]), Heard::More), "{len}");
        }
        let Heard::Switching(answer, spelling, len) = response(&bytes) else { unreachable!() };
        assert_eq!(len, SWITCHING.len());
        let head = write_switching(answer.headers(), &spelling);
        assert_eq!(
            String::from_utf8(head).unwrap(),
            SWITCHING.replace("Whatever", "Switching Protocols")
        );
    }

    #[test]
    fn anything_else_is_told_apart() {
        let early = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 101 ";
        assert!(matches!(response(early.as_bytes()), Heard::Informational(37)));
        for other in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 404 Not Found\r\n\r\n", "SSH-2.0\r\n"] {
            assert!(matches!(response(other.as_bytes()), Heard::Other), "{other}");
        }
        let many = format!("HTTP/1.1 101 a\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS + 1));
        assert!(matches!(response(many.as_bytes()), Heard::Other));
    }
}
