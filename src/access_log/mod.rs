//! The access log: records of requests and tunnels, written by a thread of its own that can reopen
//! its files. A record never waits for the disk: when the queue is full it is dropped and counted.
//! Not here: when a record is finished (`http`, `relay`), and the error log (`server`).

pub mod file;
mod format;
mod record;
mod redact;
mod target;
mod thread;
mod told;
mod writer;

pub use format::escaping;
pub use record::{Also, Record, TunnelStats, WsRecord};
pub use writer::{Log, Writer};
