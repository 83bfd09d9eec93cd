//! The `wayhold` program: the exit code, and the memory allocator.

use std::process::ExitCode;

/// Handshakes need far more memory than the tunnels that they leave behind: an allocator is needed
/// that gives it back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc's settings: what is free goes back within a second or so, by a thread of its own.
/// `_RJEM_MALLOC_CONF` in the environment overrides them.
#[expect(unsafe_code, reason = "jemalloc reads its settings from a symbol of this name")]
// SAFETY: nothing else has this name; the type is jemalloc's `const char *`, NUL at the end.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8; 60] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    wayhold::cli::main()
}
