//! `geo`: of the client's address, of another address, behind proxies; in TOML, and the same in
//! nginx.conf and in what that is converted to.

use std::net::SocketAddr;
use std::process::Command;

use tokio_tungstenite::tungstenite;

use crate::nginx::Running;
use crate::support::address;
use crate::support::backend::Echo;
use crate::support::client::{self, exchange, request};
use crate::support::proxy::Proxy;

const TOML: &str = r#"
set_real_ip_from = "127.0.0.0/8"
real_ip_header = "X-Real-IP"

[[geo]]
variable = "$place"
default = "world"
values = { "127.0.0.0/8" = "loop", "192.0.2.0/24" = "test", "192.0.2.7" = "one", "2001:db8::/32" = "six" }

[[geo]]
source = "$arg_ip"
variable = "$asked"
default = "d"
values = { "10.0.0.0-10.1.2.3" = "ten", "10.0.0.5-10.0.0.6" = "five" }

[[geo]]
variable = "$behind"
values = { "127.0.0.0/8" = "proxy", "198.51.100.0/24" = "user" }
proxy = "127.0.0.0/8"
proxy_recursive = true

[[map]]
source = "$place"
variable = "$closed"
values = { "one" = "1" }

[[server]]
listen = "LISTEN"
[[server.location]]
path = "/"
return = "200 $place,$asked,$behind"
[[server.location]]
path = "/ws"
rewrite = [{ if = "$closed", return = 403 }]
proxy_pass = "http://ECHO"
"#;

const NGINX: &str = r"
set_real_ip_from 127.0.0.0/8;
real_ip_header X-Real-IP;
geo $place { default world; include places.conf; 2001:db8::/32 six; 10.0.0.0/8 no; delete 10.0.0.0/8; }
geo $arg_ip $asked { ranges; default d; 10.0.0.0-10.1.2.3 ten; 10.0.0.5-10.0.0.6 five; }
geo $behind { proxy 127.0.0.0/8; proxy_recursive; 127.0.0.0/8 proxy; 198.51.100.0/24 user; }
map $place $closed { one 1; }
server {
  listen LISTEN;
  location / { return 200 $place,$asked,$behind; }
  location /ws {
    if ($closed) { return 403; }
    proxy_pass http://ECHO; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
  }
}
";

async fn check(listen: SocketAddr) {
    for (query, fields, said) in [
        ("", "", "loop,d,proxy"),
        ("?ip=10.1.2.3", "", "loop,ten,proxy"),
        ("?ip=10.0.0.6", "X-Real-IP: 192.0.2.1\r\n", "test,five,"),
        ("?ip=::1", "X-Real-IP: 192.0.2.7\r\n", "one,d,"),
        ("", "X-Real-IP: 2001:db8::1\r\n", "six,d,"),
        ("", "X-Real-IP: 10.0.0.1\r\n", "world,d,"),
        ("", "X-Forwarded-For: 198.51.100.1, 127.0.0.9\r\n", "loop,d,user"),
        ("", "X-Forwarded-For: 127.0.0.1, 198.51.100.1, what\r\n", "loop,d,proxy"),
    ] {
        let request =
            format!("GET /{query} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n");
        let answer = exchange(listen, request).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{said}")), "{query} {fields}: {answer}");
    }
    let mut opening = request("a", "/ws");
    assert!(client::connect(listen, opening.clone()).await.is_ok());
    opening.headers_mut().insert("x-real-ip", "192.0.2.7".parse().unwrap());
    match client::connect(listen, opening).await {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 403),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn addresses_decide_the_same_in_every_form() {
    let echo = Echo::start("a").await;
    let site = |text: &str, listen: SocketAddr| {
        text.replace("LISTEN", &listen.to_string()).replace("ECHO", &echo.addr.to_string())
    };
    let listen = address(8080);
    let _proxy = Proxy::start(&site(TOML, listen)).await;
    check(listen).await;

    let folder = Proxy::folder();
    let file = folder.path().join("nginx.conf");
    let places = "127.0.0.0/8 loop; 192.0.2.0/24 test; 192.0.2.7 one;";
    std::fs::write(folder.path().join("places.conf"), places).unwrap();
    let listen = address(8081);
    std::fs::write(&file, site(NGINX, listen)).unwrap();
    let running = Running::start(&file, listen).await;
    check(listen).await;
    drop(running);

    let converted =
        Command::new(env!("CARGO_BIN_EXE_wayhold")).arg("convert").arg(&file).output().unwrap();
    assert!(converted.status.success(), "{converted:?}");
    let file = folder.path().join("wayhold.toml");
    std::fs::write(&file, converted.stdout).unwrap();
    let _running = Running::start(&file, listen).await;
    check(listen).await;
}
