//! The process: it starts whole or not at all, tells why not, and obeys.

use std::process::{Command, Output};

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::backend::Echo;
use crate::support::certs::Authority;
use crate::support::client::{self, request};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

fn wayhold(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wayhold")).args(args).output().unwrap()
}

/// Writes a configuration and tries to run it; gives back what it said.
fn refused(config: &[u8]) -> String {
    let folder = Proxy::folder();
    let file = folder.path().join("wayhold.toml");
    std::fs::write(&file, config).unwrap();
    let output = wayhold(&["-c", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(config));
    let checked = wayhold(&["-t", "-c", file.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.is_empty() && !said.contains("panicked"), "{said}");
    drop(checked);
    said
}

const ROUTE: &str = "[[server.location]]\npath = \"/\"\nreturn = { status = 200, body = \"ok\" }\n";

#[test]
fn a_configuration_that_cannot_be_used_is_explained() {
    assert!(wayhold(&["-c", "/nowhere/wayhold.toml"]).status.code() == Some(1));
    for (config, said) in [
        ("", "server"),
        ("listen = [\n", "wayhold.toml"),
        ("\0\u{1}\u{2}", "wayhold.toml"),
        ("[[server]]\nlisten = \"80\"\nlocaton = 1\n", "did you mean"),
        (
            "[[server]]\nlisten = \"127.0.0.1:1 ssl\"\nssl_certificate = \"/no.pem\"\nssl_certificate_key = \"/no.key\"\n",
            "/no.pem",
        ),
        (
            "[[server]]\nlisten = \"127.0.0.1:1\"\n[[server.location]]\npath = \"/\"\nproxy_pass = \"http://nobody\"\n",
            "nobody",
        ),
    ] {
        let text = refused(config.as_bytes());
        assert!(text.contains(said), "`{said}` is missing in:\n{text}");
    }
    refused(&[0xff, 0xfe, 0x00, 0x80]);
}

#[test]
fn certificates_that_do_not_fit_are_refused_and_expired_ones_are_not() {
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    let (one, two) = (authority.leaf("one", &["a.test"]), authority.leaf("two", &["a.test"]));
    let config = |key: &std::path::Path| {
        format!(
            "[[server]]\nlisten = \"{} ssl\"\nserver_name = \"b.test\"\nssl_certificate = {:?}\n\
             ssl_certificate_key = {key:?}\n{ROUTE}",
            address(8443),
            one.certificate
        )
    };
    assert!(refused(config(&two.key).as_bytes()).contains("does not belong"));
    let file = folder.path().join("wayhold.toml");
    std::fs::write(&file, config(&one.key)).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [&["check", file][..], &["check", "-c", file]] {
        let output = wayhold(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains("not for `b.test`"), "{said}");
    }
}

#[tokio::test]
async fn a_port_in_use_stops_the_start_and_nothing_is_left_behind() {
    let taken = address(8080);
    let _taken = tokio::net::TcpListener::bind(taken).await.unwrap();
    let folder = Proxy::folder();
    let pid = folder.path().join("pid");
    let config = format!(
        "pid = {pid:?}\n[[server]]\nlisten = [\"{}\", \"{taken}\"]\n{ROUTE}",
        address(8080)
    );
    let said = refused(config.as_bytes());
    assert!(said.contains(&taken.to_string()) && said.contains("help:"), "{said}");
    assert!(!pid.exists());
}

#[tokio::test]
async fn quit_waits_for_tunnels_and_interrupt_does_not() {
    let (echo, listen) = (Echo::start("one").await, address(8080));
    let config = format!(
        "[[server]]\nlisten = \"{listen}\"\n[[server.location]]\npath = \"/\"\nproxy_pass = \"http://{}\"\n",
        echo.addr
    );
    let mut proxy = Proxy::start(&config).await;
    let (mut socket, _) = client::connect(listen, request("x", "/")).await.unwrap();
    proxy.signal(Signal::SIGQUIT);
    eventually("the listener to close", async || {
        tokio::net::TcpStream::connect(listen).await.is_err().then_some(())
    })
    .await;
    futures_util::SinkExt::send(&mut socket, "still there".into()).await.unwrap();
    let answer = within("an answer", futures_util::StreamExt::next(&mut socket)).await;
    assert_eq!(answer.unwrap().unwrap().into_text().unwrap().as_str(), "still there");
    socket.close(None).await.unwrap();
    assert!(proxy.ended().await.success());
}

#[tokio::test]
async fn the_command_line_tells_a_running_process() {
    let listen = address(8080);
    let log = Proxy::folder();
    let path = log.path().join("access.log");
    let config = format!("access_log = {path:?}\n[[server]]\nlisten = \"{listen}\"\n{ROUTE}");
    let mut proxy = Proxy::start(&config).await;
    let file = proxy.file("wayhold.toml");
    let file = file.to_str().unwrap();
    let page = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(client::exchange(listen, page).await.starts_with("HTTP/1.1 200"));
    eventually("a log line", async || {
        std::fs::read_to_string(&path).unwrap().contains("\"GET / HTTP/1.1\" 200 2").then_some(())
    })
    .await;
    std::fs::rename(&path, log.path().join("rotated")).unwrap();
    assert!(wayhold(&["-s", "reopen", "-c", file]).status.success());
    eventually("the new log file", async || path.exists().then_some(())).await;
    assert!(wayhold(&["-s", "reload", "-c", file]).status.success());
    eventually("the reload", async || (proxy.reloads("success").await == 1).then_some(())).await;
    assert!(wayhold(&["healthcheck", "-c", file]).status.success());
    assert!(wayhold(&["-s", "quit", "-c", file]).status.success());
    assert!(proxy.ended().await.success());
    assert!(!wayhold(&["healthcheck", "-c", file]).status.success());
    assert_eq!(wayhold(&["-s", "reload", "-c", file]).status.code(), Some(1));
}

#[tokio::test]
async fn plain_http_on_a_tls_port_gets_a_hint_and_tls_on_a_plain_port_an_end() {
    let (listen, tls) = (address(8080), address(8443));
    let folder = Proxy::folder();
    let leaf = Authority::new(folder.path()).leaf("site", &["a.test"]);
    let config = format!(
        "[[server]]\nserver_name = \"a.test\"\nlisten = [\"{listen}\", \"{tls} ssl\"]\n\
         ssl_certificate = {:?}\nssl_certificate_key = {:?}\n{ROUTE}",
        leaf.certificate, leaf.key
    );
    let _proxy = Proxy::start_in(folder, &config).await;
    let page = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let hint = client::exchange(tls, page).await;
    assert!(hint.starts_with("HTTP/1.1 400") && hint.contains("https://"), "{hint}");
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 64]].concat();
    let mut stream = client::tcp(listen).await;
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    // An answer or a reset: an end, and soon.
    let _reset = within("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"));
}

#[tokio::test]
async fn the_command_line_is_nginx_s() {
    let folder = Proxy::folder();
    let (listen, dir) = (address(8080), folder.path().to_str().unwrap());
    let write = |text: &str| std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
    let server =
        format!("events {{}}\nhttp {{ server {{ listen {listen}; return 200 here; }} }}\n");
    write(&server);
    let said = |output: &Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
    };

    let version = said(&wayhold(&["-V"]));
    for line in [
        "wayhold/",
        "nginx version: nginx/1.22.1",
        "TLS SNI support enabled",
        "--with-http_ssl_module",
    ] {
        assert!(version.contains(line), "{version}");
    }
    assert!(said(&wayhold(&["-?"])).contains("-g <DIRECTIVES>"));
    let tested = ["-p", dir, "-c", "nginx.conf"];
    let dumped = wayhold(&[&tested[..], &["-T"]].concat());
    assert!(said(&dumped).contains(&format!("# configuration file {dir}/nginx.conf:\n{server}")));
    assert_eq!(said(&wayhold(&[&tested[..], &["-t", "-q"]].concat())), "");
    let twice = wayhold(&[&tested[..], &["-t", "-g", "daemon off; daemon off;"]].concat());
    assert_eq!(twice.status.code(), Some(1));
    assert!(said(&twice).contains("\"daemon\" directive is duplicate in command line:1"));

    // in the background, until it is told to stop
    let globals = format!("pid {dir}/wayhold.pid;");
    let started = wayhold(&[&tested[..], &["-e", "error.log", "-g", &globals]].concat());
    assert_eq!(started.status.code(), Some(0), "{}", said(&started));
    let answer = client::exchange(listen, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.await.ends_with("here"));
    assert!(folder.path().join("error.log").exists());
    // a second one finds the port taken, and says so before it leaves the terminal
    let other = format!("pid {dir}/other.pid;");
    let second = wayhold(&[&tested[..], &["-g", &other]].concat());
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains(&listen.to_string()), "{}", said(&second));
    let stopped = wayhold(&[&tested[..], &["-s", "stop", "-g", &globals]].concat());
    assert_eq!(stopped.status.code(), Some(0), "{}", said(&stopped));
    eventually("the process to end", async || {
        (!folder.path().join("wayhold.pid").exists()).then_some(())
    })
    .await;
}
