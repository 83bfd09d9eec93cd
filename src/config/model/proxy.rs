//! How requests go to peers, and what holds for tunnels.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::{Pattern, ProxyTls};
use crate::config::template::Template;

/// One `proxy_redirect`.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// What is replaced.
    pub from: RedirectFrom,
    /// By what.
    pub to: Template,
}

/// What of a `Location` is replaced.
#[derive(Clone, Debug)]
pub enum RedirectFrom {
    /// This beginning.
    Start(Template),
    /// All of it, where this fits.
    Fitting(Pattern),
}

/// `proxy_pass` and all that goes with it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own")]
pub struct Proxy {
    /// [`super::Upstream::name`] of the group.
    pub upstream: String,
    /// The peers speak TLS.
    pub tls: Option<Arc<ProxyTls>>,
    /// Where requests go, where variables tell: an `http://` URL. Then there is no upstream.
    pub target: Option<Template>,
    /// `uri` stands for the whole of the request's, arguments too.
    pub whole_uri: bool,
    /// `$proxy_host`: host and port as written, without the scheme's default port.
    pub host: String,
    /// Replaces the part of the path that the location matched.
    pub uri: Option<String>,
    /// `proxy_redirect`
    pub redirects: Vec<Redirect>,
    /// `proxy_connect_timeout`.
    pub connect_timeout: Duration,
    /// `proxy_read_timeout`: between two reads of an answer.
    pub read_timeout: Duration,
    /// `proxy_send_timeout`: between two writes of a request.
    pub send_timeout: Duration,
    /// What is set on the request, defaults included; an empty value removes the header.
    pub set_headers: Vec<(HeaderName, Template)>,
    /// What a client says of where it comes from goes on, whoever it is.
    pub pass_client_claims: bool,
    /// Answers with a status from 300 may become pages of errors.
    pub intercept_errors: bool,
    /// With `close` in it, a plain request is the last on its connection.
    pub connection: Option<Template>,
    /// What `$request_body` holds is read before the request is sent.
    pub request_buffering: bool,
    /// What peers get in place of the client's body.
    pub set_body: Option<Template>,
    /// Removed from the answer.
    pub hide_headers: Vec<HeaderName>,
    /// When another peer is tried.
    pub next_upstream: NextUpstream,
    /// Source addresses, taken in turn.
    pub bind: Vec<IpAddr>,
    /// Upgrade requests that are not served get 426; else they go on as plain ones.
    pub refuse_upgrades: bool,
    /// `[server.location.websocket]`.
    pub websocket: WebSocket,
}

/// `proxy_next_upstream`.
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the directive")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextUpstream {
    /// The connection failed, or broke before an answer.
    pub error: bool,
    /// Connecting or answering took too long.
    pub timeout: bool,
    /// The answer could not be read.
    pub invalid_header: bool,
    /// Requests that are not idempotent are sent again too.
    pub non_idempotent: bool,
    /// The peer answered with one of these.
    pub statuses: Vec<u16>,
    /// Peers tried at most; 0 is all.
    pub tries: u32,
    /// Time for all tries; zero is unlimited.
    pub timeout_total: Duration,
}

/// `[server.location.websocket]`.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// Upgrade requests are served; else [`Proxy::refuse_upgrades`] counts.
    pub enabled: bool,
    /// `Origin` values let in, in lower case (`*.` may start the host; `none` stands for a request
    /// without one); `None` lets in any.
    pub allowed_origins: Option<Vec<String>>,
    /// Sub-protocols let in; `None` lets in any.
    pub allowed_subprotocols: Option<Vec<String>>,
    /// A 101 with a wrong `Sec-WebSocket-Accept` is a 502.
    pub verify_accept: bool,
    /// Clocks and limits of the live tunnel.
    pub policy: Arc<Policy>,
}

/// Clocks and limits of a tunnel. A reload gives live tunnels the new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Silence of a leg after which it is pinged; `None` never pings.
    pub ping_interval: Option<Duration>,
    /// Each interval is shortened by up to this many percent.
    pub ping_jitter: u8,
    /// Silence after a ping that means the leg is dead.
    pub pong_timeout: Duration,
    /// The upstream leg is pinged too.
    pub ping_upstream: bool,
    /// No byte either way for so long ends the tunnel.
    pub idle_timeout: Option<Duration>,
    /// No data frame either way for so long ends the tunnel.
    pub data_idle_timeout: Option<Duration>,
    /// A leg that takes no byte for so long, while there is something to send, ends the tunnel.
    pub send_timeout: Duration,
    /// How long to wait for the Close that answers a Close.
    pub close_timeout: Duration,
    /// The longest life of a tunnel.
    pub max_age: Option<Duration>,
    /// Each `max_age` is shortened by up to this many percent.
    pub max_age_jitter: u8,
    /// The longest message in bytes.
    pub max_message_size: Option<u64>,
    /// The longest frame in bytes.
    pub max_frame_size: Option<u64>,
    /// Unwritten bytes a leg may have before the other leg is read no more.
    pub max_buffer: usize,
    /// Frames are held to the rules of RFC 6455.
    pub validate: bool,
    /// The codes Wayhold closes with.
    pub close_codes: CloseCodes,
}

/// `close_codes`: the code sent for each of Wayhold's own reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCodes {
    /// The process is finishing: 1012.
    pub drain: u16,
    /// A leg is dead: 1001 to the other.
    pub dead_peer: u16,
    /// The upstream leg broke: 1011 to the client.
    pub upstream_lost: u16,
    /// The client leg broke: 1001 to the upstream.
    pub client_lost: u16,
    /// `idle_timeout` and `data_idle_timeout`: 1001.
    pub idle: u16,
    /// `max_age`: 1001.
    pub max_age: u16,
    /// `max_frame_size`, `max_message_size`: 1009.
    pub too_big: u16,
    /// A leg that takes no bytes: 1008.
    pub slow_consumer: u16,
    /// An impossible frame: 1002.
    pub protocol: u16,
}
