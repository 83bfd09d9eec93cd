//! A second handshake within TLS 1.2, which costs a server more than a client: it is refused. Other
//! clients cannot even ask for one, so this one is `openssl s_client`.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::address;
use crate::support::backend::Echo;
use crate::support::certs::Authority;
use crate::support::client::{self, request};
use crate::support::proxy::Proxy;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Connects, says `first`, waits until `seen` has come, asks for a new handshake, and gives what the
/// client tells of its end.
fn renegotiate(listen: SocketAddr, first: &str, seen: &str) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &listen.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is there");
    let mut input = client.stdin.take().unwrap();
    input.write_all(first.as_bytes()).unwrap();
    let mut output = client.stdout.take().unwrap();
    let (mut told, mut some) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&told).contains(seen) {
        let len = output.read(&mut some).unwrap();
        assert!(len > 0, "it ended before `{seen}`: {}", String::from_utf8_lossy(&told));
        told.extend_from_slice(&some[..len]);
    }
    input.write_all(b"R\n").unwrap();
    // Its input stays open: it ends because of what it was answered.
    let ended = client.wait_with_output().unwrap();
    drop(input);
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[tokio::test]
async fn a_renegotiation_is_refused_before_a_request_and_within_a_tunnel() {
    let (echo, listen) = (Echo::start("one").await, address(8443));
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let leaf = authority.leaf("site", &["chat.test"]);
    let config = format!(
        "[[server]]\nlisten = \"{listen} ssl\"\nssl_certificate = {:?}\nssl_certificate_key = {:?}\n\
         [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{}\"\n",
        leaf.certificate, leaf.key, echo.addr
    );
    let proxy = Proxy::start_in(folder, &config).await;
    for (first, seen) in [("", "Verify return code"), (UPGRADE, "101 Switching Protocols")] {
        let asked = tokio::task::spawn_blocking(move || renegotiate(listen, first, seen));
        let told = asked.await.unwrap();
        assert!(told.contains("no renegotiation"), "after {seen}: {told}");
    }
    // Nobody else was harmed.
    let trust = authority.client();
    client::connect_tls(listen, &trust, "chat.test", request("chat.test", "/")).await.unwrap();
    assert!(!proxy.stderr().contains("panicked"));
}
