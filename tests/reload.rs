//! Reloads: live tunnels never notice, the next ones follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::support::backend::Echo;
use crate::support::certs::Authority;
use crate::support::client::{self, WebSocket, request};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

/// Tunnels in the big test.
const TUNNELS: usize = 2_000;
/// Reloads in the big test.
const RELOADS: usize = 50;

/// Sends numbered messages until told to stop; every answer must be the next one.
async fn chat(
    mut socket: WebSocket,
    id: usize,
    stop: Arc<AtomicBool>,
    exchanged: Arc<AtomicUsize>,
) -> Result<(), String> {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{id}:{number}");
        socket.send(Message::text(text.clone())).await.map_err(|e| format!("{text}: {e}"))?;
        loop {
            let answer = tokio::time::timeout(Duration::from_secs(60), socket.next()).await;
            match answer.map_err(|_| format!("{text}: lost"))? {
                Some(Ok(Message::Text(got))) if got.as_str() == text => break,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return Err(format!("{text}: got {other:?}")),
            }
        }
        number += 1;
        exchanged.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    socket.close(None).await.map_err(|e| format!("{id}: {e}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_tunnels_live_through_fifty_reloads() {
    let peers = [Echo::start("one").await, Echo::start("two").await, Echo::start("three").await];
    let (listen, tls, extra) = (address(8080), address(8443), address(8081));
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let path = folder.path().to_owned();
    // Another certificate, timeout, route, weight and listener each time.
    let config = |round: usize| {
        // In files of its own: halves of two pairs, read between two writes, would be rejected.
        let leaf = authority.leaf(&format!("site-{round}"), &["chat.test"]);
        let more = if round % 2 == 1 { format!(", \"{extra}\"") } else { String::new() };
        format!(
            "access_log = {{ path = \"{path}/access.log\", format = \"json\" }}\n\
             [upstream.chat]\nservers = [\"{}\", \"{}\", {{ address = \"{}\", max_fails = {} }}]\n\
             [[server]]\nserver_name = \"chat.test\"\nlisten = [\"{listen}\", \"{tls} ssl\"{more}]\n\
             ssl_certificate = {:?}\nssl_certificate_key = {:?}\n\
             [[server.location]]\npath = \"/\"\nproxy_pass = \"http://chat\"\n\
             proxy_read_timeout = \"{}s\"\nproxy_send_timeout = \"{}s\"\n\
             [[server.location]]\npath = \"/extra-{round}\"\nreturn = {{ status = 200, body = \"ok\" }}\n",
            peers[0].addr,
            peers[1].addr,
            peers[2].addr,
            1 + round,
            leaf.certificate,
            leaf.key,
            100 + round,
            100 + round,
            path = path.display(),
        )
    };
    let proxy = Proxy::start_in(folder, &config(0)).await;
    let (stop, exchanged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let trust = authority.client();
    let mut chats = Vec::new();
    for id in 0..TUNNELS {
        let request = request("chat.test", "/");
        let connected = if id % 4 == 0 {
            client::connect_tls(tls, &trust, "chat.test", request).await
        } else {
            client::connect(listen, request).await
        };
        let (socket, _) = connected.unwrap();
        chats.push(tokio::spawn(chat(socket, id, Arc::clone(&stop), Arc::clone(&exchanged))));
    }
    for round in 1..=RELOADS {
        let before = exchanged.load(Ordering::Relaxed);
        proxy.reload(&config(round)).await;
        // A reload that a new certificate started may still have found the old file.
        eventually("the new route", async || {
            let page = "GET /extra-ROUND HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n";
            let answer = client::exchange(listen, page.replace("ROUND", &round.to_string())).await;
            answer.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
        eventually("the extra listener to come or go", async || {
            let there = tokio::net::TcpStream::connect(extra).await.is_ok();
            (there == (round % 2 == 1)).then_some(())
        })
        .await;
        // Messages flow on between reloads.
        eventually("messages", async || {
            (exchanged.load(Ordering::Relaxed) > before + 200).then_some(())
        })
        .await;
    }
    let active = proxy.sum("wayhold_ws_tunnels_active", &[]).await;
    let ended = std::fs::read_to_string(proxy.file("access.log")).unwrap();
    let ended: Vec<&str> = ended.lines().filter(|line| line.contains("\"close\"")).collect();
    assert!(active == TUNNELS as f64, "{active} are left; ended: {ended:#?}");
    assert_eq!(proxy.reloads("rejected").await, 0);
    // least_conn is exact over all generations.
    let mut counts: Vec<usize> = peers.iter().map(Echo::open).collect();
    counts.sort_unstable();
    assert_eq!(counts, [666, 667, 667]);
    for (peer, count) in peers.iter().map(|peer| (peer.addr, peer.open())) {
        let series =
            format!("wayhold_upstream_peer_tunnels_active{{peer=\"{peer}\",upstream=\"chat\"}}");
        assert_eq!(proxy.metric(&series).await, Some(count as f64));
    }
    stop.store(true, Ordering::Relaxed);
    for chat in chats {
        within("the end of a chat", chat).await.unwrap().unwrap();
    }
    let lines = proxy.log_lines("access.log", TUNNELS + RELOADS).await;
    let tunnels: Vec<_> = lines.iter().filter(|line| line["event"] == "close").collect();
    assert_eq!(tunnels.len(), TUNNELS);
    assert!(tunnels.iter().all(|line| line["ws_close_initiator"] == "client"));
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let good = format!(
        "[[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\n\
         proxy_pass = \"http://{}\"\n",
        echo.addr
    );
    let proxy = Proxy::start(&good).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    proxy.write_config(&good.replace("proxy_pass", "proxy_pas"));
    eventually("the rejection", async || (proxy.reloads("rejected").await == 1).then_some(()))
        .await;
    let log = proxy.stderr();
    assert!(log.contains("unknown key") && log.contains("proxy_pass"), "{log}");
    assert_eq!(proxy.metric("wayhold_config_last_reload_successful").await, Some(0.0));
    socket.send(Message::text("still there")).await.unwrap();
    let answer = within("an answer", socket.next()).await.unwrap().unwrap();
    assert_eq!(answer.into_text().unwrap().as_str(), "still there");
    assert!(client::connect(listen, request("x", "/")).await.is_ok());
    proxy.reload(&good).await;
    assert_eq!(proxy.metric("wayhold_config_last_reload_successful").await, Some(1.0));
}

#[tokio::test]
async fn live_tunnels_follow_new_clocks() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let config = |websocket: &str| {
        format!(
            "[[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\n\
             proxy_pass = \"http://{}\"\n[server.location.websocket]\n{websocket}\n",
            echo.addr
        )
    };
    let proxy = Proxy::start(&config("ping_interval = \"1h\"")).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    proxy.reload(&config("idle_timeout = \"200ms\"")).await;
    let close = within("the new clock", socket.next()).await.unwrap().unwrap();
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!(u16::from(frame.code), 1001);
}

#[tokio::test]
async fn a_hang_up_reloads_and_a_missing_certificate_does_not() {
    let listen = address(8443);
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let leaf = authority.leaf("site", &["chat.test"]);
    let config = format!(
        "auto_reload = false\n[[server]]\nlisten = \"{listen} ssl\"\nserver_name = \"chat.test\"\n\
         ssl_certificate = {:?}\nssl_certificate_key = {:?}\n\
         [[server.location]]\npath = \"/\"\nreturn = {{ status = 200, body = \"ok\" }}\n",
        leaf.certificate, leaf.key
    );
    let proxy = Proxy::start_in(folder, &config).await;
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("the reload", async || (proxy.reloads("success").await == 1).then_some(())).await;
    std::fs::rename(&leaf.key, proxy.file("away")).unwrap();
    proxy.signal(nix::sys::signal::Signal::SIGHUP);
    eventually("the rejection", async || (proxy.reloads("rejected").await == 1).then_some(()))
        .await;
    let name = rustls::pki_types::ServerName::try_from("chat.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client());
    assert!(connector.connect(name, client::tcp(listen).await).await.is_ok());
}
