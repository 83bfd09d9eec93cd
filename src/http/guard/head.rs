//! Whether a request's head is unambiguous (RFC 9112, RFC 9110 §5), on its raw bytes: what two
//! implementations could read differently is refused. Pure. Not here: parsing for use (hyper).

use std::net::Ipv6Addr;

use memchr::memchr;

use super::framing::Limits;
use crate::ws::handshake::is_other_protocol;

/// How the body behind a head is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes; zero when there is none.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What a good head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) body: Body,
    /// It asks for a WebSocket, or another protocol that may pass: what follows may be frames.
    pub(super) upgrade: bool,
}

/// Why a request is refused before anybody looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400, and what is wrong.
    Bad(&'static str),
    /// 405: CONNECT, TRACE and `OPTIONS *` are not for a reverse proxy.
    Method,
    /// 408: the head or the body did not come in time.
    Timeout,
    /// 414: the target alone is too long.
    TargetTooLong,
    /// 431: the head is too long, or has too many fields.
    HeadTooLong,
    /// 501: a transfer coding that is not known.
    Coding,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    Version,
}

use Refusal::Bad;

/// Checks a whole head, its empty line included.
pub(super) fn check(bytes: &[u8], limits: Limits) -> Result<Head, Refusal> {
    // The CR of the last line stays, as on every other: one of them is its end, a second is not.
    let fields = bytes.strip_suffix(b"\n\r\n").or_else(|| bytes.strip_suffix(b"\n\n"));
    let mut rest = Some(fields.unwrap_or(bytes));
    let mut lines = std::iter::from_fn(|| {
        let bytes = rest?;
        let end = memchr(b'\n', bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    });
    let request_line = lines.next().map(trim_cr).unwrap_or_default();
    let request = check_request_line(request_line, limits.lenient)?;
    let mut fields = Fields::default();
    for (count, line) in lines.map(trim_cr).enumerate() {
        if count == limits.fields {
            return Err(Refusal::HeadTooLong);
        }
        let (name, value) = check_field(line)?;
        fields.take(name, value, limits.lenient)?;
    }
    fields.conclude(&request, limits)
}

/// Every line has been seen to end with CR LF, or may end without CR (`guard::framing`).
fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

struct RequestLine<'a> {
    get: bool,
    version_1_1: bool,
    /// The authority of an absolute-form target.
    authority: Option<&'a [u8]>,
}

/// `method SP target SP HTTP/1.x`, one space each (RFC 9112 §3).
fn check_request_line(line: &[u8], lenient: bool) -> Result<RequestLine<'_>, Refusal> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Bad("the request line is malformed"));
    };
    if !is_token(method) {
        return Err(Bad("the method is no token"));
    }
    let version_1_1 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err(version_refusal(version)),
    };
    if lenient && method == b"CONNECT" && !target.starts_with(b"/") {
        return Err(Bad("the target is malformed"));
    }
    if method == b"CONNECT" || method == b"TRACE" {
        return Err(Refusal::Method);
    }
    let target = match target.iter().position(|b| *b == b'#') {
        // A fragment is not for a server: what stands before it is meant.
        Some(at) if lenient => &target[..at],
        _ => target,
    };
    let authority = check_target(method, target)?;
    Ok(RequestLine { get: method == b"GET", version_1_1, authority })
}

fn version_refusal(version: &[u8]) -> Refusal {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Bad("the request line has no HTTP version"),
    }
}

/// Origin-form or absolute-form; gives back the authority of an absolute-form.
fn check_target<'a>(method: &[u8], target: &'a [u8]) -> Result<Option<&'a [u8]>, Refusal> {
    if !target.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return Err(Bad("the target has a byte that must be escaped"));
    }
    if target.starts_with(b"/") {
        return Ok(None);
    }
    if target == b"*" {
        // `OPTIONS *` asks about the server itself, which has nothing to tell.
        let asks = method == b"OPTIONS";
        return Err(if asks { Refusal::Method } else { Bad("the target is malformed") });
    }
    let lower = |prefix: &[u8]| {
        target.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let rest = if lower(b"http://") {
        &target[7..]
    } else if lower(b"https://") {
        &target[8..]
    } else {
        return Err(Bad("the target is malformed"));
    };
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let authority = &rest[..end];
    if authority.is_empty() || !is_host(authority) {
        return Err(Bad("the target's host is malformed"));
    }
    Ok(Some(authority))
}

/// `name: value`, no space before the colon, no fold (RFC 9112 §5).
fn check_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
        return Err(Bad("a field is folded over lines"));
    }
    let colon = memchr(b':', line).ok_or(Bad("a field has no colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err(Bad("a field's name is malformed"));
    }
    // All of them are looked at, many at once.
    let is_control = |b: u8| (b < 0x20 && b != b'\t') || b == 0x7f;
    if value.iter().fold(false, |any, b| any | is_control(*b)) {
        return Err(Bad("a field's value has a control character"));
    }
    Ok((name, value.trim_ascii()))
}

/// The fields that say where the message ends and where it goes.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    /// `Upgrade` lists `websocket`.
    websocket: bool,
    /// `Upgrade`, of which there is one.
    protocol: Option<&'a [u8]>,
    upgrades: u8,
    /// `Connection` lists `upgrade`.
    upgrade: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8], lenient: bool) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case(b"host") {
            if self.host.replace(value).is_some() {
                return Err(Bad("there are two Host fields"));
            }
            if !is_host(value) && (lenient || !value.is_empty()) {
                return Err(Bad("the Host field is malformed"));
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = parse_length(value).ok_or(Bad("the Content-Length is malformed"))?;
            if self.length.replace(length).is_some() {
                return Err(Bad("there are two Content-Length fields"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if std::mem::replace(&mut self.chunked, true) {
                return Err(Bad("there are two Transfer-Encoding fields"));
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(if is_token(value) || (lenient && !value.is_empty()) {
                    Refusal::Coding
                } else {
                    Bad("the Transfer-Encoding is malformed")
                });
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.websocket |= lists(value, b"websocket");
            self.protocol = Some(value);
            self.upgrades = self.upgrades.saturating_add(1);
        } else if name.eq_ignore_ascii_case(b"connection") {
            self.upgrade |= lists(value, b"upgrade");
        }
        Ok(())
    }

    fn conclude(self, request: &RequestLine<'_>, limits: Limits) -> Result<Head, Refusal> {
        if self.chunked && self.length.is_some() {
            return Err(Bad("there are both Content-Length and Transfer-Encoding"));
        }
        if self.chunked && !request.version_1_1 {
            return Err(Bad("HTTP/1.0 has no Transfer-Encoding"));
        }
        match (self.host, request.authority) {
            (None, _) if request.version_1_1 => return Err(Bad("there is no Host field")),
            (Some(host), Some(authority))
                if !limits.lenient && !host.eq_ignore_ascii_case(authority) =>
            {
                return Err(Bad("the target's host is not the Host field's"));
            }
            _ => {}
        }
        let body =
            if self.chunked { Body::Chunked } else { Body::Length(self.length.unwrap_or(0)) };
        // As `is_other_upgrade` says.
        let other = limits.other_upgrades
            && request.get
            && request.version_1_1
            && body == Body::Length(0)
            && self.upgrades == 1
            && self.protocol.is_some_and(is_other_protocol);
        Ok(Head { body, upgrade: self.upgrade && (self.websocket || other) })
    }
}

/// Whether a comma-separated list has this member.
fn lists(value: &[u8], wanted: &[u8]) -> bool {
    value.split(|b| *b == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// Digits only, and no overflow.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok().filter(|length| i64::try_from(*length).is_ok())
}

/// `uri-host [":" port]` (RFC 9110 §7.2), without userinfo.
fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.iter().rposition(|b| *b == b':') {
        Some(colon) if !value.ends_with(b"]") => (&value[..colon], Some(&value[colon + 1..])),
        _ => (value, None),
    };
    let port_fits = port.is_none_or(|port| {
        port.iter().all(u8::is_ascii_digit)
            && (port.is_empty() || parse_length(port).is_some_and(|port| port <= 65_535))
    });
    let literal = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let host_fits = match literal {
        Some(ip) => {
            std::str::from_utf8(ip).is_ok_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
                || is_future_ip(ip)
        }
        None => {
            !host.is_empty()
                && host.len() <= 255
                && host != b"."
                && !host.windows(2).any(|pair| pair == b"..")
                && host.iter().all(|b| is_name_byte(*b) || *b == b'%')
        }
    };
    port_fits && host_fits
}

/// `IPvFuture` (RFC 3986 §3.2.2): `v1.text`
fn is_future_ip(ip: &[u8]) -> bool {
    let Some(rest) = ip.strip_prefix(b"v").or_else(|| ip.strip_prefix(b"V")) else {
        return false;
    };
    let Some(dot) = rest.iter().position(|b| *b == b'.') else {
        return false;
    };
    let (version, text) = (&rest[..dot], &rest[dot + 1..]);
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && !text.is_empty()
        && text.iter().all(|b| is_name_byte(*b) || matches!(b, b':' | b','))
}

/// What a registered name may hold unescaped (RFC 3986 §3.2.2), but for the comma.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte)
}

/// RFC 9110 §5.6.2
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is_token_byte(*b))
}

/// Looked up for every byte of a name.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = belongs_to_token(byte as u8);
        byte += 1;
    }
    table
};

pub(super) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const fn belongs_to_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// A field of a trailer section: as in a head, and nothing that frames, routes or authenticates
/// (RFC 9110 §6.5.1).
pub(super) fn check_trailer(line: &[u8]) -> Result<(), Refusal> {
    const FORBIDDEN: [&[u8]; 12] = [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"connection",
        b"upgrade",
        b"trailer",
        b"te",
        b"authorization",
        b"cookie",
        b"content-encoding",
        b"content-type",
        b"expect",
    ];
    let (name, _) = check_field(line)?;
    let starts_with = |prefix: &[u8]| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let forbidden = FORBIDDEN.iter().any(|other| name.eq_ignore_ascii_case(other));
    if forbidden || starts_with(b"x-forwarded-") || starts_with(b"x-real-ip") {
        return Err(Bad("a trailer has a field that belongs into the head"));
    }
    Ok(())
}
