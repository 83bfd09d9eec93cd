//! Plain HTTP beside the WebSockets: pages, uploads, downloads, keepalive, who the client is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::backend::scripted;
use crate::support::client::{self, read_all, read_head};
use crate::support::proxy::Proxy;
use crate::support::{address, within};

/// A server with a location `/` that goes to `upstream`, and `more`.
fn config(listen: impl std::fmt::Display, upstream: std::net::SocketAddr, more: &str) -> String {
    format!(
        "[[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\n\
         proxy_pass = \"http://{upstream}\"\n{more}\n"
    )
}

/// An upstream that answers every request on a connection with its own head as the body; it counts
/// its connections.
async fn mirror() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address(9000)).await.unwrap();
    let (addr, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let len = head.len();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
                    if stream.write_all(&[answer.as_bytes(), &head].concat()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (addr, connections)
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let ((upstream, connections), listen) = (mirror().await, address(8080));
    let _proxy = Proxy::start(&config(listen, upstream, "")).await;
    let mut stream = client::tcp(listen).await;
    for number in 0..20 {
        let request = format!("GET /{number} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let body = read_head(&mut stream).await;
        assert!(body.starts_with(&format!("GET /{number} HTTP/1.1")), "{body}");
    }
    assert!(connections.load(Ordering::Relaxed) <= 2, "one request's connection is the next one's");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let ((upstream, _), listen) = (mirror().await, address(8080));
    let more = "[[server.location]]\npath = \"/own\"\nreturn = { status = 200, body = \"ok\" }\n";
    let config = format!("keepalive_timeout = \"300ms\"\n{}", config(listen, upstream, more));
    let _proxy = Proxy::start(&config).await;
    for path in ["/", "/own"] {
        let mut stream = client::tcp(listen).await;
        for _ in 0..2 {
            let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let head = read_head(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length: usize = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                })
                .unwrap();
            stream.read_exact(&mut vec![0; length]).await.unwrap();
        }
        let rest = within("the end of the connection", read_all(&mut stream)).await;
        assert_eq!(rest, "");
    }
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_refused() {
    let listener = TcpListener::bind(address(9000)).await.unwrap();
    let listen = address(8080);
    let _proxy = Proxy::start(&config(listen, listener.local_addr().unwrap(), "")).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\n\r\n";
    let ask = client::exchange(listen, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (_, got) = tokio::join!(scripted(&listener, answer), ask);
    assert!(got.starts_with("HTTP/1.1 502 ") && !got.contains("hello"), "{got}");
}

#[tokio::test]
async fn the_upstream_sees_what_the_configuration_says() {
    let ((upstream, _), listen) = (mirror().await, address(8080));
    let more = "[server.location.proxy_set_header]\nX-Host = \"$host\"\nX-Arg = \"$arg_a\"\n\
        X-Proto = \"$server_protocol_map\"\nAccept = \"\"\n\
        [[server.location]]\npath = \"/app/\"\nproxy_pass = \"http://UPSTREAM/inner/\"\n";
    let maps = "map = [{ source = \"$arg_a\", variable = \"server_protocol_map\", \
        values = { \"1\" = \"one-$remote_addr\" }, default = \"none\" }]\n";
    let config = maps.to_owned()
        + &config(listen, upstream, &more.replace("UPSTREAM", &upstream.to_string()));
    let _proxy = Proxy::start(&config).await;
    let head = client::exchange(
        listen,
        "GET /x%20y?a=1 HTTP/1.1\r\nHost: A.test:99\r\nAccept: */*\r\nConnection: close, X-Hop\r\n\
         X-Hop: 1\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n",
    )
    .await
    .to_lowercase();
    for line in [
        "get /x%20y?a=1 http/1.1",
        "host: a.test:99\r\n",
        "x-host: a.test\r\n",
        "x-arg: 1\r\n",
        "x-proto: one-127.0.0.1\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-real-ip: 127.0.0.1\r\n",
    ] {
        assert!(head.contains(line), "{line:?} is missing in\n{head}");
    }
    for gone in ["accept:", "x-hop", "6.6.6.6", "forwarded: for"] {
        assert!(!head.contains(gone), "{gone} is in\n{head}");
    }
    let get = "GET /app//a/../b?q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(client::exchange(listen, get).await.contains("GET /inner/b?q HTTP/1.1"));
}

#[tokio::test]
async fn bodies_are_streamed_both_ways_with_trailers() {
    let listener = TcpListener::bind(address(9000)).await.unwrap();
    let (upstream, listen) = (listener.local_addr().unwrap(), address(8080));
    let _proxy = Proxy::start(&config(listen, upstream, "client_max_body_size = \"100m\"")).await;
    let mut client = client::tcp(listen).await;
    let head =
        "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(b"5\r\nfirst\r\n").await.unwrap();
    let (mut backend, _) = within("accept", listener.accept()).await.unwrap();
    let head = read_head(&mut backend).await;
    assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
    let mut chunk = [0; 10];
    // The first part is there before the last one has been sent.
    within("the first chunk", backend.read_exact(&mut chunk)).await.unwrap();
    assert_eq!(&chunk, b"5\r\nfirst\r\n");
    client.write_all(b"4\r\nlast\r\n0\r\nX-Sum: 9\r\n\r\n").await.unwrap();
    let rest = read_head(&mut backend).await;
    assert!(rest.starts_with("4\r\nlast\r\n0\r\n"), "{rest}");
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\none\r\n";
    backend.write_all(answer.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut chunk = [0; 8];
    within("the first part", client.read_exact(&mut chunk)).await.unwrap();
    assert_eq!(&chunk, b"3\r\none\r\n");
    backend.write_all(b"3\r\ntwo\r\n0\r\nX-T: t\r\n\r\n").await.unwrap();
    assert!(read_all(&mut client).await.starts_with("3\r\ntwo\r\n0\r\n"));
}

#[tokio::test]
async fn a_get_keeps_its_body() {
    let listener = TcpListener::bind(address(9000)).await.unwrap();
    let (upstream, listen) = (listener.local_addr().unwrap(), address(8080));
    let _proxy = Proxy::start(&config(listen, upstream, "")).await;
    for (framing, body, sent) in [
        ("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n"),
        ("Content-Length: 4", "body", "body"),
    ] {
        let mut client = client::tcp(listen).await;
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{body}");
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut backend, _) = within("accept", listener.accept()).await.unwrap();
        let head = read_head(&mut backend).await.to_lowercase();
        assert!(head.contains(&framing.to_lowercase()), "{head}");
        let mut got = vec![0; sent.len()];
        within(framing, backend.read_exact(&mut got)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&got), sent);
    }
}

#[tokio::test]
async fn a_body_is_told_whether_it_is_read_first_or_kept_while_it_goes() {
    let listener = TcpListener::bind(address(9000)).await.unwrap();
    let (upstream, listen) = (listener.local_addr().unwrap(), address(8080));
    let more = "add_header = { X-Body = \"$request_body\" }\nclient_body_buffer_size = \"16\"\n\
                [[server.location]]\npath = \"/streamed\"\nproxy_request_buffering = false\n\
                add_header = { X-Body = \"$request_body\" }\nclient_body_buffer_size = \"16\"\n";
    let pass = format!("proxy_pass = \"http://{upstream}\"");
    let _proxy = Proxy::start(&config(listen, upstream, &format!("{more}{pass}"))).await;
    for (path, last, told) in [
        ("/", "last", Some("x-body: firstlast\r\n")),
        ("/streamed", "last", Some("x-body: firstlast\r\n")),
        ("/streamed", "that does not fit", None),
    ] {
        let len = "first".len() + last.len();
        let mut client = client::tcp(listen).await;
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\nfirst");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut body = vec![0; len];
        let mut backend = if path == "/streamed" {
            let (mut backend, _) = within("accept", listener.accept()).await.unwrap();
            read_head(&mut backend).await;
            within("the first part", backend.read_exact(&mut body[..5])).await.unwrap();
            client.write_all(last.as_bytes()).await.unwrap();
            within("the last part", backend.read_exact(&mut body[5..])).await.unwrap();
            backend
        } else {
            client.write_all(last.as_bytes()).await.unwrap();
            let (mut backend, _) = within("accept", listener.accept()).await.unwrap();
            read_head(&mut backend).await;
            within("the body", backend.read_exact(&mut body)).await.unwrap();
            backend
        };
        assert_eq!(body, format!("first{last}").as_bytes());
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        backend.write_all(answer.as_bytes()).await.unwrap();
        let head = read_head(&mut client).await.to_lowercase();
        match told {
            Some(told) => assert!(head.contains(told), "{path}: {head}"),
            None => assert!(!head.contains("x-body"), "{path}: {head}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_completed() {
    let listener = TcpListener::bind(address(9000)).await.unwrap();
    let (upstream, listen) = (listener.local_addr().unwrap(), address(8080));
    let _proxy = Proxy::start(&config(listen, upstream, "")).await;
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let backend = async {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
        drop(crate::support::backend::scripted(&listener, answer).await);
    };
    let (seen, ()) = tokio::join!(client::exchange(listen, get), backend);
    assert!(seen.contains("one") && !seen.ends_with("0\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn limits_rules_and_returns() {
    let ((upstream, _), listen) = (mirror().await, address(8080));
    let more = "client_max_body_size = \"10\"\n\
        [[server.location]]\npath = \"= /ok\"\nreturn = { status = 200, body = \"fine $host\\n\" }\n\
        add_header = { X-Added = \"$status\" }\n\
        [[server.location]]\npath = \"^~ /moved\"\nreturn = { status = 301, location = \"https://$host$request_uri\" }\n\
        [[server.location]]\npath = \"/secret\"\ndeny = [\"all\"]\nreturn = { status = 200, body = \"x\" }\n\
        [[server.location]]\npath = \"~ \\\\.php$\"\nreturn = { status = 404, body = \"no\" }\n";
    let _proxy = Proxy::start(&config(listen, upstream, more)).await;
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        client::exchange(listen, request)
    };
    let ok = get("/ok").await;
    assert!(ok.ends_with("fine a.test\n") && ok.to_lowercase().contains("x-added: 200"), "{ok}");
    assert!(get("/moved/x?y").await.contains("https://a.test/moved/x?y"));
    assert!(get("/secret/x").await.starts_with("HTTP/1.1 403"));
    assert!(get("/a/b.php").await.starts_with("HTTP/1.1 404"));
    assert!(get("/%2e%2e/x").await.starts_with("HTTP/1.1 400"));
    let big = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n";
    assert!(client::exchange(listen, big).await.starts_with("HTTP/1.1 413"));
    let head = "HEAD /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(client::exchange(listen, head).await.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn ambiguous_requests_never_reach_the_upstream() {
    let listener = TcpListener::bind(address(9000)).await.unwrap();
    let (upstream, listen) = (listener.local_addr().unwrap(), address(8080));
    let proxy = Proxy::start(&config(listen, upstream, "")).await;
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 3",
        "X : y",
        "X: a\r\n b",
        "X: a\rb",
        "Host: y",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\nabc");
        let answer = client::exchange(listen, request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{fields:?}: {answer}");
    }
    let nobody =
        tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err());
    assert_eq!(proxy.sum("wayhold_http_requests_total", &["4xx"]).await, 7.0);
}

#[tokio::test]
async fn a_trusted_balancer_tells_who_the_client_is() {
    let ((upstream, _), listen, pp) = (mirror().await, address(8080), address(8081));
    let site = |listen: String| config(listen, upstream, "");
    let config = format!(
        "set_real_ip_from = [\"127.0.0.0/8\"]\n{}{}",
        site(listen.to_string()),
        site(format!("{pp} proxy_protocol"))
    );
    let _proxy = Proxy::start(&config).await;
    let get = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7, 127.0.0.9\r\n\
               X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let head = client::exchange(listen, get).await.to_lowercase();
    assert!(head.contains("x-real-ip: 192.0.2.7\r\n"), "{head}");
    assert!(head.contains("x-forwarded-for: 192.0.2.7, 127.0.0.9, 127.0.0.1\r\n"), "{head}");
    assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
    let get = "PROXY TCP4 198.51.100.3 127.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let head = client::exchange(pp, get).await.to_lowercase();
    assert!(head.contains("x-real-ip: 198.51.100.3\r\n"), "{head}");
    assert_eq!(client::exchange(pp, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, "");
}
