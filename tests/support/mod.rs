//! What every integration test needs: a running Wayhold, backends of another implementation, real
//! clients, certificates. Each test has loopback addresses of its own, so tests run side by side.

pub mod backend;
pub mod certs;
pub mod client;
pub mod proxy;
pub mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The longest that anything expected may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An address that nobody else uses: 127.x.y.z with a fixed port. The process id keeps apart the
/// test binaries that run at once.
pub fn address(port: u16) -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id();
    let ip = Ipv4Addr::new(127, (pid % 200 + 20) as u8, (next / 250) as u8, (next % 250 + 1) as u8);
    SocketAddr::from((ip, port))
}

/// Waits until `ready` gives something, looking every few milliseconds; panics after [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bounds a wait for something that must happen.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("took too long: {what}"))
}
