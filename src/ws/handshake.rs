//! The opening handshake (RFC 6455 §4), as checks on header maps.

use http::{HeaderMap, Method, Version};

/// Whether a request asks for a WebSocket: `Upgrade: websocket` (any case) and
/// `Connection: upgrade`.
pub fn is_upgrade(_headers: &HeaderMap) -> bool {
    todo!("lead")
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
    /// None of the offered sub-protocols is allowed (400).
    Subprotocol,
}

/// Checks an upgrade request; gives back the `Sec-WebSocket-Accept` that its 101 must carry.
pub fn check_request(
    _method: &Method,
    _version: Version,
    _headers: &HeaderMap,
    _config: &crate::config::model::WebSocket,
) -> Result<Accept, BadRequest> {
    todo!("lead")
}

/// The `Sec-WebSocket-Accept` of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept(pub [u8; 28]);

/// What is wrong with a 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BadResponse {
    Upgrade,
    Connection,
    Accept,
    Subprotocol,
}

/// Checks a 101: Upgrade, Connection, Accept (when `verify_accept`), and that its sub-protocol was
/// offered.
pub fn check_response(
    _request: &HeaderMap,
    _response: &HeaderMap,
    _accept: &Accept,
    _verify_accept: bool,
) -> Result<(), BadResponse> {
    todo!("lead")
}
