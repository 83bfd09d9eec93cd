//! Tunnels end to end: ws and wss, what upstreams see, what goes through unchanged.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::backend::{Echo, SWITCHING, scripted};
use crate::support::certs::Authority;
use crate::support::client::{self, WebSocket, handshake, read_head, request};
use crate::support::proxy::Proxy;
use crate::support::{address, within};

/// A server on `listen` with one location `/` that passes everything to `upstream`.
fn config(listen: SocketAddr, upstream: SocketAddr, more: &str) -> String {
    format!(
        "[[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\n\
         proxy_pass = \"http://{upstream}\"\n{more}\n"
    )
}

async fn next(socket: &mut WebSocket) -> Message {
    within("a message", socket.next()).await.expect("the tunnel is open").expect("a message")
}

async fn ask(socket: &mut WebSocket, text: &str) -> String {
    socket.send(Message::text(text)).await.unwrap();
    next(socket).await.into_text().unwrap().to_string()
}

#[tokio::test]
async fn a_message_goes_there_and_back_and_the_upstream_knows_the_client() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let proxy = Proxy::start(&config(listen, echo.addr, "")).await;
    let mut request = request("chat.test:8080", "/room?a=1");
    let headers = request.headers_mut();
    headers.insert("x-forwarded-for", "6.6.6.6".parse().unwrap());
    headers.insert("sec-websocket-protocol", "mqtt, stomp".parse().unwrap());
    let (mut socket, response) = client::connect(listen, request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
    assert_eq!(ask(&mut socket, "hello").await, "hello");
    let head = ask(&mut socket, "headers").await;
    for line in [
        "GET /room?a=1",
        "host: chat.test:8080",
        "x-real-ip: 127.0.0.1",
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        "x-forwarded-host: chat.test:8080",
        "sec-websocket-protocol: mqtt, stomp",
    ] {
        assert!(head.contains(line), "{line} is missing in\n{head}");
    }
    assert_eq!(proxy.sum("wayhold_ws_tunnels_active", &[]).await, 1.0);
    assert_eq!(proxy.sum("wayhold_ws_messages_total", &["direction=\"in\""]).await, 2.0);
}

#[tokio::test]
async fn wss_with_messages_of_every_size() {
    let (echo, listen) = (Echo::start("one").await, address(8443));
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let leaf = authority.leaf("site", &["chat.test"]);
    let config = format!(
        "[[server]]\nserver_name = \"chat.test\"\nlisten = \"{listen} ssl\"\n\
         ssl_certificate = {:?}\nssl_certificate_key = {:?}\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{}\"\n",
        leaf.certificate, leaf.key, echo.addr
    );
    let _proxy = Proxy::start_in(folder, &config).await;
    let request = request("chat.test", "/");
    let trust = authority.client();
    let (mut socket, _) = client::connect_tls(listen, &trust, "chat.test", request).await.unwrap();
    assert!(ask(&mut socket, "headers").await.contains("x-forwarded-proto: https\n"));
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_003, 5_000_000] {
        let payload: Vec<u8> = (0..size).map(|i: u32| (i.wrapping_mul(31) >> 3) as u8).collect();
        socket.send(Message::binary(payload.clone())).await.unwrap();
        assert!(next(&mut socket).await.into_data() == payload, "{size} bytes came back changed");
    }
}

/// Long messages without TLS go through a pipe; here it is full before anything is read, pings wait
/// for the ends of the frames, and short messages stand between.
#[tokio::test]
async fn long_messages_to_a_slow_reader_arrive_whole() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let websocket = "[server.location.websocket]\nping_interval = \"50ms\"\nping_jitter = 0\n\
                     ping_upstream = true\n";
    let proxy = Proxy::start(&config(listen, echo.addr, websocket)).await;
    let (socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    let (mut sink, mut stream) = socket.split();
    let pattern = |number: u32, len: usize| -> Vec<u8> {
        (0..).take(len).map(|i: u32| (i.wrapping_mul(31 + number) >> 3) as u8).collect()
    };
    let sizes = [3_000_000, 10, 65_536, 65_536, 40_000, 131_072, 1_000_001, 0, 200_000, 200_001];
    let sender = tokio::spawn(async move {
        for (number, size) in (0..).zip(sizes.into_iter().cycle().take(30)) {
            sink.feed(Message::binary(pattern(number, size))).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    let waiting = async || proxy.sum("wayhold_ws_buffered_bytes", &[]).await;
    within("bytes that wait for the reader", async { while waiting().await == 0.0 {} }).await;
    for (number, size) in (0..).zip(sizes.into_iter().cycle().take(30)) {
        let message = loop {
            match within("a message", stream.next()).await.unwrap().unwrap() {
                Message::Ping(_) => {}
                message => break message.into_data(),
            }
        };
        assert!(
            message == pattern(number, size),
            "message {number} of {size} bytes came back changed"
        );
    }
    let mut sink = sender.await.unwrap();
    sink.close().await.unwrap();
    within("the end", async { while stream.next().await.is_some() {} }).await;
    assert_eq!(proxy.sum("wayhold_ws_messages_total", &["direction=\"out\""]).await, 30.0);
    assert_eq!(waiting().await, 0.0);
}

/// A tunnel goes to the thread with the fewest: also after one thread has lost all of its own.
#[tokio::test]
async fn threads_share_the_tunnels_evenly() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let config = format!("worker_processes = 2\n{}", config(listen, echo.addr, ""));
    let proxy = Proxy::start(&config).await;
    let both = async || {
        let of = async |index: &str| {
            let label = format!("worker=\"{index}\"");
            proxy.sum("wayhold_worker_tunnels_active", &[&label]).await
        };
        let mut both = [of("0").await, of("1").await];
        both.sort_by(f64::total_cmp);
        both
    };
    let shares = async |wanted: [f64; 2]| {
        within("the shares", async { while both().await != wanted {} }).await;
    };
    // The 101 comes before a thread has the tunnel: the next one waits for that.
    let open = async |count: f64| {
        let socket = client::connect(listen, request("x", "/")).await.unwrap().0;
        within("its thread", async { while both().await.iter().sum::<f64>() != count {} }).await;
        socket
    };
    let mut sockets = Vec::new();
    for count in 1..=40 {
        sockets.push(open(f64::from(count)).await);
    }
    shares([20.0, 20.0]).await;
    // They were dealt out in turn: every other one is all of a thread's.
    let mut index = 0;
    sockets.retain(|_| {
        index += 1;
        index % 2 == 0
    });
    shares([0.0, 20.0]).await;
    for count in 21..=40 {
        sockets.push(open(f64::from(count)).await);
    }
    shares([20.0, 20.0]).await;
}

#[tokio::test]
async fn many_messages_in_flight_keep_their_order() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let _proxy = Proxy::start(&config(listen, echo.addr, "")).await;
    let (socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    let (mut sink, mut stream) = socket.split();
    let sender = tokio::spawn(async move {
        for number in 0..20_000 {
            sink.feed(Message::text(format!("message {number}"))).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    for number in 0..20_000 {
        let message = within("a message", stream.next()).await.unwrap().unwrap();
        assert_eq!(message.into_text().unwrap().as_str(), format!("message {number}"));
    }
    drop(sender.await.unwrap());
}

#[tokio::test]
async fn our_pings_reach_the_client_and_their_pongs_nobody() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let websocket = "[server.location.websocket]\nping_interval = \"200ms\"\nping_jitter = 0\n";
    let proxy = Proxy::start(&config(listen, echo.addr, websocket)).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    for _ in 0..3 {
        // The library answers each ping it reads.
        assert!(matches!(next(&mut socket).await, Message::Ping(_)));
    }
    assert_eq!(ask(&mut socket, "still there").await, "still there");
    assert!(proxy.sum("wayhold_ws_ping_rtt_seconds_count", &["side=\"client\""]).await >= 2.0);
    assert_eq!(proxy.sum("wayhold_ws_messages_total", &["direction=\"out\""]).await, 1.0);
}

#[tokio::test]
async fn bytes_behind_the_handshake_are_kept_on_both_sides() {
    let (listener, listen) = (TcpListener::bind(address(9000)).await.unwrap(), address(8080));
    let upstream = listener.local_addr().unwrap();
    let _proxy = Proxy::start(&config(listen, upstream, "")).await;
    let mut client = client::tcp(listen).await;
    let early = [handshake("x", "/").as_bytes(), b"\x81\x85\x00\x00\x00\x00early"].concat();
    client.write_all(&early).await.unwrap();
    let (mut backend, _) = scripted(&listener, &format!("{SWITCHING}\u{1}\u{0}")).await;
    let mut frame = [0; 11];
    within("the early frame", backend.read_exact(&mut frame)).await.unwrap();
    assert_eq!(&frame, b"\x81\x85\x00\x00\x00\x00early");
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 101"));
    let mut behind = [0; 2];
    within("the frame behind the 101", client.read_exact(&mut behind)).await.unwrap();
    assert_eq!(&behind, b"\x01\x00");
}

#[tokio::test]
async fn an_answer_without_switching_goes_through_whole() {
    let (listener, listen) = (TcpListener::bind(address(9000)).await.unwrap(), address(8080));
    let upstream = listener.local_addr().unwrap();
    let proxy = Proxy::start(&config(listen, upstream, "")).await;
    let backend = tokio::spawn(async move {
        let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n\
                      Content-Length: 5\r\n\r\nwho??";
        scripted(&listener, answer).await.1
    });
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = client::exchange(listen, handshake("x", "/") + smuggled).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
    assert!(answer.ends_with("who??"), "{answer}");
    assert!(backend.await.unwrap().starts_with("GET / HTTP/1.1"));
    assert_eq!(proxy.sum("wayhold_ws_upgrades_total", &["result=\"refused\""]).await, 1.0);
}

#[tokio::test]
async fn a_101_that_does_not_belong_to_the_request_is_a_502() {
    let (listener, listen) = (TcpListener::bind(address(9000)).await.unwrap(), address(8080));
    let upstream = listener.local_addr().unwrap();
    let proxy = Proxy::start(&config(listen, upstream, "")).await;
    for (answer, request) in [
        (SWITCHING.replace("s3pP", "AAAA"), handshake("x", "/")),
        (SWITCHING.replace("websocket", "h2c"), handshake("x", "/")),
        (SWITCHING.to_owned(), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned()),
    ] {
        let exchange = client::exchange(listen, request);
        let (seen, _) = tokio::join!(exchange, scripted(&listener, &answer));
        assert!(seen.starts_with("HTTP/1.1 502"), "{seen}");
    }
    assert_eq!(proxy.sum("wayhold_ws_tunnels_active", &[]).await, 0.0);
}

#[tokio::test]
async fn bad_handshakes_never_reach_the_upstream() {
    let (listener, listen) = (TcpListener::bind(address(9000)).await.unwrap(), address(8080));
    let upstream = listener.local_addr().unwrap();
    let websocket = "[server.location.websocket]\nallowed_origins = [\"https://good.test\"]\n";
    let _proxy = Proxy::start(&config(listen, upstream, websocket)).await;
    let good = handshake("x", "/");
    for (request, status) in [
        (good.replace("Version: 13", "Version: 8"), "426"),
        (good.replace("GET", "POST"), "400"),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400"),
        (good.replace("\r\n\r\n", "\r\nOrigin: https://evil.test\r\n\r\n"), "403"),
        (good.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"), "400"),
    ] {
        let answer = client::exchange(listen, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
    }
    let nobody =
        tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn peers_that_cannot_be_reached_are_passed_over() {
    let (echo, listen) = (Echo::start("alive").await, address(8080));
    let (dead, also_dead) = (address(9000), address(9000));
    let config = format!(
        "[upstream.chat]\nservers = [\"{dead}\", \"{also_dead}\", \"{}\"]\n\
         [[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\n\
         proxy_pass = \"http://chat\"\n",
        echo.addr
    );
    let proxy = Proxy::start(&config).await;
    for _ in 0..5 {
        let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
        assert_eq!(ask(&mut socket, "who").await, "alive");
    }
    let up =
        |addr: SocketAddr| format!("wayhold_upstream_peer_up{{peer=\"{addr}\",upstream=\"chat\"}}");
    assert_eq!(proxy.metric(&up(dead)).await, Some(0.0));
    assert_eq!(proxy.metric(&up(echo.addr)).await, Some(1.0));
}

#[tokio::test]
async fn when_nobody_answers_it_is_a_502() {
    let listen = address(8080);
    let _proxy = Proxy::start(&config(listen, address(9000), "")).await;
    let Err(Error::Http(response)) = client::connect(listen, request("x", "/")).await else {
        panic!("there is nobody to connect to");
    };
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn upstreams_over_unix_sockets_and_tls() {
    let (echo, listen) = (Echo::start("inner").await, address(8443));
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let leaf = authority.leaf("peer", &["peer.test"]);
    let (outer, socket_file) = (address(8080), folder.path().join("s.sock"));
    // One proxy is the other's TLS peer, and a Unix socket lies between two of its servers.
    let config = format!(
        "[[server]]\nlisten = [\"{listen} ssl\", \"unix:{socket}\"]\nserver_name = \"peer.test\"\n\
         ssl_certificate = {cert:?}\nssl_certificate_key = {key:?}\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{echo}\"\n\
         [[server]]\nlisten = \"{outer}\"\n\
         [[server.location]]\npath = \"/unix\"\nproxy_pass = \"http://unix:{socket}:/over-unix\"\n\
         [[server.location]]\npath = \"/tls\"\nproxy_pass = \"https://{listen}/over-tls\"\n\
         proxy_ssl_name = \"peer.test\"\nproxy_ssl_trusted_certificate = {ca:?}\n\
         [[server.location]]\npath = \"/unverified\"\nproxy_pass = \"https://{listen}\"\n\
         proxy_ssl_name = \"other.test\"\nproxy_ssl_trusted_certificate = {ca:?}\n",
        socket = socket_file.display(),
        cert = leaf.certificate,
        key = leaf.key,
        echo = echo.addr,
        ca = authority.file(),
    );
    let _proxy = Proxy::start_in(folder, &config).await;
    for (path, seen) in [("/unix/a?b=c", "GET /over-unix/a?b=c"), ("/tls", "GET /over-tls\n")] {
        let (mut socket, _) = client::connect(outer, request("x", path)).await.unwrap();
        let head = ask(&mut socket, "headers").await;
        assert!(head.contains(seen), "{head}");
        let payload = vec![7; 300_000];
        socket.send(Message::binary(payload.clone())).await.unwrap();
        assert!(next(&mut socket).await.into_data() == payload);
    }
    let Err(Error::Http(response)) = client::connect(outer, request("x", "/unverified")).await
    else {
        panic!("the certificate is for another name");
    };
    assert_eq!(response.status(), 502);
}
