//! Dead peers, in a network namespace of the test's own: clients behind a wire that swallows
//! everything are found in time, their upstream legs get a clean Close, and nobody else is closed.
//! Needs root and iproute2; without them it says so and checks nothing.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::support::backend::{Echo, SWITCHING, scripted};
use crate::support::client::{self, handshake, read_head, request};
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;
use crate::support::{address, eventually, within};

/// Clients behind the wire.
const DEAD: usize = 20;
/// Clients on this side.
const LIVING: usize = 20;
const PING: Duration = Duration::from_secs(2);
const PONG: Duration = Duration::from_secs(2);

#[tokio::test]
async fn packets_that_are_swallowed() {
    let Some(wire) = Wire::new() else {
        eprintln!("skipped: network namespaces cannot be made here");
        return;
    };
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let backend = tokio::net::TcpListener::bind(address(9000)).await.unwrap();
    let outside: SocketAddr = format!("{}:8080", wire.ours).parse().unwrap();
    let config = format!(
        "[[server]]\nlisten = [\"{listen}\", \"{outside}\"]\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{}\"\n\
         [[server.location]]\npath = \"/behind\"\nproxy_pass = \"http://{}\"\n\
         [websocket]\nping_interval = \"{}s\"\npong_timeout = \"{}s\"\n",
        echo.addr,
        backend.local_addr().unwrap(),
        PING.as_secs(),
        PONG.as_secs(),
    );
    let proxy = Proxy::start(&config).await;
    let mut living = Vec::new();
    for _ in 0..LIVING {
        let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
        // Reading answers the pings.
        living.push(tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                assert!(!matches!(message, Message::Close(_)), "a living tunnel was closed");
            }
        }));
    }
    let (mut dead, mut upstreams) = (Vec::new(), Vec::new());
    for _ in 0..DEAD {
        let stream = wire.inside(move || std::net::TcpStream::connect(outside).unwrap());
        stream.set_nonblocking(true).unwrap();
        let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
        stream.write_all(handshake("x", "/behind").as_bytes()).await.unwrap();
        upstreams.push(scripted(&backend, SWITCHING).await.0);
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
        dead.push(stream);
    }
    wire.cut();
    let cut = tokio::time::Instant::now();
    for mut upstream in upstreams {
        let mut frame = [0; 8];
        within("the upstream's Close", upstream.read_exact(&mut frame)).await.unwrap();
        let code = u16::from_be_bytes([frame[6] ^ frame[2], frame[7] ^ frame[3]]);
        assert_eq!((frame[0], frame[1], code), (0x88, 0x82, 1001));
        let took = cut.elapsed();
        assert!(took <= PING + PONG + Duration::from_secs(2), "{took:?}");
        // The answer completes the handshake, then both sides end.
        upstream.write_all(&[0x88, 2, 0x03, 0xe9]).await.unwrap();
        let mut rest = Vec::new();
        within("the end", upstream.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.is_empty());
    }
    eventually("the Endings", async || {
        let closed = proxy.sum("wayhold_ws_proxy_closes_total", &["cause=\"dead_peer\""]).await;
        (closed as usize == DEAD).then_some(())
    })
    .await;
    assert_eq!(proxy.sum("wayhold_ws_tunnels_active", &[]).await as usize, LIVING);
    assert!(living.iter().all(|task| !task.is_finished()));
}
