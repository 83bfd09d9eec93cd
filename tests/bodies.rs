//! What becomes of the bodies of answers: commands in documents (`ssi`), and `gzip`; in TOML, and the
//! same in nginx.conf.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;

use flate2::read::GzDecoder;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::nginx::Running;
use crate::support::backend::Echo;
use crate::support::client::{self, exchange};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

const TOML: &str = r#"
root = "www"
[[map]]
source = "$arg_name"
variable = "$greeting"
default = "<hello>"
values = { "b" = "bye" }

[[server]]
listen = "LISTEN"
[[server.location]]
path = "/"
ssi = true
[[server.location]]
path = "/quiet"
ssi = true
ssi_silent_errors = true
[[server.location]]
path = "/gz"
alias = "www/"
gzip = true
gzip_types = ["text/plain"]
gzip_vary = true
gzip_min_length = "100"
gzip_proxied = ["no-cache", "auth"]
[[server.location]]
path = "/slow"
alias = "www/plain.txt"
limit_rate = "500"
limit_rate_after = "$arg_after"
[[server.location]]
path = "/events"
proxy_pass = "http://EVENTS"
gzip = true
gzip_types = "*"
[[server.location]]
path = "/status"
stub_status = true
[[server.location]]
path = "/ws"
proxy_pass = "http://ECHO"
gzip = true
gzip_types = "*"
ssi = true
ssi_types = "*"
"#;

const NGINX: &str = r#"
root www;
map $arg_name $greeting { default "<hello>"; b bye; }
server {
  listen LISTEN;
  location / { ssi on; }
  location /quiet { ssi on; ssi_silent_errors on; }
  location /gz {
    alias www/;
    gzip on; gzip_types text/plain; gzip_vary on; gzip_min_length 100; gzip_proxied no-cache auth;
  }
  location /slow { alias www/plain.txt; limit_rate 500; limit_rate_after $arg_after; }
  location /events { proxy_pass http://EVENTS; gzip on; gzip_types *; }
  location = /status { stub_status; }
  location /ws {
    proxy_pass http://ECHO; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    gzip on; gzip_types *; ssi on; ssi_types *;
  }
}
"#;

const DOCUMENT: &str = r#"<!--#set var="who" value="$arg_name!" --><!--#echo var="greeting"
--> <!--#echo var="greeting" encoding="none" --> <!--#echo var="who" --> <!--#include virtual="/part.html?x=1" -->
<!--#if expr="$arg_name = b" -->is b<!--#elif expr="$arg_name != /^[xyz]$/" -->no xyz<!--#else -->xyz<!--#endif -->
<!--#include file="part.html" set="kept" --><!--#echo var="kept" encoding="url" -->"#;

fn fill(folder: &Path, text: &str, addresses: [SocketAddr; 3]) -> String {
    let www = folder.join("www");
    std::fs::create_dir_all(www.join("quiet")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(www.join(name), text).unwrap();
    write("page.html", DOCUMENT);
    write("part.html", "(<!--#echo var=\"args\" -->,<!--#echo var=\"who\" -->)");
    write("circle.html", "a<!--#include virtual=\"/circle.html\" -->");
    write("wrong.html", "a<!--#nothing -->b<!--#config errmsg=\"?\" --><!--#echo -->c");
    write("long.html", &"x".repeat(1024 * 1024 + 1));
    write("climb.html", "<!--#include virtual=\"/../secret\" -->");
    write("quiet/wrong.html", "a<!--#nothing -->b");
    write("plain.txt", &"0123456789".repeat(100));
    write("short.txt", "short");
    std::fs::write(folder.join("secret"), "secret").unwrap();
    let [listen, echo, events] = addresses.map(|address| address.to_string());
    text.replace("LISTEN", &listen).replace("ECHO", &echo).replace("EVENTS", &events)
}

async fn ask(listen: SocketAddr, line: &str, more: &str) -> String {
    let request = format!("{line} HTTP/1.1\r\nHost: a\r\n{more}Connection: close\r\n\r\n");
    exchange(listen, request).await
}

async fn documents(listen: SocketAddr) {
    let body = async |uri: &str| {
        let answer = ask(listen, &format!("GET {uri}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{uri}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(body("/page.html?name=a").await, "&lt;hello&gt; <hello> a! (x=1,a!)\nno xyz\n(,a!)");
    assert_eq!(body("/page.html?name=b").await, "bye bye b! (x=1,b!)\nis b\n(,b!)");
    assert!(body("/page.html?name=x").await.contains("\nxyz\n"));
    let failed = "[an error occurred while processing the directive]";
    assert_eq!(body("/wrong.html").await, format!("a{failed}b?c"));
    assert_eq!(body("/climb.html").await, failed);
    assert_eq!(body("/long.html").await, failed);
    assert_eq!(body("/quiet/wrong.html").await, "ab");
    let circle = body("/circle.html").await;
    assert!(circle.ends_with(failed) && circle.starts_with("aaaa"), "{circle}");

    let head = ask(listen, "HEAD /page.html", "").await;
    assert!(head.ends_with("\r\n\r\n") && !head.contains("Last-Modified"), "{head}");
    let part = ask(listen, "GET /part.html", "Range: bytes=0-1\r\n").await;
    assert!(part.starts_with("HTTP/1.1 200 OK") && part.ends_with("(,(none))"), "{part}");
}

async fn compressed(listen: SocketAddr) {
    let is_compressed = async |line: &str, more: &str| {
        let answer = ask(listen, line, more).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{line}: {answer}");
        (
            answer.contains("Content-Encoding: gzip\r\n"),
            answer.contains("Vary: Accept-Encoding\r\n"),
        )
    };
    let takes = "Accept-Encoding: br, gzip\r\n";
    assert_eq!(is_compressed("GET /gz/plain.txt", takes).await, (true, true));
    assert_eq!(is_compressed("HEAD /gz/plain.txt", takes).await, (true, true));
    assert_eq!(is_compressed("GET /gz/plain.txt", "").await, (false, true));
    assert_eq!(
        is_compressed("GET /gz/plain.txt", "Accept-Encoding: gzip;q=0\r\n").await,
        (false, true)
    );
    assert_eq!(is_compressed("GET /gz/short.txt", takes).await, (false, false));
    assert_eq!(is_compressed("GET /plain.txt", takes).await, (false, false));
    let proxied = format!("{takes}Via: 1.1 other\r\n");
    assert_eq!(is_compressed("GET /gz/plain.txt", &proxied).await, (false, true));
    let known = format!("{proxied}Authorization: a\r\n");
    assert_eq!(is_compressed("GET /gz/plain.txt", &known).await, (true, true));

    let request =
        format!("GET /gz/plain.txt HTTP/1.1\r\nHost: a\r\n{takes}Connection: close\r\n\r\n");
    let mut stream = client::tcp(listen).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("the answer", stream.read_to_end(&mut answer)).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&answer[..end]);
    assert!(!head.contains("Content-Length") && head.contains("ETag: W/\""), "{head}");
    let mut text = String::new();
    GzDecoder::new(&dechunked(&answer[end..])[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789".repeat(100));
    assert!(answer.len() - end < 200, "{}", answer.len() - end);
}

/// The bytes in chunks that are whole.
fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..at]).unwrap(), 16).unwrap();
        let Some(chunk) = rest.get(at + 2..at + 2 + size) else {
            break;
        };
        bytes.extend_from_slice(chunk);
        rest = rest.get(at + 4 + size..).unwrap_or_default();
    }
    bytes
}

/// An event reaches the client while the next one is not there yet.
async fn events(listen: SocketAddr, backend: &TcpListener) {
    let mut client = client::tcp(listen).await;
    let request = "GET /events HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut peer, _) = within("the request", backend.accept()).await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        assert!(peer.read_buf(&mut asked).await.unwrap() > 0, "the request ended");
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    peer.write_all(head.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    for number in 0..3 {
        peer.write_all(format!("data: {number}\n\n").as_bytes()).await.unwrap();
        let wanted = format!("data: {number}\n\n");
        within("an event", arrives(&mut client, &mut got, &wanted)).await;
    }
}

async fn arrives(client: &mut TcpStream, got: &mut Vec<u8>, wanted: &str) {
    loop {
        assert!(client.read_buf(got).await.unwrap() > 0, "the answer ended");
        let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let mut text = Vec::new();
        // the end of the stream is not there yet
        let _cut = GzDecoder::new(&dechunked(&got[end + 4..])[..]).read_to_end(&mut text);
        if text.ends_with(wanted.as_bytes()) {
            return;
        }
    }
}

/// 1,000 bytes at 500 a second: those of the first second go at once.
async fn paced(listen: SocketAddr) {
    for (after, at_least) in [("0", 900), ("400", 100), ("500", 0)] {
        let started = tokio::time::Instant::now();
        let answer = ask(listen, &format!("GET /slow?after={after}"), "").await;
        assert!(answer.ends_with(&"0123456789".repeat(100)), "{answer}");
        assert!(started.elapsed() >= std::time::Duration::from_millis(at_least), "{after}");
    }
}

async fn behaves(listen: SocketAddr, backend: &TcpListener) {
    paced(listen).await;
    documents(listen).await;
    compressed(listen).await;
    events(listen, backend).await;
    // a tunnel is none of that
    let request = client::request("a", "/ws");
    let (mut socket, _) = client::connect(listen, request).await.unwrap();
    socket.send(Message::text("who")).await.unwrap();
    let name = within("a name", socket.next()).await.unwrap().unwrap();
    assert_eq!(name, Message::text("echo"));
    // connections that have just ended are still counted
    let parts = [
        "Active connections: 2 \nserver accepts handled requests\n ",
        "Reading: 0 Writing: 2 Waiting: 0 \n",
    ];
    let told = async || {
        let status = ask(listen, "GET /status", "").await;
        parts.iter().all(|part| status.contains(part)).then_some(())
    };
    eventually("two connections", told).await;
    assert!(ask(listen, "POST /status", "Content-Length: 0\r\n").await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn in_toml() {
    let (echo, listen, folder) = (Echo::start("echo").await, address(8080), Proxy::folder());
    let events = TcpListener::bind(address(8081)).await.unwrap();
    let text = fill(folder.path(), TOML, [listen, echo.addr, events.local_addr().unwrap()]);
    let _proxy = Proxy::start_in(folder, &text).await;
    behaves(listen, &events).await;
}

#[tokio::test]
async fn in_nginx_conf() {
    let (echo, listen, folder) = (Echo::start("echo").await, address(8080), Proxy::folder());
    let events = TcpListener::bind(address(8081)).await.unwrap();
    let file = folder.path().join("nginx.conf");
    let text = fill(folder.path(), NGINX, [listen, echo.addr, events.local_addr().unwrap()]);
    std::fs::write(&file, format!("events {{}}\nhttp {{ {text} }}\n")).unwrap();
    let _running = Running::start(&file, listen).await;
    behaves(listen, &events).await;
}
