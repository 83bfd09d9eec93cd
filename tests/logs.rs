//! Files of the access log: those that variables name, and lines that are gathered and compressed; in
//! TOML, and the same in nginx.conf.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::nginx::Running;
use crate::support::client::{self, exchange, read_head};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

const TOML: &str = r#"
[log_format]
json = "$uri $arg_n"
[[server]]
listen = "LISTEN"
[[server.location]]
path = "/told"
access_log = { path = "logs/$arg_name.log", format = "json" }
open_log_file_cache = "max=2 inactive=20s valid=1m min_uses=2"
return = 204
[[server.location]]
path = "/fresh"
access_log = { path = "logs/$arg_name.log", format = "json" }
return = 204
[[server.location]]
path = "/gzip"
access_log = { path = "logs/gathered.gz", format = "json", gzip = 9, flush = "10ms" }
return = 204
[[server.location]]
path = "/full"
access_log = { path = "logs/full.log", format = "json", buffer = "1k" }
return = 204
"#;

const NGINX: &str = r#"
log_format json "$uri $arg_n";
server {
  listen LISTEN;
  location /told {
    access_log logs/$arg_name.log json;
    open_log_file_cache max=2 inactive=20s valid=1m min_uses=2;
    return 204;
  }
  location /fresh { access_log logs/$arg_name.log json; return 204; }
  location /gzip { access_log logs/gathered.gz json gzip=9 flush=10ms; return 204; }
  location /full { access_log logs/full.log json buffer=1k; return 204; }
}
"#;

async fn behaves(folder: &Path, listen: SocketAddr) {
    let ask = async |uri: &str| {
        let request = format!("GET {uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = exchange(listen, request).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{uri}: {answer}");
    };
    let holds = async |name: &str, wanted: &str| {
        let file = folder.join("logs").join(name);
        let there = async || (std::fs::read_to_string(&file).ok()? == wanted).then_some(());
        eventually(&format!("{wanted:?} in {name}"), there).await;
    };
    for name in ["a", "a", "b"] {
        ask(&format!("/told?name={name}&n=1")).await;
    }
    holds("a.log", "/told 1\n/told 1\n").await;
    holds("b.log", "/told 1\n").await;
    // what is open goes on with its file, what is not gets a new one
    for name in ["a", "b"] {
        let path = folder.join("logs").join(name);
        std::fs::rename(path.with_extension("log"), path.with_extension("old")).unwrap();
        ask(&format!("/told?name={name}&n=2")).await;
    }
    holds("a.old", "/told 1\n/told 1\n/told 2\n").await;
    holds("b.log", "/told 2\n").await;
    holds("b.old", "/told 1\n").await;
    ask("/fresh?name=a&n=3").await;
    holds("a.log", "/fresh 3\n").await;
    ask("/fresh?name=../escaped&n=1").await;
    ask("/fresh?name=missing/c&n=1").await;

    ask("/gzip?n=1").await;
    ask("/gzip?n=2").await;
    let gathered = folder.join("logs/gathered.gz");
    let lines = async || {
        let mut text = String::new();
        MultiGzDecoder::new(std::fs::File::open(&gathered).ok()?).read_to_string(&mut text).ok()?;
        (text == "/gzip 1\n/gzip 2\n").then_some(())
    };
    eventually("compressed lines", lines).await;

    // lines wait for the buffer to be full: 100 of 12 bytes, of which 86 fill it
    for _ in 0..100 {
        ask("/full?n=12345").await;
    }
    ask("/fresh?name=last&n=1").await;
    holds("last.log", "/fresh 1\n").await;
    holds("full.log", &"/full 12345\n".repeat(86)).await;
    assert!(!folder.join("escaped.log").exists());
}

#[tokio::test]
async fn in_toml() {
    let (listen, folder) = (address(8080), Proxy::folder());
    let path = folder.path().to_owned();
    std::fs::create_dir(path.join("logs")).unwrap();
    let _proxy = Proxy::start_in(folder, &TOML.replace("LISTEN", &listen.to_string())).await;
    behaves(&path, listen).await;
}

#[tokio::test]
async fn in_nginx_conf() {
    let (listen, folder) = (address(8080), Proxy::folder());
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    let file = folder.path().join("nginx.conf");
    let text = NGINX.replace("LISTEN", &listen.to_string());
    std::fs::write(&file, format!("events {{}}\nhttp {{ {text} }}\n")).unwrap();
    let _running = Running::start(&file, listen).await;
    behaves(folder.path(), listen).await;
}

#[tokio::test]
async fn what_peers_did_is_told_also_of_a_request_that_was_given_up() {
    let (listen, folder) = (address(8080), Proxy::folder());
    let (first, second) = (address(9000), TcpListener::bind(address(9001)).await.unwrap());
    let path = folder.path().to_owned();
    let config = format!(
        "[log_format]\npeers = \"$uri $status $upstream_status $upstream_response_length \
         $upstream_bytes_received $upstream_bytes_sent $upstream_http_x_a $bytes_sent\"\n\
         times = \"$upstream_connect_time; $upstream_header_time; $upstream_response_time\"\n\
         [upstream.two]\nservers = [\"{first}\", \"{}\"]\nbalance = \"round_robin\"\n\
         [[server]]\nlisten = \"{listen}\"\n\
         access_log = [{{ path = \"peers\", format = \"peers\" }}, {{ path = \"times\", format = \"times\" }}]\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://two\"\n\
         [[server.location]]\npath = \"/closed\"\nreturn = 444\n",
        second.local_addr().unwrap()
    );
    let _proxy = Proxy::start_in(folder, &config).await;
    let lines = async |name: &str, count: usize| {
        let there = async || {
            let text = std::fs::read_to_string(path.join(name)).ok()?;
            (text.lines().count() == count).then_some(text)
        };
        let text = eventually(name, there).await;
        text.lines().last().unwrap().to_owned()
    };
    // the first refuses, the second answers
    let mut client = client::tcp(listen).await;
    client.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let (mut peer, _) = within("accept", second.accept()).await.unwrap();
    let sent = read_head(&mut peer).await.len();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: told\r\n\r\nbody";
    peer.write_all(answer.as_bytes()).await.unwrap();
    read_head(&mut client).await;
    let received = answer.len();
    assert_eq!(
        lines("peers", 1).await,
        format!("/a 200 502, 200 -, 4 -, {received} -, {sent} told 4")
    );
    let times = lines("times", 1).await;
    let times: Vec<_> =
        times.split("; ").map(|times| times.split(", ").collect::<Vec<_>>()).collect();
    assert!(times.iter().all(|times| times.len() == 2), "{times:?}");
    assert_eq!((times[0][0], times[1][0]), ("-", "-"));
    // the client leaves before there is an answer
    let mut leaving = client::tcp(listen).await;
    leaving.write_all(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_head(&mut peer).await;
    drop(leaving);
    // what the peer has read may not have been counted yet
    let line = lines("peers", 2).await;
    assert!(line.starts_with("/b 499 - 0 0 ") && line.ends_with(" - 0"), "{line}");
    // a request that is none, and one that gets no answer
    exchange(listen, "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n").await;
    assert!(lines("peers", 3).await.contains(" 400 - - - - - "));
    exchange(listen, "GET /closed HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(lines("peers", 4).await, "/closed 444 - - - - - 0");
}
