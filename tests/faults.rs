//! Faults that are quick to make: descriptors and disks that fail, and upstreams behind a wire that
//! swallows everything. The long ones are in `faults/run`.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::support::backend::Echo;
use crate::support::client::{self, WebSocket, answers, close_code, handshake, request};
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;
use crate::support::{address, eventually, within};

/// When descriptors run out, no peer is blamed, nobody loses a tunnel, and metrics, health and
/// reloads still work.
#[tokio::test]
async fn no_descriptor_is_left() {
    let (one, two) = (Echo::start("one").await, Echo::start("two").await);
    let listen = address(8080);
    let config = format!(
        "worker_connections = 1000\n[upstream.chat]\nservers = [\"{}\", \"{}\"]\n\
         [[server]]\nlisten = \"{listen}\"\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://chat\"\n",
        one.addr, two.addr
    );
    let proxy = Proxy::start_limited(Proxy::folder(), &config, "--nofile=128:128").await;
    let mut tunnels = Vec::new();
    for _ in 0..10 {
        tunnels.push(client::connect(listen, request("x", "/")).await.unwrap().0);
    }
    // Many more than there is room for, all at once; they get a 101, a 503, an end, or have to wait.
    let mut crowd = Vec::new();
    for _ in 0..200 {
        let mut stream = client::tcp(listen).await;
        // Some are turned away before they can say it.
        let _refused = stream.write_all(handshake("x", "/").as_bytes()).await;
        crowd.push(stream);
    }
    eventually("descriptors to run out", async || {
        proxy.stderr().contains("no descriptor is left").then_some(())
    })
    .await;
    assert!(within("health", proxy.get("/healthz")).await.unwrap().contains(" 200 "));
    assert_eq!(proxy.sum("wayhold_upstream_peer_up", &[]).await, 2.0, "{}", proxy.stderr());
    proxy.signal(Signal::SIGHUP);
    eventually("the reload", async || (proxy.reloads("success").await == 1).then_some(())).await;
    for tunnel in &mut tunnels {
        assert!(answers(tunnel).await);
    }
    for mut stream in crowd {
        let mut head = [0; 12];
        let read = tokio::time::timeout(Duration::from_millis(1), stream.read_exact(&mut head));
        if let Ok(Ok(_)) = read.await {
            let status = String::from_utf8_lossy(&head[9..]).into_owned();
            assert!(["101", "503"].contains(&status.as_str()), "{status}");
        }
    }
    eventually("room", async || {
        let connected = client::connect(listen, request("x", "/")).await;
        connected.is_ok().then_some(())
    })
    .await;
}

/// A log on a full disk costs lines, which are counted; tunnels do not notice.
#[tokio::test]
async fn a_full_disk_costs_lines_only() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let config = format!(
        "access_log = \"/dev/full\"\n[[server]]\nlisten = \"{listen}\"\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{}\"\n\
         [[server.location]]\npath = \"/page\"\nreturn = {{ status = 200, body = \"ok\" }}\n",
        echo.addr
    );
    let proxy = Proxy::start(&config).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    let page = "GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for _ in 0..5 {
        assert!(client::exchange(listen, page).await.starts_with("HTTP/1.1 200"));
    }
    eventually("the count", async || {
        let dropped = proxy.metric("wayhold_access_log_dropped_total").await?;
        (dropped == 5.0).then_some(())
    })
    .await;
    assert_eq!(proxy.stderr().matches("cannot be written").count(), 1, "{}", proxy.stderr());
    assert!(answers(&mut socket).await);
}

/// A log's disk that hangs holds up nothing: not traffic, not USR1, not the end of the process.
#[tokio::test]
async fn a_hanging_disk_holds_up_nothing() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let folder = Proxy::folder();
    // A pipe that nobody reads hangs when it is full.
    let pipe = folder.path().join("access.log");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let config = format!(
        "shutdown_timeout = \"2s\"\naccess_log = {pipe:?}\n[[server]]\nlisten = \"{listen}\"\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{}\"\n\
         [[server.location]]\npath = \"/page\"\nreturn = {{ status = 200, body = \"ok\" }}\n",
        echo.addr
    );
    let mut proxy = Proxy::start_in(folder, &config).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    let page = format!(
        "GET /page?{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "x".repeat(16_000)
    );
    for _ in 0..20 {
        assert!(client::exchange(listen, &page).await.starts_with("HTTP/1.1 200"));
    }
    proxy.signal(Signal::SIGUSR1);
    assert!(answers(&mut socket).await);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(close_code(&mut socket).await, Some(1012));
    assert!(proxy.ended().await.success());
    drop(reader);
}

/// Upstreams behind a wire that swallows everything: those connected are found by pings, and new
/// tunnels go elsewhere.
#[tokio::test]
async fn upstreams_that_are_swallowed() {
    let Some(wire) = Wire::new() else {
        eprintln!("skipped: network namespaces cannot be made here");
        return;
    };
    let (far, near) = (format!("{}:9000", wire.theirs), address(9000));
    let far = wire.inside(move || std::net::TcpListener::bind(far).unwrap());
    far.set_nonblocking(true).unwrap();
    let far = Echo::serve_on(tokio::net::TcpListener::from_std(far).unwrap(), "far");
    let _near = Echo::start_at(near, "near").await;
    let listen = address(8080);
    let config = format!(
        "[upstream.chat]\nservers = [\"{}\", \"{near}\"]\n[[server]]\nlisten = \"{listen}\"\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://chat\"\n\
         proxy_connect_timeout = \"1s\"\n\
         [websocket]\nping_interval = \"1s\"\npong_timeout = \"1s\"\nping_upstream = true\n",
        far.addr
    );
    let proxy = Proxy::start(&config).await;
    let (mut lost, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
        socket.send(Message::text("who")).await.unwrap();
        let name = within("a name", socket.next()).await.unwrap().unwrap();
        if name.into_text().unwrap().as_str() == "far" { &mut lost } else { &mut kept }
            .push(socket);
    }
    assert_eq!((lost.len(), kept.len()), (5, 5));
    // All read, which answers pings.
    let read = |sockets: Vec<WebSocket>| -> Vec<_> {
        let end = |mut socket| async move { close_code(&mut socket).await };
        sockets.into_iter().map(|socket| tokio::spawn(end(socket))).collect()
    };
    let (lost, kept) = (read(lost), read(kept));
    wire.cut();
    let cut = tokio::time::Instant::now();
    for code in lost {
        assert_eq!(within("a Close", code).await.unwrap(), Some(1001));
    }
    assert!(cut.elapsed() <= Duration::from_secs(4), "{:?}", cut.elapsed());
    for _ in 0..4 {
        let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
        assert!(answers(&mut socket).await);
    }
    assert!(kept.iter().all(|task| !task.is_finished()), "others are closed");
    let closed = proxy.sum("wayhold_ws_proxy_closes_total", &["cause=\"dead_peer\""]).await;
    assert_eq!(closed, 5.0);
}
