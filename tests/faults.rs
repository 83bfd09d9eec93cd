//! Faults that are quick to make: descriptors, names, files and certificates that fail, and upstreams
//! behind a wire that swallows everything. The long ones are in `faults/run`.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::support::backend::Echo;
use crate::support::certs::Authority;
use crate::support::client::{self, WebSocket, handshake, request};
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;
use crate::support::{address, eventually, within};

/// Whether a tunnel carries a message both ways.
async fn answers(socket: &mut WebSocket) -> bool {
    if socket.send(Message::text("there?")).await.is_err() {
        return false;
    }
    loop {
        match within("an answer", socket.next()).await {
            Some(Ok(Message::Text(text))) => return text.as_str() == "there?",
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            _ => return false,
        }
    }
}

/// The code of the Close that ends a tunnel.
async fn close_code(socket: &mut WebSocket) -> Option<u16> {
    loop {
        match within("a Close", socket.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            _ => return None,
        }
    }
}

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

/// A name server that swallows questions delays the reload that asks, and nothing else.
#[tokio::test]
async fn a_silent_name_server_keeps_nobody_waiting() {
    let server = address(53);
    let Ok(questions) = tokio::net::UdpSocket::bind(server).await else {
        eprintln!("skipped: port 53 cannot be bound here");
        return;
    };
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let config = |peer: &str| {
        format!(
            "shutdown_timeout = \"2s\"\n[[server]]\nlisten = \"{listen}\"\n\
             [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{peer}\"\n"
        )
    };
    let folder = Proxy::folder();
    let (resolv, switch) = (folder.path().join("resolv.conf"), folder.path().join("nsswitch.conf"));
    std::fs::write(&resolv, format!("nameserver {}\noptions timeout:9 attempts:9\n", server.ip()))
        .unwrap();
    std::fs::write(&switch, "hosts: files dns\n").unwrap();
    let mounts = [(resolv, "/etc/resolv.conf"), (switch, "/etc/nsswitch.conf")];
    let Some(mut proxy) =
        Proxy::start_with_mounts(folder, &config(&echo.addr.to_string()), &mounts).await
    else {
        eprintln!("skipped: mount namespaces cannot be made here");
        return;
    };
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    proxy.write_config(&config("backend.faults.test:80"));
    within("the question", questions.recv_from(&mut [0; 512])).await.unwrap();
    assert!(answers(&mut socket).await);
    assert!(client::connect(listen, request("x", "/")).await.is_ok());
    // The old configuration can still be stopped.
    proxy.signal(Signal::SIGTERM);
    assert_eq!(close_code(&mut socket).await, Some(1012));
    assert!(proxy.ended().await.success());
}

/// While changed files are given time to settle, signals are heard.
#[tokio::test]
async fn a_signal_does_not_wait_for_files_to_settle() {
    let listen = address(8080);
    let config = |body: usize| {
        format!(
            "auto_reload_delay = \"1h\"\n[[server]]\nlisten = \"{listen}\"\n\
             [[server.location]]\npath = \"/\"\nreturn = {{ status = 200, body = \"{body}\" }}\n"
        )
    };
    let proxy = Proxy::start(&config(0)).await;
    for round in 1..=3 {
        proxy.write_config(&config(round));
        proxy.signal(Signal::SIGHUP);
        eventually("the reload", async || {
            (proxy.reloads("success").await >= round as u64).then_some(())
        })
        .await;
    }
}

/// A configuration whose whole folder is deleted runs on; the folder that comes back is noticed.
#[tokio::test]
async fn the_folder_of_the_configuration_is_deleted_and_comes_back() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    // Nothing else is watched beside it.
    let elsewhere = Proxy::folder();
    let parts = elsewhere.path().join("parts");
    std::fs::create_dir(&parts).unwrap();
    let part = format!(
        "[[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\n\
         proxy_pass = \"http://{}\"\n",
        echo.addr
    );
    std::fs::write(parts.join("a.toml"), &part).unwrap();
    let proxy = Proxy::start(&format!("include = {:?}", parts.join("a.toml"))).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    std::fs::remove_dir_all(&parts).unwrap();
    eventually("the rejection", async || (proxy.reloads("rejected").await >= 1).then_some(()))
        .await;
    assert!(answers(&mut socket).await);
    assert!(client::connect(listen, request("x", "/")).await.is_ok());
    std::fs::create_dir(&parts).unwrap();
    std::fs::write(parts.join("a.toml"), part).unwrap();
    eventually("the reload", async || (proxy.reloads("success").await >= 1).then_some(())).await;
    assert!(answers(&mut socket).await);
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

/// A certificate that has expired is served with a warning: better than none.
#[tokio::test]
async fn a_certificate_that_expired_is_told_and_served() {
    let listen = address(8443);
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let leaf = authority.leaf("site", &["chat.test"]);
    let config = format!(
        "[[server]]\nlisten = \"{listen} ssl\"\nserver_name = \"chat.test\"\n\
         ssl_certificate = {:?}\nssl_certificate_key = {:?}\n\
         [[server.location]]\npath = \"/\"\nreturn = {{ status = 200, body = \"ok\" }}\n",
        leaf.certificate, leaf.key
    );
    let proxy = Proxy::start_in(folder, &config).await;
    authority.expired_leaf("site", &["chat.test"]);
    eventually("the warning", async || {
        proxy.stderr().contains("the certificate has expired").then_some(())
    })
    .await;
    let name = rustls::pki_types::ServerName::try_from("chat.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client());
    let error = connector.connect(name, client::tcp(listen).await).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("expired"), "{error}");
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
