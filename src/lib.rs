//! Wayhold: a WebSocket-aware reverse proxy and load balancer that never drops a live connection by
//! its own doing.
//!
//! # Words (one word, one meaning)
//!
//! * *upgrade*: HTTP Upgrade only
//! * *reload*: a new configuration; *hand-over*: live tunnels move to a new binary
//! * *drain*: finishing in an orderly, paced way
//! * *peer*: one backend address; *upstream*: a named group of peers
//! * *server*: a virtual server (nginx's block); *listener*: a bound socket
//! * *route*: what a location became
//! * *tunnel*: one WebSocket session, both legs; *leg*: its client side or its upstream side
//! * *ending*: why a tunnel ended
//! * *generation*: everything one configuration became, immutable
//! * *in*: from the client; *out*: towards the client
//!
//! # Layers
//!
//! Imports point down, and siblings on one layer do not import each other; `tests/layers.rs` reads
//! the sources and says so.
//!
//! | layer | modules |
//! |---|---|
//! | 7 | [`cli`]: flags and verbs |
//! | 6 | [`server`]: the run loop, accept, reload, signals |
//! | 5 | [`http`]: one request, from its head to its answer or to the tunnel |
//! | 4 | [`relay`]: the threads that carry the tunnels |
//! | 3 | [`ws`]: one WebSocket without I/O; [`upstream`]: peers, balance, connections to them |
//! | 2 | [`net`]: sockets, PROXY protocol, TLS; [`metrics`]; [`access_log`]; [`limits`] |
//! | 1 | [`config`]: from TOML or nginx.conf to the model |
//! | 0 | [`ending`], [`drain`] |
//!
//! # Life of one connection
//!
//! Where no TLS is to be spoken on the way to a tunnel, all this happens on one of the relay's
//! threads, where the tunnel then stays ([`net::home`]); else, and for plain HTTP, on tokio's.
//!
//! 1. `server::accept` accepts, backs off on `EMFILE`, loads the current generation, and asks
//!    [`limits`] for a permit that lives as long as the connection.
//! 2. [`net::proxy_protocol`] finds the real client where the listener asks for it.
//! 3. [`net::tls`] shakes hands: SNI picks the certificate.
//! 4. [`http::serve`]: the guard lets only unambiguous heads through: to hyper, or, where a
//!    connection's first request asks for a WebSocket, past it.
//! 5. `http::service` handles one request: route, access rules, rewrite.
//! 6. A plain request goes through `http::forward`; a WebSocket through `http::upgrade`:
//!    [`ws::handshake`] checks the request, [`upstream`] picks a peer and connects (the next peer on
//!    failure, while nothing was sent), [`ws::handshake`] checks the answer.
//! 7. After the 101 both sockets are given to [`relay`], with the bytes that came behind it, lease,
//!    permit, record and policy; from hyper, where it had the client's, that is taken back first.
//! 8. `relay::worker` → `relay::pump` → [`ws::frame::Tracker`] and [`ws::tunnel::Tunnel`].
//! 9. The tunnel ends with one [`ending::Ending`]: one log line, one counter; lease and permit drop.

pub mod access_log;
pub mod cli;
pub mod config;
pub mod drain;
pub mod ending;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod relay;
pub mod server;
pub mod upstream;
pub mod ws;
