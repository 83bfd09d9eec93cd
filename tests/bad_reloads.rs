//! Reloads in bad times: names that do not resolve, files that are being written, folders that are
//! gone, certificates that have expired.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use tokio::net::UdpSocket;

use crate::support::backend::Echo;
use crate::support::certs::Authority;
use crate::support::client::{self, answers, close_code, request};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

/// A proxy whose only name server is the test, which so holds up the reading of a configuration.
struct Named {
    proxy: Proxy,
    questions: UdpSocket,
    listen: SocketAddr,
    _echo: Echo,
    good: String,
}

impl Named {
    /// `None` where port 53 or mount namespaces are not to be had.
    async fn start() -> Option<Self> {
        let server = address(53);
        let questions = UdpSocket::bind(server).await.ok()?;
        let (echo, listen) = (Echo::start("one").await, address(8080));
        let good = Self::config(listen, &echo.addr.to_string());
        let folder = Proxy::folder();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let resolv = format!("nameserver {}\noptions timeout:9 attempts:9\n", server.ip());
        let mounts = [
            (file("resolv.conf", &resolv), "/etc/resolv.conf"),
            (file("nsswitch.conf", "hosts: files dns\n"), "/etc/nsswitch.conf"),
        ];
        let proxy = Proxy::start_with_mounts(folder, &good, &mounts).await?;
        Some(Self { proxy, questions, listen, _echo: echo, good })
    }

    fn config(listen: SocketAddr, peer: &str) -> String {
        format!(
            "shutdown_timeout = \"2s\"\n[[server]]\nlisten = \"{listen}\"\n\
             [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{peer}\"\n"
        )
    }

    /// Writes a configuration with a name in it; gives back the question for it.
    async fn begin_reading(&self) -> (Vec<u8>, SocketAddr) {
        self.proxy.write_config(&Self::config(self.listen, "backend.faults.test:80"));
        let mut question = vec![0; 512];
        let asked = within("the question", self.questions.recv_from(&mut question)).await;
        let (len, from) = asked.unwrap();
        question.truncate(len);
        (question, from)
    }
}

/// A name server that swallows questions delays the reload that asks, and nothing else.
#[tokio::test]
async fn a_silent_name_server_keeps_nobody_waiting() {
    let Some(mut named) = Named::start().await else {
        eprintln!("skipped: this needs port 53 and mount namespaces");
        return;
    };
    let (mut socket, _) = client::connect(named.listen, request("x", "/")).await.unwrap();
    named.begin_reading().await;
    assert!(answers(&mut socket).await);
    assert!(client::connect(named.listen, request("x", "/")).await.is_ok());
    // The old configuration can still be stopped.
    named.proxy.signal(Signal::SIGTERM);
    assert_eq!(close_code(&mut socket).await, Some(1012));
    assert!(named.proxy.ended().await.success());
}

/// What was read while somebody was still writing is not judged, but read once more.
#[tokio::test]
async fn files_that_change_while_they_are_read_are_read_again() {
    let Some(named) = Named::start().await else {
        eprintln!("skipped: this needs port 53 and mount namespaces");
        return;
    };
    let (mut question, mut from) = named.begin_reading().await;
    named.proxy.write_config(&named.good);
    // There is no such name (RFC 1035 §4.1.1); the same is asked for more kinds of addresses.
    let proxy = &named.proxy;
    let reloaded =
        eventually("the reload", async || (proxy.reloads("success").await >= 1).then_some(()));
    let answer = async {
        loop {
            question[2..4].copy_from_slice(&[0x81, 0x83]);
            named.questions.send_to(&question, from).await.unwrap();
            question.resize(512, 0);
            let len;
            (len, from) = named.questions.recv_from(&mut question).await.unwrap();
            question.truncate(len);
        }
    };
    tokio::select! {
        () = reloaded => {}
        () = answer => {}
    }
    assert_eq!(proxy.reloads("rejected").await, 0, "{}", proxy.stderr());
}

/// While changed files are given time to settle, signals are heard.
#[tokio::test]
async fn a_signal_does_not_wait_for_files_to_settle() {
    let listen = address(8080);
    let config = |body: usize| {
        format!(
            "auto_reload_delay = \"1h\"\n[[server]]\nlisten = \"{listen}\"\n\
             [[server.location]]\npath = \"/\"\nreturn = {{ status = 200, body = \"{body}\" }}\n"
        )
    };
    let proxy = Proxy::start(&config(0)).await;
    for round in 1..=3 {
        proxy.write_config(&config(round));
        proxy.signal(Signal::SIGHUP);
        eventually("the reload", async || {
            (proxy.reloads("success").await >= round as u64).then_some(())
        })
        .await;
    }
}

/// A configuration whose whole folder is deleted runs on; the folder that comes back is noticed.
#[tokio::test]
async fn the_folder_of_the_configuration_is_deleted_and_comes_back() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    // Nothing else is watched beside it.
    let elsewhere = Proxy::folder();
    let parts = elsewhere.path().join("parts");
    std::fs::create_dir(&parts).unwrap();
    let part = format!(
        "[[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\n\
         proxy_pass = \"http://{}\"\n",
        echo.addr
    );
    std::fs::write(parts.join("a.toml"), &part).unwrap();
    let proxy = Proxy::start(&format!("include = {:?}", parts.join("a.toml"))).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    std::fs::remove_dir_all(&parts).unwrap();
    eventually("the rejection", async || (proxy.reloads("rejected").await >= 1).then_some(()))
        .await;
    assert!(answers(&mut socket).await);
    assert!(client::connect(listen, request("x", "/")).await.is_ok());
    std::fs::create_dir(&parts).unwrap();
    std::fs::write(parts.join("a.toml"), part).unwrap();
    eventually("the reload", async || (proxy.reloads("success").await >= 1).then_some(())).await;
    assert!(answers(&mut socket).await);
}

/// A certificate that has expired is served with a warning: better than none.
#[tokio::test]
async fn a_certificate_that_expired_is_told_and_served() {
    let listen = address(8443);
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let leaf = authority.leaf("site", &["chat.test"]);
    let config = format!(
        "[[server]]\nlisten = \"{listen} ssl\"\nserver_name = \"chat.test\"\n\
         ssl_certificate = {:?}\nssl_certificate_key = {:?}\n\
         [[server.location]]\npath = \"/\"\nreturn = {{ status = 200, body = \"ok\" }}\n",
        leaf.certificate, leaf.key
    );
    let proxy = Proxy::start_in(folder, &config).await;
    authority.expired_leaf("site", &["chat.test"]);
    eventually("the warning", async || {
        proxy.stderr().contains("the certificate has expired").then_some(())
    })
    .await;
    let name = rustls::pki_types::ServerName::try_from("chat.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(authority.client());
    let error = connector.connect(name, client::tcp(listen).await).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("expired"), "{error}");
}
