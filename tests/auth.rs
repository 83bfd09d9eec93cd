//! Who is let in by a password, by another request, or by either; in TOML, and the same in nginx.conf.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{Error, http};

use crate::nginx::Running;
use crate::support::address;
use crate::support::backend::Echo;
use crate::support::client::{self, exchange};
use crate::support::proxy::Proxy;

const TOML: &str = r#"
[[server]]
listen = "LISTEN"
access_log = "access.log"
[[server.location]]
path = "/basic"
auth_basic = "rooms of $host"
auth_basic_user_file = "users"
proxy_pass = "http://ECHO"
[[server.location]]
path = "/asked"
auth_request = "/auth?from=here"
auth_request_set = { "$user" = "$upstream_http_x_user" }
add_header = { X-User = { value = "$user", always = true } }
proxy_pass = "http://ECHO"
[[server.location]]
path = "/any"
satisfy = "any"
deny = "all"
auth_basic = "any"
auth_basic_user_file = "users"
auth_request = "/auth"
root = "www"
[[server.location]]
path = "/page"
deny = "127.0.0.9"
auth_basic = "page"
auth_basic_user_file = "users"
error_page = "401 /login"
root = "www"
[[server.location]]
path = "= /login"
auth_basic = "off"
return = "200 login"
[[server.location]]
path = "/broken"
auth_basic = "broken"
auth_basic_user_file = "missing"
root = "www"
[[server.location]]
path = "= /auth"
internal = true
proxy_pass = "http://AUTH"
"#;

const NGINX: &str = r#"
server {
  listen LISTEN;
  access_log access.log;
  location /basic {
    auth_basic "rooms of $host"; auth_basic_user_file users;
    proxy_pass http://ECHO; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
  }
  location /asked {
    auth_request /auth?from=here; auth_request_set $user $upstream_http_x_user;
    add_header X-User $user always;
    proxy_pass http://ECHO; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
  }
  location /any {
    satisfy any; deny all;
    auth_basic any; auth_basic_user_file users; auth_request /auth;
    root www;
  }
  location /page { deny 127.0.0.9; auth_basic page; auth_basic_user_file users; error_page 401 /login; }
  location = /login { auth_basic off; return 200 login; }
  location /broken { auth_basic broken; auth_basic_user_file missing; proxy_pass http://ECHO; }
  location = /auth { internal; proxy_pass http://AUTH; }
}
"#;

/// What answers whether a request may go on: by its `X-Token`, once it has the request of the client.
async fn authority() -> SocketAddr {
    let listener = TcpListener::bind(address(9100)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let path = head.starts_with("get /auth") && !head.contains("content-length");
                let answer = match head
                    .split("x-token: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next())
                {
                    Some("good") if path => "204 No Content\r\nX-User: ann",
                    Some("bad") => "403 Forbidden",
                    Some("odd") => "302 Found",
                    _ => "401 Unauthorized\r\nWWW-Authenticate: Token a=\"b\"\r\nContent-Length: 0",
                };
                let answer = format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n");
                let _gone = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    addr
}

fn basic(user: &str, password: &str) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

fn fill(folder: &Path, text: &str, addresses: [SocketAddr; 3]) -> String {
    // apr1 of «secret word», as htpasswd writes it
    let users = "ann:$apr1$8sFt66rZ$PYsEnr4HLkxp4TQDEf.Zr1\nbob:{PLAIN}b\nold:rqXexS6ZhobKA\n";
    std::fs::write(folder.join("users"), users).unwrap();
    std::fs::create_dir(folder.join("www")).unwrap();
    std::fs::write(folder.join("www/any"), "in").unwrap();
    let [listen, echo, auth] = addresses.map(|address| address.to_string());
    text.replace("LISTEN", &listen).replace("ECHO", &echo).replace("AUTH", &auth)
}

async fn behaves(folder: &Path, listen: SocketAddr) {
    let fits = async |request: &str, headers: &[(&str, &str)], parts: &[&str]| {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let text = format!("{request} HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n");
        let answer = exchange(listen, text).await;
        assert!(parts.iter().all(|part| answer.contains(part)), "{request}: {parts:?} in {answer}");
    };
    let (ann, bob) = (basic("ann", "secret word"), basic("bob", "b"));
    let challenge = ["401 ", "WWW-Authenticate: Basic realm=\"rooms of a\"\r\n"];
    fits("GET /basic", &[], &challenge).await;
    for wrong in [&basic("ann", "b"), &basic("eve", "b"), "Basic", "Basic ***", "Bearer abcdef"] {
        fits("GET /basic", &[("Authorization", wrong)], &challenge).await;
    }
    fits("GET /basic", &[("Authorization", &basic("old", "b"))], &["500 "]).await;
    fits("GET /broken", &[("Authorization", &ann)], &["403 "]).await;
    fits("GET /broken", &[], &["401 "]).await;

    // a page in place of the error asks for no password
    let page = ["401 ", "WWW-Authenticate: Basic realm=\"page\"\r\n", "\r\n\r\nlogin"];
    fits("GET /page", &[], &page).await;

    fits("GET /asked", &[], &["401 ", "WWW-Authenticate: Token a=\"b\"\r\n"]).await;
    fits("GET /asked", &[("X-Token", "bad")], &["403 "]).await;
    fits("GET /asked", &[("X-Token", "odd")], &["500 "]).await;
    fits("GET /auth", &[("X-Token", "good")], &["404 "]).await;
    let body = [("X-Token", "good"), ("Content-Length", "0")];
    fits("POST /asked", &body, &["X-User: ann\r\n"]).await;

    fits("GET /any", &[], &["401 "]).await;
    fits("GET /any", &[("X-Token", "bad")], &["401 "]).await;
    fits("GET /any", &[("Authorization", &bob)], &["200 ", "\r\n\r\nin"]).await;
    fits("GET /any", &[("X-Token", "good")], &["200 ", "\r\n\r\nin"]).await;

    // a handshake is asked for the same
    let open = async |uri: &str, headers: &[(&'static str, &str)]| {
        let mut request = client::request("a", uri);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match client::connect(listen, request).await {
            Ok((_, answer)) => (101, answer.headers().get("x-user").cloned()),
            Err(Error::Http(answer)) => (answer.status().as_u16(), None),
            Err(error) => panic!("{uri}: {error}"),
        }
    };
    let named = Some(http::HeaderValue::from_static("ann"));
    assert_eq!(open("/basic", &[]).await, (401, None));
    assert_eq!(open("/basic", &[("authorization", &ann)]).await, (101, None));
    assert_eq!(open("/asked", &[]).await, (401, None));
    assert_eq!(open("/asked", &[("x-token", "bad")]).await, (403, None));
    assert_eq!(open("/asked", &[("x-token", "good")]).await, (101, named));

    let log = std::fs::read_to_string(folder.join("access.log")).unwrap();
    assert!(log.contains(" - bob [") && log.contains("\"GET /asked HTTP/1.1\" 403"), "{log}");
    assert!(!log.contains("/auth?"), "{log}");
}

#[tokio::test]
async fn in_toml() {
    let (echo, auth, listen) = (Echo::start("echo").await, authority().await, address(8080));
    let folder = Proxy::folder();
    let path = folder.path().to_owned();
    let text = fill(&path, TOML, [listen, echo.addr, auth]);
    let proxy = Proxy::start_in(folder, &text).await;
    behaves(&path, listen).await;
    // what a client calls itself is no line of the error log
    let name = basic("eve\nforged", "b");
    let request = format!(
        "GET /basic HTTP/1.1\r\nHost: a\r\nAuthorization: {name}\r\nConnection: close\r\n\r\n"
    );
    assert!(exchange(listen, request).await.starts_with("HTTP/1.1 401"));
    let said = proxy.stderr();
    assert!(said.contains("forged") && !said.contains("\nforged"), "{said}");
}

#[tokio::test]
async fn in_nginx_conf() {
    let (echo, auth, listen) = (Echo::start("echo").await, authority().await, address(8080));
    let folder = Proxy::folder();
    let file = folder.path().join("nginx.conf");
    let text = fill(folder.path(), NGINX, [listen, echo.addr, auth]);
    std::fs::write(&file, format!("events {{}}\nhttp {{ {text} }}\n")).unwrap();
    let _running = Running::start(&file, listen).await;
    behaves(folder.path(), listen).await;
}
