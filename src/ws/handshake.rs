//! The opening handshake (RFC 6455 §4), as checks on header maps. Not here: who is asked and how
//! (`http::upgrade`), and which status a refusal becomes (`http::respond`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, Method, Version};
use sha1::{Digest, Sha1};

use super::rules::Extensions;
use crate::config::model::WebSocket;

/// The GUID of RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request asks for a WebSocket: `Upgrade` lists `websocket` and `Connection` lists
/// `upgrade`, in any case.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket") && has_token(headers, &CONNECTION, "upgrade")
}

/// Whether a request asks for another protocol than WebSocket, and could be given it: GET, HTTP/1.1,
/// no body, and not `h2c`, behind which whole requests would pass unseen.
pub fn is_other_upgrade(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    method == Method::GET
        && version == Version::HTTP_11
        && only(headers, &UPGRADE).is_some_and(is_other_protocol)
        && has_token(headers, &CONNECTION, "upgrade")
        && headers.get_all(CONTENT_LENGTH).iter().all(|n| n.as_bytes() == b"0")
        && !headers.contains_key(TRANSFER_ENCODING)
}

/// Whether the value of `Upgrade` names protocols of which none is HTTP/2.
pub fn is_other_protocol(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let http_2 = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"h2c");
    !value.is_empty() && !value.split(|b| *b == b',').any(http_2)
}

/// Checks the 101 of an upgrade to another protocol: it is one that was asked for.
pub fn check_other(request: &HeaderMap, response: &HeaderMap) -> Result<(), BadResponse> {
    let chosen = only(response, &UPGRADE).ok_or(BadResponse::Upgrade)?;
    if !tokens(request, &UPGRADE).any(|name| name.as_bytes().eq_ignore_ascii_case(chosen)) {
        return Err(BadResponse::Upgrade);
    }
    if has_token(response, &CONNECTION, "upgrade") { Ok(()) } else { Err(BadResponse::Connection) }
}

/// What is wrong with an upgrade request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// Not GET (400).
    Method,
    /// Not HTTP/1.1 (400).
    Version,
    /// `Sec-WebSocket-Version` is missing or not 13: 426 with `Sec-WebSocket-Version: 13`.
    WebSocketVersion,
    /// No `Sec-WebSocket-Key`, several, or not 16 bytes in base64 (400).
    Key,
    /// The request announces a body (400).
    Body,
    /// `Origin` is not among `allowed_origins` (403).
    Origin,
    /// None of the offered sub-protocols is allowed, or the offer cannot be read (400).
    Subprotocol,
}

/// The `Sec-WebSocket-Accept` of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept(pub [u8; 28]);

impl Accept {
    /// The answer to a key (RFC 6455 §4.2.2).
    pub fn of(key: &[u8]) -> Self {
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut text = [0; 28];
        // 20 bytes are 28 characters, always.
        let written = STANDARD.encode_slice(digest, &mut text);
        debug_assert_eq!(written, Ok(28));
        Self(text)
    }
}

/// Checks an upgrade request; gives back the `Sec-WebSocket-Accept` that its 101 must carry.
pub fn check_request(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    config: &WebSocket,
) -> Result<Accept, BadRequest> {
    if method != Method::GET {
        return Err(BadRequest::Method);
    }
    if version != Version::HTTP_11 {
        return Err(BadRequest::Version);
    }
    let no_body = headers.get_all(CONTENT_LENGTH).iter().all(|n| n.as_bytes() == b"0");
    if !no_body || headers.contains_key(TRANSFER_ENCODING) {
        return Err(BadRequest::Body);
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(BadRequest::WebSocketVersion);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(BadRequest::Key)?;
    // The decoder wants room for whole groups of three.
    let mut nonce = [0; 18];
    if !STANDARD.decode_slice(key, &mut nonce).is_ok_and(|len| len == 16) {
        return Err(BadRequest::Key);
    }
    if config.allowed_origins.as_ref().is_some_and(|allowed| !origin_allowed(headers, allowed)) {
        return Err(BadRequest::Origin);
    }
    let allowed = config.allowed_subprotocols.as_ref();
    if allowed.is_some_and(|allowed| !subprotocol_allowed(headers, allowed)) {
        return Err(BadRequest::Subprotocol);
    }
    Ok(Accept::of(key))
}

/// What is wrong with a 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadResponse {
    /// `Upgrade` does not say `websocket`, or what was asked for.
    Upgrade,
    /// `Connection` does not list `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` does not belong to the key.
    Accept,
    /// The sub-protocol was not offered, or there are several.
    Subprotocol,
    /// An extension was not offered.
    Extension,
}

impl BadResponse {
    /// What to write in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upgrade => "its `Upgrade` does not say what was asked for",
            Self::Connection => "its `Connection` does not list `upgrade`",
            Self::Accept => "its `Sec-WebSocket-Accept` does not belong to the key",
            Self::Subprotocol => "its `Sec-WebSocket-Protocol` was not offered",
            Self::Extension => "its `Sec-WebSocket-Extensions` were not offered",
        }
    }
}

/// Checks a 101: `Upgrade`, `Connection`, `Sec-WebSocket-Accept` (when `verify_accept`), and that
/// its sub-protocol and extensions were offered (RFC 6455 §4.1).
pub fn check_response(
    request: &HeaderMap,
    response: &HeaderMap,
    accept: &Accept,
    verify_accept: bool,
) -> Result<(), BadResponse> {
    let upgrade = only(response, &UPGRADE);
    if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err(BadResponse::Upgrade);
    }
    if !has_token(response, &CONNECTION, "upgrade") {
        return Err(BadResponse::Connection);
    }
    if verify_accept && only(response, &SEC_WEBSOCKET_ACCEPT) != Some(&accept.0) {
        return Err(BadResponse::Accept);
    }
    if response.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        let chosen = only(response, &SEC_WEBSOCKET_PROTOCOL).ok_or(BadResponse::Subprotocol)?;
        if !tokens(request, &SEC_WEBSOCKET_PROTOCOL).any(|p| p.as_bytes() == chosen) {
            return Err(BadResponse::Subprotocol);
        }
    }
    let offered = |name: &str| extensions(request).any(|other| other.eq_ignore_ascii_case(name));
    if !is_readable(response, &SEC_WEBSOCKET_EXTENSIONS) || !extensions(response).all(offered) {
        return Err(BadResponse::Extension);
    }
    Ok(())
}

/// What the extensions of a good 101 mean for the headers of frames.
pub fn agreed_extensions(response: &HeaderMap) -> Extensions {
    extensions(response).fold(Extensions::None, |before, name| {
        if before == Extensions::None && name.eq_ignore_ascii_case("permessage-deflate") {
            Extensions::Deflate
        } else {
            Extensions::Unknown
        }
    })
}

/// The names in `Sec-WebSocket-Extensions`, without their parameters.
fn extensions(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let name = |extension: &'_ str| extension.find(';').unwrap_or(extension.len());
    tokens(headers, &SEC_WEBSOCKET_EXTENSIONS)
        .map(move |extension| extension[..name(extension)].trim_matches([' ', '\t']))
}

/// The member of `allowed_origins` that lets in requests without an `Origin`.
const NO_ORIGIN: &str = "none";

/// Whether the request's one `Origin` is allowed. A request without one comes from no browser; two
/// of them are a trick.
fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    if !headers.contains_key(ORIGIN) {
        return allowed.iter().any(|pattern| pattern == NO_ORIGIN);
    }
    let Some(origin) = only(headers, &ORIGIN).and_then(|o| std::str::from_utf8(o).ok()) else {
        return false;
    };
    let origin = origin.to_ascii_lowercase();
    allowed.iter().any(|pattern| pattern != NO_ORIGIN && origin_matches(&origin, pattern))
}

/// Whether one of the offered sub-protocols is allowed, or none is offered. An offer that cannot be
/// read is not none: the upstream may read it.
fn subprotocol_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    if !is_readable(headers, &SEC_WEBSOCKET_PROTOCOL) {
        return false;
    }
    let mut offered = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).peekable();
    offered.peek().is_none() || offered.any(|offer| allowed.iter().any(|other| other == offer))
}

/// `https://app.example`, or `https://*.example` for every host below it. A default port written
/// out is the same origin.
fn origin_matches(origin: &str, pattern: &str) -> bool {
    let origin = without_default_port(origin);
    let pattern = without_default_port(pattern);
    let Some((scheme, host)) = pattern.split_once("://*.") else {
        return origin == pattern;
    };
    let Some((origin_scheme, origin_host)) = origin.split_once("://") else {
        return false;
    };
    let Some(label) = origin_host.strip_suffix(host).and_then(|rest| rest.strip_suffix('.')) else {
        return false;
    };
    let host_bytes = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    origin_scheme == scheme && !label.is_empty() && label.bytes().all(host_bytes)
}

fn without_default_port(origin: &str) -> &str {
    let port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(port).unwrap_or(origin)
}

/// The value of a field that stands exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.as_bytes())
}

/// Whether all fields of this name are text, so that [`tokens`] leaves none of them out.
fn is_readable(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().all(|value| value.to_str().is_ok())
}

/// The members of a comma-separated list, over all its fields that are text.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|token| token.trim_matches([' ', '\t']))
        .filter(|token| !token.is_empty())
}

pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    // Nearly always it stands alone.
    headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()))
        || tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests;
