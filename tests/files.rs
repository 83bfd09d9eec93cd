//! Files, limits, logs with formats of their own, hashes and variables in `proxy_pass`: in TOML, and
//! the same in nginx.conf.

use std::net::SocketAddr;
use std::path::Path;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::nginx::Running;
use crate::support::backend::Echo;
use crate::support::client::{self, WebSocket, exchange};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

const TOML: &str = r#"
root = "www"

html_errors = true
default_type = "text/plain"
[log_format]
short = "$request_method $uri $status $body_bytes_sent $request_length $arg_x"
[limit_conn_zone.tunnels]
key = "$arg_who"
[limit_req_zone.often]
key = "$arg_who"
rate = "1r/m"

[[server]]
listen = "LISTEN"
access_log = { path = "short.log", format = "short", if = "$arg_log" }
[[server.location]]
path = "/"
[[server.location]]
path = "/other/"
alias = "www/folder/"
expires = "1h"
[[server.location]]
path = "/told"
try_files = ["/$arg_f", "=404"]
[[server.location]]
path = "/made"
rewrite = ["^ /folder/$arg_f break"]
[[server.location]]
path = "/tried"
try_files = ["/missing", "/page.html", "=404"]
[[server.location]]
path = "/folder"
try_files = ["$uri", "$uri/", "=404"]
[[server.location]]
path = "/often"
limit_req = "zone=often burst=1 nodelay"
limit_req_status = 429
return = "200 in"
[[server.location]]
path = "/ws"
proxy_pass = "http://ECHO"
limit_conn = "tunnels 1"
limit_conn_status = 429
[[server.location]]
path = "/pick"
proxy_pass = "http://$arg_to"
"#;

const NGINX: &str = r#"
root www;
default_type text/plain;
log_format short "$request_method $uri $status $body_bytes_sent $request_length $arg_x";
limit_conn_zone $arg_who zone=tunnels:1m;
limit_req_zone $arg_who zone=often:1m rate=1r/m;
server {
  listen LISTEN;
  access_log short.log short if=$arg_log;
  location / { }
  location /other/ { alias www/folder/; expires 1h; }
  location /folder { try_files $uri $uri/ =404; }
  location /told { try_files /$arg_f =404; }
  location /made { rewrite ^ /folder/$arg_f break; }
  location /tried { try_files /missing /page.html =404; }
  location /often { limit_req zone=often burst=1 nodelay; limit_req_status 429; return 200 in; }
  location /ws {
    proxy_pass http://ECHO; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    limit_conn tunnels 1; limit_conn_status 429;
  }
  location /pick {
    proxy_pass http://$arg_to; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
  }
}
"#;

fn fill(folder: &Path, text: &str, listen: SocketAddr, echo: SocketAddr) -> String {
    let www = folder.join("www/folder");
    std::fs::create_dir_all(&www).unwrap();
    std::fs::write(www.join("index.html"), "index").unwrap();
    std::fs::write(folder.join("www/page.html"), "0123456789").unwrap();
    std::fs::write(folder.join("secret"), "secret").unwrap();
    text.replace("LISTEN", &listen.to_string()).replace("ECHO", &echo.to_string())
}

async fn who(socket: &mut WebSocket) -> String {
    socket.send(Message::text("who")).await.unwrap();
    let message = within("a name", socket.next()).await.unwrap().unwrap();
    message.into_text().unwrap().to_string()
}

async fn behaves(folder: &Path, listen: SocketAddr, echo: SocketAddr) {
    let ask = async |line: &str, more: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\n{more}Connection: close\r\n\r\n");
        exchange(listen, request).await
    };
    let fits = async |line: &str, more: &str, parts: &[&str]| {
        let answer = ask(line, more).await;
        assert!(parts.iter().all(|part| answer.contains(part)), "{line}: {parts:?} in {answer}");
        answer
    };
    let whole = ["200 OK", "Content-Type: text/html", "Content-Length: 10", "\r\n\r\n0123456789"];
    let page = fits("GET /page.html", "", &whole).await;
    let etag = page.lines().find(|line| line.starts_with("ETag: ")).unwrap().to_owned();
    let tag = etag.strip_prefix("ETag: ").unwrap();
    fits("GET /page.html", &format!("If-None-Match: {tag}\r\n"), &["304 Not Modified"]).await;
    fits("GET /page.html", "If-Match: \"other\"\r\n", &["412 "]).await;
    let part = ["206 Partial", "Content-Range: bytes 2-4/10", "\r\n\r\n234"];
    fits("GET /page.html", "Range: bytes=2-4\r\n", &part).await;
    fits("GET /page.html", "Range: bytes=-2\r\n", &["206 ", "\r\n\r\n89"]).await;
    fits("GET /page.html", "Range: bytes=20-\r\n", &["416 ", "Content-Range: bytes */10"]).await;
    let head = fits("HEAD /page.html", "", &["200 OK", "Content-Length: 10"]).await;
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    fits("POST /page.html", "Content-Length: 0\r\n", &["405 ", "<h1>405 "]).await;
    fits("GET /folder/", "", &["200 OK", "\r\n\r\nindex"]).await;
    let moved = fits("GET /folder", "", &["301 ", "/folder/\r\n"]).await;
    assert_eq!(moved.matches("Location:").count(), 1, "{moved}");
    fits("GET /", "", &["403 Forbidden"]).await;
    fits("GET /nowhere", "", &["404 Not Found", "<h1>404 Not Found</h1>"]).await;
    for climb in ["/../secret", "/%2e%2e/secret", "/other/..%2f..%2fsecret"] {
        let answer = ask(&format!("GET {climb}"), "").await;
        assert!(!answer.contains("\r\n\r\nsecret"), "{climb}: {answer}");
    }
    fits("GET /told?f=page.html", "", &["200 OK", "0123456789"]).await;
    fits("GET /told?f=../secret", "", &["404 "]).await;
    fits("GET /made?f=index.html", "", &["200 OK", "index"]).await;
    fits("GET /made?f=../../secret", "", &["400 "]).await;
    fits("GET /other/", "", &["max-age=3600", "Expires: ", "\r\n\r\nindex"]).await;
    fits("GET /tried/x", "", &["200 OK", "0123456789"]).await;

    fits("GET /often?who=a", "", &["200 OK", "Content-Type: text/plain", "\r\n\r\nin"]).await;
    fits("GET /often?who=a", "", &["200 OK"]).await;
    fits("GET /often?who=a", "", &["429 "]).await;
    fits("GET /often?who=b", "", &["200 OK"]).await;
    fits("GET /often", "", &["200 OK"]).await;

    // a tunnel holds its place until it ends
    let open = async |uri: &str| client::connect(listen, client::request("a", uri)).await;
    let (mut first, _) = open("/ws?who=a").await.unwrap();
    let refused = open("/ws?who=a").await.err().map(|error| error.to_string());
    assert!(refused.as_deref().unwrap_or_default().contains("429"), "{refused:?}");
    let (mut other, _) = open("/ws?who=b").await.unwrap();
    assert_eq!(
        (who(&mut first).await, who(&mut other).await),
        ("echo".to_owned(), "echo".to_owned())
    );
    first.close(None).await.unwrap();
    eventually("the place to be free", async || open("/ws?who=a").await.ok().map(drop)).await;

    let (mut picked, _) = open(&format!("/pick?to={echo}")).await.unwrap();
    assert_eq!(who(&mut picked).await, "echo");
    fits("GET /pick?to=", "", &["500 "]).await;

    fits("GET /page.html?log=1&x=%22", "", &["200 OK"]).await;
    let log = folder.join("short.log");
    let lines = eventually("a line", async || {
        std::fs::read_to_string(&log).ok().filter(|text| text.ends_with('\n'))
    });
    assert_eq!(lines.await, "GET /page.html 200 10 67 %22\n");
}

#[tokio::test]
async fn in_toml() {
    let (echo, listen, folder) = (Echo::start("echo").await, address(8080), Proxy::folder());
    let path = folder.path().to_owned();
    let text = fill(&path, TOML, listen, echo.addr);
    let _proxy = Proxy::start_in(folder, &text).await;
    behaves(&path, listen, echo.addr).await;
}

#[tokio::test]
async fn in_nginx_conf() {
    let (echo, listen, folder) = (Echo::start("echo").await, address(8080), Proxy::folder());
    let file = folder.path().join("nginx.conf");
    let text = fill(folder.path(), NGINX, listen, echo.addr);
    std::fs::write(&file, format!("events {{}}\nhttp {{ {text} }}\n")).unwrap();
    let _running = Running::start(&file, listen).await;
    behaves(folder.path(), listen, echo.addr).await;
}

#[tokio::test]
async fn a_key_stays_on_its_peer() {
    let (first, second, listen) = (Echo::start("1").await, Echo::start("2").await, address(8080));
    let config = format!(
        "[upstream.rooms]\nservers = [\"{}\", \"{}\"]\nbalance = \"consistent_hash\"\nhash = \"$arg_room\"\n\
         [[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\nproxy_pass = \"http://rooms\"\n",
        first.addr, second.addr
    );
    let _proxy = Proxy::start(&config).await;
    let mut peers = Vec::new();
    for room in (0..20).flat_map(|room| [room; 3]) {
        let request = client::request("a", &format!("/?room={room}"));
        let (mut socket, _) = client::connect(listen, request).await.unwrap();
        peers.push(who(&mut socket).await);
    }
    assert!(peers.chunks(3).all(|same| same[0] == same[1] && same[1] == same[2]), "{peers:?}");
    assert!(peers.contains(&"1".to_owned()) && peers.contains(&"2".to_owned()), "{peers:?}");
}
