//! One WebSocket without any I/O: bytes, ticks and commands in; bytes to write and an Ending out.

pub mod handshake;
