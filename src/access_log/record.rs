//! What is known of a request or tunnel. A tunnel keeps its record until it ends, so strings that
//! many share are shared, and what only tunnels have is apart.

use std::sync::Arc;
use std::time::Duration;

use super::writer::Log;
use crate::config::template::Piece;

/// One request, or the request that opened a tunnel. Filled by `http` as it learns.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Milliseconds of the Unix clock when the request's head was complete.
    pub at_ms: u64,
    /// `$remote_addr`
    pub remote_addr: Box<str>,
    /// `$remote_user`
    pub remote_user: Box<str>,
    /// `$request_method`
    pub method: Box<str>,
    /// `$request_uri`: as received; redacted when written.
    pub request_uri: Box<str>,
    /// `HTTP/1.1` or `HTTP/1.0`
    pub protocol: &'static str,
    /// The `Host` field.
    pub host: Box<str>,
    /// The server's label.
    pub server: Arc<str>,
    /// The location as written.
    pub location: Arc<str>,
    /// The answer's status; 499 when the client went away before.
    pub status: u16,
    /// Bytes of the answer's body.
    pub body_bytes_sent: u64,
    /// Bytes of a 101's head.
    pub switching_bytes: u32,
    /// The `Referer` field; redacted when written.
    pub referer: Box<str>,
    /// The `User-Agent` field.
    pub user_agent: Box<str>,
    /// `$request_id`
    pub request_id: Box<str>,
    /// From the head to the end of the answer.
    pub request_time: Duration,
    /// The upstream's name, when there is one.
    pub upstream: Option<Arc<str>>,
    /// Peers tried, separated by commas.
    pub upstream_addr: Box<str>,
    /// Connecting to the last of them.
    pub upstream_connect_time: Option<Duration>,
    /// How many were tried.
    pub upstream_tries: u32,
    /// The number of the configuration that served it.
    pub config_revision: u64,
    /// `$ssl_protocol`
    pub ssl_protocol: &'static str,
    /// The `traceparent` field.
    pub traceparent: Box<str>,
    /// Answering, of the last peer.
    pub upstream_response_time: Option<Duration>,
    /// A line of its own shape, as far as it is known.
    pub line: Option<Box<Vec<Piece>>>,
    /// More logs, and their lines.
    pub also: Option<Box<Vec<Also>>>,
    /// Of a request that became a tunnel.
    pub ws: Option<Box<WsRecord>>,
}

/// Another log of a request, and its line, if that has a shape of its own.
pub type Also = (Log, Option<Box<Vec<Piece>>>);

/// What only tunnels have.
#[derive(Clone, Debug, Default)]
pub struct WsRecord {
    /// `Sec-WebSocket-Protocol` of the 101; redacted when written.
    pub subprotocol: Box<str>,
    /// `Sec-WebSocket-Extensions` of the 101.
    pub extensions: Box<str>,
    /// From the request to the 101.
    pub handshake_time: Duration,
}

/// A tunnel's own figures, at its end. Index 0 is in, 1 is out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelStats {
    /// Messages.
    pub messages: [u64; 2],
    /// Payload bytes of data frames.
    pub bytes: [u64; 2],
    /// How long it lived.
    pub duration: Duration,
    /// The last round trip of a ping.
    pub ping_rtt_last: Option<Duration>,
    /// The longest round trip of a ping.
    pub ping_rtt_max: Option<Duration>,
    /// How long bytes waited for a leg to take them.
    pub stalled: Duration,
}
