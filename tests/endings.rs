//! Why a tunnel ended: every cause, injected from both sides, gives exactly one log line and one
//! counter increment with the right initiator, cause and code.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::backend::{SWITCHING, scripted};
use crate::support::certs::Authority;
use crate::support::client::{self, handshake, read_head};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

/// A proxy with a location for each clock and limit, and the backend behind all of them.
struct Rig {
    proxy: Proxy,
    listen: std::net::SocketAddr,
    tls: std::net::SocketAddr,
    trust: std::sync::Arc<rustls::ClientConfig>,
    backend: TcpListener,
    /// Tunnels that have ended so far.
    ended: usize,
}

const LOCATIONS: [(&str, &str); 8] = [
    ("/plain", ""),
    ("/idle", "idle_timeout = \"300ms\""),
    ("/data-idle", "data_idle_timeout = \"300ms\""),
    ("/age", "max_age = \"300ms\"\nmax_age_jitter = 0"),
    ("/dead", "ping_interval = \"100ms\"\npong_timeout = \"300ms\""),
    ("/dead-upstream", "ping_interval = \"100ms\"\npong_timeout = \"300ms\"\nping_upstream = true"),
    ("/small", "max_frame_size = \"100\""),
    ("/slow", "max_buffer = \"4k\""),
];

impl Rig {
    async fn new() -> Self {
        let (listen, tls) = (address(8080), address(8443));
        let backend = TcpListener::bind(address(9000)).await.unwrap();
        let folder = Proxy::folder();
        let authority = Authority::new(folder.path());
        let leaf = authority.leaf("site", &["chat.test"]);
        let mut config = format!(
            "shutdown_timeout = \"3s\"\naccess_log = {{ path = {:?}, format = \"json\" }}\n\
             [[server]]\nlisten = [\"{listen}\", \"{tls} ssl\"]\nserver_name = \"chat.test\"\n\
             ssl_certificate = {:?}\nssl_certificate_key = {:?}\n",
            folder.path().join("access.log"),
            leaf.certificate,
            leaf.key,
        );
        let upstream = backend.local_addr().unwrap();
        for (path, websocket) in LOCATIONS {
            let send = if path == "/slow" { "proxy_send_timeout = \"700ms\"" } else { "" };
            config.push_str(&format!(
                "[[server.location]]\npath = \"{path}\"\nproxy_pass = \"http://{upstream}\"\n{send}\n\
                 [server.location.websocket]\nclose_timeout = \"1s\"\nping_jitter = 0\n{websocket}\n"
            ));
        }
        let trust = authority.client();
        let proxy = Proxy::start_in(folder, &config).await;
        Self { proxy, listen, tls, trust, backend, ended: 0 }
    }

    /// An open tunnel: the client's socket and the backend's.
    async fn open(&self, path: &str) -> (TcpStream, TcpStream) {
        let mut client = client::tcp(self.listen).await;
        client.write_all(handshake("chat.test", path).as_bytes()).await.unwrap();
        let (upstream, _) = scripted(&self.backend, SWITCHING).await;
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 101"));
        (client, upstream)
    }

    /// The one line of the tunnel that has just ended; the counters must say the same.
    async fn expect(&mut self, initiator: &str, cause: &str, code: Option<u16>) -> Value {
        self.ended += 1;
        let lines = self.proxy.log_lines("access.log", self.ended).await;
        assert_eq!(lines.len(), self.ended, "one line for each tunnel");
        let line = lines.last().unwrap().clone();
        assert_eq!(line["ws_close_initiator"], initiator, "{line}");
        assert_eq!(line["ws_close_cause"], cause, "{line}");
        assert_eq!(
            line.get("ws_close_code").and_then(Value::as_u64),
            code.map(u64::from),
            "{line}"
        );
        let closed = self.proxy.sum("wayhold_ws_tunnels_closed_total", &[]).await;
        assert_eq!(closed as usize, self.ended, "one increment for each tunnel");
        let by_proxy = self.proxy.sum("wayhold_ws_proxy_closes_total", &[]).await as usize;
        let lines_by_proxy = lines.iter().filter(|l| l["ws_close_initiator"] == "proxy").count();
        assert_eq!(by_proxy, lines_by_proxy);
        assert_eq!(self.proxy.sum("wayhold_ws_tunnels_active", &[]).await, 0.0);
        line
    }
}

/// A Close of an endpoint: masked from the client with a key of zeroes.
fn close(masked: bool, code: u16) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    if masked { vec![0x88, 0x82, 0, 0, 0, 0, high, low] } else { vec![0x88, 2, high, low] }
}

/// Reads up to a Close frame, past pings; gives back its code. Both kinds of frame are short.
async fn read_close(stream: &mut TcpStream) -> Option<u16> {
    loop {
        let first = within("a frame", stream.read_u8()).await.ok()?;
        let second = stream.read_u8().await.ok()?;
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            stream.read_exact(&mut mask).await.ok()?;
        }
        let mut payload = vec![0; usize::from(second & 0x7f)];
        stream.read_exact(&mut payload).await.ok()?;
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        if first == 0x88 {
            return Some(u16::from_be_bytes([payload[0], payload[1]]));
        }
    }
}

/// Takes whatever comes until the end.
async fn to_the_end(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _reset = within("the end", stream.read_to_end(&mut rest)).await;
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn endpoints_that_close_or_vanish() {
    let mut rig = Rig::new().await;

    let (mut client, mut upstream) = rig.open("/plain").await;
    client.write_all(&close(true, 4001)).await.unwrap();
    assert_eq!(read_close(&mut upstream).await, Some(4001));
    upstream.write_all(&close(false, 4001)).await.unwrap();
    assert_eq!(read_close(&mut client).await, Some(4001));
    tokio::join!(to_the_end(client), async { drop(upstream) });
    let line = rig.expect("client", "close_frame", Some(4001)).await;
    assert_eq!(line["ws_clean"], true);

    let (mut client, mut upstream) = rig.open("/plain").await;
    upstream.write_all(&close(false, 1000)).await.unwrap();
    assert_eq!(read_close(&mut client).await, Some(1000));
    client.write_all(&close(true, 1000)).await.unwrap();
    assert_eq!(read_close(&mut upstream).await, Some(1000));
    drop((upstream, client));
    rig.expect("upstream", "close_frame", Some(1000)).await;

    let (client, mut upstream) = rig.open("/plain").await;
    drop(client);
    assert_eq!(read_close(&mut upstream).await, Some(1001));
    drop(upstream);
    rig.expect("client", "eof", Some(1001)).await;

    let (mut client, upstream) = rig.open("/plain").await;
    drop(upstream);
    assert_eq!(read_close(&mut client).await, Some(1011));
    drop(client);
    rig.expect("upstream", "eof", Some(1011)).await;

    let (client, mut upstream) = rig.open("/plain").await;
    reset(&client);
    drop(client);
    assert_eq!(read_close(&mut upstream).await, Some(1001));
    drop(upstream);
    rig.expect("client", "reset", Some(1001)).await;

    let (mut client, upstream) = rig.open("/plain").await;
    reset(&upstream);
    drop(upstream);
    assert_eq!(read_close(&mut client).await, Some(1011));
    drop(client);
    rig.expect("upstream", "reset", Some(1011)).await;

    // In mid-frame there is no place for a Close.
    let (mut client, mut upstream) = rig.open("/plain").await;
    upstream.write_all(b"\x82\x7e\x01\x00half a frame").await.unwrap();
    drop(upstream);
    let mut seen = Vec::new();
    within("the end", client.read_to_end(&mut seen)).await.unwrap();
    assert_eq!(seen, b"\x82\x7e\x01\x00half a frame");
    drop(client);
    rig.expect("upstream", "eof", None).await;
}

#[tokio::test]
async fn clocks() {
    let mut rig = Rig::new().await;
    for (path, cause) in [("/idle", "idle"), ("/data-idle", "data_idle"), ("/age", "max_age")] {
        let (mut client, mut upstream) = rig.open(path).await;
        let codes = tokio::join!(read_close(&mut client), read_close(&mut upstream));
        assert_eq!(codes, (Some(1001), Some(1001)), "{path}");
        client.write_all(&close(true, 1001)).await.unwrap();
        upstream.write_all(&close(false, 1001)).await.unwrap();
        drop((client, upstream));
        rig.expect("proxy", cause, Some(1001)).await;
    }
}

#[tokio::test]
async fn dead_legs() {
    let mut rig = Rig::new().await;
    // The sockets stay open and answer no ping.
    let (client, mut upstream) = rig.open("/dead").await;
    assert_eq!(read_close(&mut upstream).await, Some(1001));
    drop(upstream);
    rig.expect("proxy", "dead_peer", Some(1001)).await;
    drop(client);

    let (mut client, upstream) = rig.open("/dead-upstream").await;
    // The client lives: it says something now and then.
    let living = async {
        for _ in 0..40 {
            if client.write_all(b"\x89\x80\0\0\0\0").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    living.await;
    assert_eq!(read_close(&mut client).await, Some(1001));
    drop(client);
    rig.expect("proxy", "dead_peer", Some(1001)).await;
    drop(upstream);
}

#[tokio::test]
async fn limits_and_impossible_frames() {
    let mut rig = Rig::new().await;
    for (path, header, cause, code) in [
        ("/small", [0x82, 0x7e, 1, 0].as_slice(), "too_big", 1009),
        ("/plain", &[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], "protocol", 1002),
    ] {
        for from_client in [true, false] {
            let (mut client, mut upstream) = rig.open(path).await;
            let mut bytes = header.to_vec();
            if from_client {
                bytes[1] |= 0x80;
                bytes.extend([0; 4]);
                client.write_all(&bytes).await.unwrap();
            } else {
                upstream.write_all(&bytes).await.unwrap();
            }
            let codes = tokio::join!(read_close(&mut client), read_close(&mut upstream));
            assert_eq!(codes, (Some(code), Some(code)), "{path} {from_client}");
            drop((client, upstream));
            rig.expect("proxy", cause, Some(code)).await;
        }
    }
}

#[tokio::test]
async fn legs_that_take_nothing() {
    let mut rig = Rig::new().await;
    for client_is_slow in [true, false] {
        let (client, upstream) = rig.open("/slow").await;
        let (slow, mut fast) = if client_is_slow { (client, upstream) } else { (upstream, client) };
        // A frame without an end, for a reader that does not read.
        let mut header = vec![0x82, 0x7f, 0, 0, 0, 1, 0, 0, 0, 0];
        if !client_is_slow {
            header[1] |= 0x80;
            header.extend([0; 4]);
        }
        fast.write_all(&header).await.unwrap();
        let (mut reader, mut writer) = fast.into_split();
        let flood = tokio::spawn(async move {
            let block = vec![0; 65536];
            while writer.write_all(&block).await.is_ok() {}
        });
        let mut told = Vec::new();
        // The fast one gets its Close, then the end.
        let _reset = within("the end", reader.read_to_end(&mut told)).await;
        assert!(
            told.windows(2).any(|pair| pair == 1008_u16.to_be_bytes())
                || !client_is_slow
                || told.len() > 2
        );
        let line = rig.expect("proxy", "slow_consumer", Some(1008)).await;
        // The time that nobody made an end of counts too.
        assert!(line["ws_stalled_time"].as_f64().unwrap() >= 0.7, "{line}");
        let direction = if client_is_slow { "direction=\"out\"" } else { "direction=\"in\"" };
        let stalled = rig.proxy.sum("wayhold_ws_backpressure_seconds_total", &[direction]).await;
        assert!(stalled >= 0.7, "{stalled}");
        flood.abort();
        drop(slow);
    }
}

#[tokio::test]
async fn a_tls_session_that_breaks() {
    let mut rig = Rig::new().await;
    let tcp = client::tcp(rig.tls).await;
    let name = rustls::pki_types::ServerName::try_from("chat.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(&rig.trust));
    let mut stream = within("tls", connector.connect(name, tcp)).await.unwrap();
    stream.write_all(handshake("chat.test", "/plain").as_bytes()).await.unwrap();
    let (mut upstream, _) = scripted(&rig.backend, SWITCHING).await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
    let (mut raw, _session) = stream.into_inner();
    raw.write_all(&[0x17, 3, 3, 0, 32]).await.unwrap();
    raw.write_all(&[0x55; 32]).await.unwrap();
    assert_eq!(read_close(&mut upstream).await, Some(1001));
    drop(upstream);
    rig.expect("client", "tls", Some(1001)).await;
}

#[tokio::test]
async fn the_process_finishes() {
    for (signal, cause) in [(Signal::SIGTERM, "drain"), (Signal::SIGINT, "shutdown")] {
        let mut rig = Rig::new().await;
        let (mut client, mut upstream) = rig.open("/plain").await;
        rig.proxy.signal(signal);
        let codes = tokio::join!(read_close(&mut client), read_close(&mut upstream));
        assert_eq!(codes, (Some(1012), Some(1012)));
        if signal == Signal::SIGTERM {
            eventually("readiness to fail", async || {
                rig.proxy.get("/readyz").await?.starts_with("HTTP/1.1 503").then_some(())
            })
            .await;
        }
        client.write_all(&close(true, 1012)).await.ok();
        upstream.write_all(&close(false, 1012)).await.ok();
        drop((client, upstream));
        assert!(rig.proxy.ended().await.success());
        let lines = rig.proxy.log_lines("access.log", 1).await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["ws_close_cause"], cause);
        assert_eq!(lines[0]["ws_close_code"], 1012);
        assert!(!rig.proxy.file("wayhold.pid").exists());
    }
}
