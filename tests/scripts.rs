//! `rewrite`, `set`, `if`, `return`, `error_page`, nested and named locations: in TOML and in
//! nginx.conf, over HTTP and WebSockets.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::nginx::Running;
use crate::support::backend::Echo;
use crate::support::client::{self, exchange};
use crate::support::proxy::Proxy;
use crate::support::{address, within};

const TOML: &str = r#"
[[server]]
listen = "LISTEN"
server_name = '~^(?<tenant>[a-z]+)\.test$'
error_page = "404 /missing"
rewrite = [
  { set = "$kind", value = "none" },
  '^/old/(.*)$ /new/$1?from=$1',
  { if = "$http_x_beta", rewrite = [{ set = "$kind", value = "beta" }] },
  { if = "$request_method = DELETE", return = 405 },
]

[[server.location]]
path = "/new/"
add_header = { X-Path = "$uri", X-Args = "$args" }
return = "200 $kind of $tenant"

[[server.location]]
path = '~ ^/regex/(\d+)/(?<rest>.*)$'
return = "200 $1 and $rest"

[[server.location]]
path = "/away"
rewrite = ['^/away/(.+)$ https://other.test/$1 permanent', 'break', { return = 500 }]
return = "200 here"

[[server.location]]
path = "/hop"
error_page = "302 /hopped"
return = "302 /first"

[[server.location]]
path = "/hopped"
return = "200 hopped"

[[server.location]]
path = "/silent"
return = 444

[[server.location]]
path = "/circle"
rewrite = ['^ /circle last']

[[server.location]]
path = "= /missing"
internal = true
return = { status = 200, body = "nothing at $request_uri" }

[[server.location]]
path = "/outer/"
add_header = { X-Outer = "1" }
return = "200 outer"

[[server.location.location]]
path = "/outer/inner/"
return = "200 inner"

[[server.location]]
path = "/down"
proxy_pass = "http://DOWN"
proxy_next_upstream = "off"
error_page = "502 =503 @sorry"

[[server.location]]
path = "@sorry"
return = { status = 200, body = "sorry: $upstream_status" }

[[server.location]]
path = "/chat/"
proxy_pass = "http://ECHO"
rewrite = [{ if = "$arg_room = closed", return = 403 }, '^/chat/(.*)$ /ws/$1 break']
"#;

const NGINX: &str = r#"
server {
  listen LISTEN;
  server_name ~^(?<tenant>[a-z]+)\.test$;
  error_page 404 /missing;
  set $kind none;
  rewrite ^/old/(.*)$ /new/$1?from=$1;
  if ($http_x_beta) { set $kind beta; }
  if ($request_method = DELETE) { return 405; }
  location /new/ {
    add_header X-Path $uri; add_header X-Args $args;
    return 200 "$kind of $tenant";
  }
  location ~ ^/regex/(\d+)/(?<rest>.*)$ { return 200 "$1 and $rest"; }
  location /away {
    rewrite ^/away/(.+)$ https://other.test/$1 permanent;
    return 200 here;
  }
  location /hop { error_page 302 /hopped; return 302 /first; }
  location /hopped { return 200 hopped; }
  location /silent { return 444; }
  location /circle { rewrite ^ /circle last; }
  location = /missing { internal; return 200 "nothing at $request_uri"; }
  location /outer/ {
    add_header X-Outer 1;
    location /outer/inner/ { return 200 inner; }
    return 200 outer;
  }
  location /down {
    proxy_pass http://DOWN; proxy_next_upstream off;
    error_page 502 =503 @sorry;
  }
  location @sorry { return 200 "sorry: $upstream_status"; }
  location /chat/ {
    if ($arg_room = closed) { return 403; }
    rewrite ^/chat/(.*)$ /ws/$1 break;
    proxy_pass http://ECHO;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
  }
}
"#;

fn filled(text: &str, listen: SocketAddr, echo: SocketAddr) -> String {
    let down = address(9000);
    text.replace("LISTEN", &listen.to_string())
        .replace("DOWN", &down.to_string())
        .replace("ECHO", &echo.to_string())
}

/// Asks everything of a proxy that runs either file.
async fn behaves(listen: SocketAddr) {
    let ask = async |line: &str, more: &str| {
        let request =
            format!("{line} HTTP/1.1\r\nHost: acme.test\r\n{more}Connection: close\r\n\r\n");
        exchange(listen, request).await
    };
    let fits = async |line: &str, more: &str, parts: &[&str]| {
        let answer = ask(line, more).await;
        assert!(parts.iter().all(|part| answer.contains(part)), "{line}: {parts:?} in {answer}");
    };
    fits("GET /new/x?a=1", "", &["200 OK", "X-Path: /new/x", "X-Args: a=1", "none of acme"]).await;
    let parts = ["X-Path: /new/a b", "X-Args: from=a%20b&q=1", "beta of acme"];
    fits("GET /old/a%20b?q=1", "X-Beta: 1\r\n", &parts).await;
    fits("GET /new/", "X-Beta: 0\r\n", &["none of acme"]).await;
    fits("DELETE /new/", "", &["405 Method Not Allowed"]).await;
    fits("GET /regex/42/a/b", "", &["42 and a/b"]).await;
    fits("GET /away/x%2Fy?q=1", "", &["301 Moved", "Location: https://other.test/x/y?q=1"]).await;
    fits("GET /hop", "", &["302 Found", "/first\r\n", "\r\n\r\nhopped"]).await;
    fits("GET /chat?x=1", "", &["301 Moved", "/chat/?x=1\r\n"]).await;
    fits("GET /nowhere", "", &["404 Not Found", "nothing at /nowhere"]).await;
    fits("GET /missing", "", &["404 Not Found", "nothing at /missing"]).await;
    fits("GET /circle", "", &["500 Internal"]).await;
    fits("GET /outer/x", "", &["X-Outer: 1", "outer"]).await;
    fits("GET /outer/inner/x", "", &["X-Outer: 1", "inner"]).await;
    fits("GET /down", "", &["503 Service", "sorry: 502"]).await;
    fits("GET /chat/lobby?room=closed", "", &["403 Forbidden"]).await;
    assert_eq!(ask("GET /silent", "").await, "");

    let uri = "/chat/lobby?x=1";
    let (mut socket, _) = client::connect(listen, client::request("acme.test", uri)).await.unwrap();
    socket.send(Message::text("headers")).await.unwrap();
    let message = within("the path", socket.next()).await.unwrap().unwrap();
    assert!(message.into_text().unwrap().contains("/ws/lobby?x=1"));
}

#[tokio::test]
async fn in_toml() {
    let (echo, listen) = (Echo::start("a").await, address(8080));
    let _proxy = Proxy::start(&filled(TOML, listen, echo.addr)).await;
    behaves(listen).await;
}

#[tokio::test]
async fn in_nginx_conf() {
    let (echo, listen) = (Echo::start("a").await, address(8080));
    let folder = Proxy::folder();
    let file = folder.path().join("nginx.conf");
    let text = filled(NGINX, listen, echo.addr);
    std::fs::write(&file, format!("events {{}}\nhttp {{ {text} }}\n")).unwrap();
    let _running = Running::start(&file, listen).await;
    behaves(listen).await;
}

#[tokio::test]
async fn http_1_0_is_answered_in_our_version_and_closed_unless_kept() {
    let listen = address(8080);
    let config = format!("[[server]]\nlisten = \"{listen}\"\nreturn = \"200 HTTP/1.0\"\n");
    let _proxy = Proxy::start(&config).await;
    let answer = exchange(listen, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHTTP/1.0"), "{answer}");
    let kept = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let answers = exchange(listen, format!("{kept}GET / HTTP/1.0\r\n\r\n")).await;
    assert_eq!(answers.matches("200 OK").count(), 2, "{answers}");
}
