//! Integration tests, in one binary: real sockets, real TLS, real clients, Wayhold as a process.
#![allow(unreachable_pub, missing_docs, reason = "nobody imports the tests")]
#![allow(
    clippy::unwrap_used,
    clippy::unnecessary_debug_formatting,
    clippy::format_push_string,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::doc_markdown,
    clippy::float_cmp,
    clippy::too_many_lines,
    reason = "a test may panic, and quotes paths for TOML as Debug does"
)]

mod auth;
mod bad_reloads;
mod bodies;
mod client_certificates;
mod dead_peers;
mod drop_in;
mod endings;
mod examples;
mod faults;
mod files;
mod geo;
mod hostile;
mod http;
mod layers;
mod logs;
mod nginx;
mod process;
mod reload;
mod renegotiation;
mod scripts;
mod security;
mod support;
mod tunnel;
