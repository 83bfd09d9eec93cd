//! Integration tests, in one binary: real sockets, real TLS, real clients.

mod layers;
