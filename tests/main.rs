//! Integration tests, in one binary: real sockets, real TLS, real clients, Wayhold as a process.
#![allow(unreachable_pub, missing_docs, reason = "nobody imports the tests")]

mod endings;
mod layers;
mod reload;
mod support;
mod tunnel;
