//! nginx.conf: the recipe as it is and as the TOML it is converted to, over real WebSockets; what is
//! said of a file, and the exit codes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::support::backend::Echo;
use crate::support::certs::Authority;
use crate::support::client::{self, WebSocket, exchange, request};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

const EXAMPLE: &str = include_str!("../conf/examples/nginx.conf");

/// A process that runs a file; killed on drop.
pub struct Running(Child);

impl Running {
    pub async fn start(file: &Path, listen: SocketAddr) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_wayhold"))
            .args(["run", "-c"])
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Self(child);
        eventually("the proxy to listen", async || {
            assert!(running.0.try_wait().unwrap().is_none(), "it ended");
            tokio::net::TcpStream::connect(listen).await.ok().map(drop)
        })
        .await;
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _status = self.0.wait();
    }
}

fn wayhold(args: &[&str], folder: &TempDir, file: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wayhold"));
    command.args(args).arg(folder.path().join(file)).output().unwrap()
}

/// The example with addresses and files of the test's own.
fn example(folder: &TempDir, peers: [SocketAddr; 3], plain: SocketAddr, tls: SocketAddr) -> String {
    let dir = folder.path().display().to_string();
    EXAMPLE
        .replace("127.0.0.1:8888", &peers[0].to_string())
        .replace("127.0.0.2:8888", &peers[1].to_string())
        .replace("127.0.0.3:8888", &peers[2].to_string())
        .replace("listen 80;", &format!("listen {plain};"))
        .replace("listen 443 ssl;", &format!("listen {tls} ssl;"))
        .replace("key.pem", "cert.key.pem")
        .replace("/etc/ssl/wayhold", &dir)
        .replace("/var/log/wayhold", &dir)
        .replace("/run/wayhold", &dir)
}

async fn ask(socket: &mut WebSocket, text: &str) -> String {
    socket.send(Message::text(text)).await.unwrap();
    let message = within("a message", socket.next()).await.unwrap().unwrap();
    message.into_text().unwrap().to_string()
}

/// What an upstream sees and clients get, over ws, wss and plain HTTP.
async fn observed(authority: &Authority, plain: SocketAddr, tls: SocketAddr) -> Vec<String> {
    let ask_headers = || {
        let mut request = request("test.test.net:8080", "/ws/room?a=1");
        let claim = "6.6.6.6".parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", claim);
        let key = "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap();
        request.headers_mut().insert("sec-websocket-key", key);
        request
    };
    // the key decides the accept: tungstenite checks its own, so it may stay
    let (mut ws, response) = client::connect(plain, ask_headers()).await.unwrap();
    let mut seen = vec![format!("{:?}", response.headers().get("x-frame-options"))];
    seen.push(ask(&mut ws, "headers").await);
    let config = authority.client();
    let (mut wss, _) =
        client::connect_tls(tls, &config, "test.test.net", ask_headers()).await.unwrap();
    seen.push(ask(&mut wss, "headers").await);
    for path in ["/healthz", "/.git", "/nothing", "/api/x"] {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: test.test.net\r\nConnection: close\r\n\r\n");
        let answer = exchange(plain, head).await;
        let lines = answer.lines().filter(|line| !line.to_lowercase().starts_with("date:"));
        seen.push(lines.collect::<Vec<_>>().join("\n"));
    }
    seen
}

#[tokio::test]
async fn the_recipe_runs_as_it_is_and_as_the_toml_it_is_converted_to() {
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    authority.leaf("cert", &["test.test.net"]);
    let (one, two, three) =
        (Echo::start("1").await, Echo::start("2").await, Echo::start("3").await);
    let (plain, tls) = (address(8080), address(8443));
    let text = example(&folder, [one.addr, two.addr, three.addr], plain, tls);
    std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
    let converted = wayhold(&["convert"], &folder, "nginx.conf");
    let said = String::from_utf8_lossy(&converted.stderr);
    assert_eq!(converted.status.code(), Some(0), "{said}");
    assert!(said.contains("\"map\" of \"$connection_upgrade\" is left out"), "{said}");
    std::fs::write(folder.path().join("converted.toml"), &converted.stdout).unwrap();

    let mut results = Vec::new();
    for file in ["nginx.conf", "converted.toml"] {
        let running = Running::start(&folder.path().join(file), plain).await;
        results.push(observed(&authority, plain, tls).await);
        drop(running);
    }
    assert_eq!(results[0], results[1]);
    let seen = &results[0];
    assert_eq!(seen[0], "Some(\"DENY\")");
    for head in &seen[1..3] {
        for line in [
            "GET /ws/room?a=1\n",
            "host: test.test.net\n",
            "x-real-ip: 127.0.0.1\n",
            "x-forwarded-for: 6.6.6.6, 127.0.0.1\n",
        ] {
            assert!(head.contains(line), "{line} is missing in\n{head}");
        }
        assert!(!head.contains("x-forwarded-proto"), "{head}");
    }
    assert!(seen[3].starts_with("HTTP/1.1 200") && seen[3].ends_with("ok"), "{}", seen[3]);
    assert!(seen[4].starts_with("HTTP/1.1 403"), "{}", seen[4]);
    assert!(seen[5].starts_with("HTTP/1.1 404"), "{}", seen[5]);
    assert!(seen[4].to_lowercase().contains("x-frame-options: deny"), "{}", seen[4]);
}

#[test]
fn the_check_and_the_conversion_say_what_is_wrong_and_end_so() {
    let folder = Proxy::folder();
    let write = |text: &str| std::fs::write(folder.path().join("a.conf"), text).unwrap();
    write("server { listen 127.0.0.1:1; location / { proxy_pass http://127.0.0.1:1; } }");
    let good = wayhold(&["-t", "-c"], &folder, "a.conf");
    let said = String::from_utf8_lossy(&good.stderr);
    assert!(good.status.success(), "{said}");
    assert!(said.contains("syntax is ok") && said.contains("test is successful"), "{said}");
    let as_toml = wayhold(&["-t", "--format", "toml", "-c"], &folder, "a.conf");
    assert!(!as_toml.status.success());

    write("server { location / { proxy_pass http://127.0.0.1:1; mirror /x; } }");
    let dropped = wayhold(&["convert"], &folder, "a.conf");
    assert_eq!(dropped.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&dropped.stderr).contains("a.conf:1: not carried over"));
    let refused = wayhold(&["-t", "-c"], &folder, "a.conf");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("wayhold: [emerg] \"mirror\" is not supported"), "{said}");

    write("server { lisen 80; }");
    assert_eq!(wayhold(&["convert"], &folder, "a.conf").status.code(), Some(1));
}
