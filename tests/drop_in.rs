//! In nginx's place: its flags, its signals, its files, and requests that only nginx takes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::nginx::Running;
use crate::support::client::{exchange, read_head};
use crate::support::proxy::Proxy;
use crate::support::{address, eventually, within};

fn wayhold(args: &[&str], prefix: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wayhold"));
    command.args(["-p", prefix.to_str().unwrap(), "-e", "error.log"]).args(args);
    command.stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Ends what a test has started in the background, even when the test fails.
struct Background<'a>(&'a Path);

impl Background<'_> {
    fn pid(&self) -> Option<Pid> {
        read(self.0).trim().parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _gone = kill(pid, Signal::SIGKILL);
        }
    }
}

#[tokio::test]
async fn it_goes_to_the_background_and_obeys_as_nginx_does() {
    let folder = Proxy::folder();
    let path = |name: &str| folder.path().join(name);
    let listen = address(8080);
    let write = |answer: &str| {
        let text = format!(
            "events {{ }}\nhttp {{ server {{ listen {listen}; location / {{ return 200 {answer}; }} }} }}\n"
        );
        std::fs::write(path("nginx.conf"), text).unwrap();
    };
    write("one");
    let globals = format!("pid {}; error_log error.log info;", path("nginx.pid").display());
    let run = |args: &[&str]| {
        let all: Vec<_> =
            ["-c", "nginx.conf", "-g", &globals].iter().chain(args).copied().collect();
        wayhold(&all, folder.path())
    };
    // Not by `output`, which waits for standard error to close: the background keeps it.
    let mut command = Command::new(env!("CARGO_BIN_EXE_wayhold"));
    command.args(["-p", folder.path().to_str().unwrap(), "-e", "error.log", "-c", "nginx.conf"]);
    let status = command.args(["-g", &globals]).stdin(Stdio::null()).status().unwrap();
    assert!(status.success());
    let pid_file = path("nginx.pid");
    let process = Background(&pid_file);
    let pid = process.pid().expect("the pid file is written before the command ends");
    let ask = || exchange(listen, "GET / HTTP/1.0\r\n\r\n");
    assert!(ask().await.ends_with("one"));

    write("two");
    assert!(run(&["-s", "reload"]).status.success());
    eventually("the reload", async || ask().await.ends_with("two").then_some(())).await;

    std::fs::rename(path("error.log"), path("error.log.1")).unwrap();
    assert!(run(&["-s", "reopen"]).status.success());
    eventually("the new log", async || path("error.log").exists().then_some(())).await;

    write("three");
    std::fs::write(path("nginx.conf"), "http { server { lisen 1; } }").unwrap();
    assert!(!run(&["-s", "reload"]).status.success(), "a file with faults is not sent");
    kill(pid, Signal::SIGHUP).unwrap();
    eventually("the complaint", async || {
        read(&path("error.log")).contains("unknown directive \"lisen\"").then_some(())
    })
    .await;
    assert!(ask().await.ends_with("two"), "the old one keeps running");

    write("four");
    assert!(run(&["-s", "quit"]).status.success());
    eventually("the end", async || kill(pid, None).is_err().then_some(())).await;
    assert!(!pid_file.exists());
    let log = read(&path("error.log.1"));
    let line = log.lines().next().unwrap();
    assert!(line.contains(&format!("] {pid}#0: ")), "{line}");
    let failed = run(&["-s", "stop"]);
    assert!(!failed.status.success() && said(&failed).contains("nginx.pid"), "{}", said(&failed));
}

#[test]
fn a_test_of_a_file_says_what_nginx_says() {
    let folder = Proxy::folder();
    let file = folder.path().join("nginx.conf");
    let main = "events { } http { include more.conf; }\n";
    std::fs::write(&file, main).unwrap();
    let more = "server { listen 127.0.0.1:1; location / { return 204; } }\n";
    std::fs::write(folder.path().join("more.conf"), more).unwrap();
    let test = |flags: &[&str]| {
        let all: Vec<_> = flags.iter().chain(&["-c", "nginx.conf"]).copied().collect();
        let output = wayhold(&all, folder.path());
        (output.status.success(), said(&output))
    };
    assert_eq!(test(&["-t", "-q"]), (true, String::new()));
    let (fits, told) = test(&["-t"]);
    assert!(fits && told.ends_with("test is successful\n"), "{told}");
    let (fits, told) = test(&["-T"]);
    for (name, text) in [("nginx.conf", main), ("more.conf", more)] {
        let path = folder.path().join(name);
        let part = format!("# configuration file {}:\n{text}", path.display());
        assert!(fits && told.contains(&part), "{part} is missing in\n{told}");
    }
    let (fits, told) = test(&["-t", "-q", "-g", "wrong on;"]);
    assert!(!fits && told.contains("unknown directive \"wrong\" in command line:1"), "{told}");
}

#[test]
fn the_version_names_what_is_served_and_what_is_not() {
    let output = Command::new(env!("CARGO_BIN_EXE_wayhold")).arg("-V").output().unwrap();
    let told = said(&output);
    let own = format!("wayhold version: wayhold/{}\n", env!("CARGO_PKG_VERSION"));
    for part in [
        &own,
        "nginx version: nginx/1.22.1",
        "TLS SNI support enabled\n",
        "configure arguments: ",
        " --with-http_ssl_module",
        " --with-http_realip_module",
        " --without-http_fastcgi_module",
        " --without-http_fastcgi_module",
    ] {
        assert!(output.status.success() && told.contains(part), "{part} is missing in {told}");
    }
    for part in ["--with-stream", "--with-mail", "--without-http_proxy_module"] {
        assert!(!told.contains(part), "{part} is in {told}");
    }
}

/// Answers each request with its head.
async fn mirror(addr: SocketAddr) {
    let listener = TcpListener::bind(addr).await.unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        let length = head.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _gone = stream.write_all(&[answer.as_bytes(), &head].concat()).await;
    }
}

#[tokio::test]
async fn methods_are_limited_and_names_of_fields_chosen() {
    let folder = Proxy::folder();
    let file = folder.path().join("nginx.conf");
    let (one, two, three, peer) = (address(8080), address(8081), address(8082), address(9000));
    let text = format!(
        "server {{ listen {one};
           location / {{ proxy_pass http://{peer}; }}
           location /get {{ proxy_pass http://{peer}; limit_except GET {{ deny all; }} }} }}
         server {{ listen {two}; underscores_in_headers on; location / {{ proxy_pass http://{peer}; }} }}
         server {{ listen {three}; ignore_invalid_headers off; location / {{ proxy_pass http://{peer}; }} }}"
    );
    std::fs::write(&file, text).unwrap();
    let backend = tokio::spawn(mirror(peer));
    let running = Running::start(&file, three).await;
    for (method, status) in [("GET", "200"), ("HEAD", "200"), ("POST", "403"), ("DELETE", "403")] {
        let answer = exchange(one, format!("{method} /get HTTP/1.0\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method}: {answer}");
        let answer = exchange(one, format!("{method} / HTTP/1.0\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{method}: {answer}");
    }
    for (addr, passed, dropped) in [
        (one, &["a-b: 1"][..], &["c_d", "e.f"][..]),
        (two, &["a-b: 1", "c_d: 2"], &["e.f"]),
        (three, &["a-b: 1", "c_d: 2", "e.f: 3"], &[]),
    ] {
        let head = "GET /#fragment HTTP/1.0\r\na-b: 1\r\nc_d: 2\r\ne.f: 3\r\n\r\n";
        let answer = exchange(addr, head).await.to_lowercase();
        assert!(answer.contains("get / http/1.1"), "{answer}");
        for name in passed {
            assert!(answer.contains(name), "{name} is missing in {answer}");
        }
        for name in dropped {
            assert!(!answer.contains(name), "{name} is in {answer}");
        }
    }
    for host in ["", "..", "a..b"] {
        let answer = exchange(one, format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{host}: {answer}");
    }
    drop(running);
    backend.abort();
}

/// Switches to `foo`, then sends back what comes, with its own word before and behind.
async fn foo(addr: SocketAddr) {
    let listener = TcpListener::bind(addr).await.unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(char::from(byte));
        }
        let asked = head.to_lowercase().contains("\r\nupgrade: foo\r\n");
        let answer = if asked {
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nhello "
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain"
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        if asked && stream.read_to_end(&mut rest).await.is_ok() {
            let _gone = stream.write_all(&[&rest[..], b" bye"].concat()).await;
        }
    }
}

#[tokio::test]
async fn another_protocol_than_websocket_goes_through_untouched() {
    let folder = Proxy::folder();
    let (nginx, toml, peer) = (address(8080), address(8081), address(9000));
    let backend = tokio::spawn(foo(peer));
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let nginx_conf = write(
        "nginx.conf",
        format!(
            "server {{ listen {nginx}; location / {{ proxy_pass http://{peer}; proxy_http_version 1.1;
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}"
        ),
    );
    let plain = write(
        "wayhold.toml",
        format!(
            "[[server]]\nlisten = \"{toml}\"\n[[server.location]]\npath = \"/\"\nproxy_pass = \"http://{peer}\"\n"
        ),
    );
    let running = (Running::start(&nginx_conf, nginx).await, Running::start(&plain, toml).await);
    let ask = async |addr: SocketAddr, protocol: &str| {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        // A Close frame and half a header, if these were frames.
        let bytes = [head.as_bytes(), b"\x88\x02\x03\xe8\x81"].concat();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        if protocol == "foo" && addr == nginx {
            while !answer.ends_with(b"hello ") {
                answer.push(within("the 101", stream.read_u8()).await.unwrap());
            }
            stream.shutdown().await.unwrap();
        }
        let _reset = within("an answer", stream.read_to_end(&mut answer)).await;
        answer
    };
    let answer = ask(nginx, "foo").await;
    let shown = String::from_utf8_lossy(&answer).into_owned();
    assert!(shown.starts_with("HTTP/1.1 101 "), "{shown}");
    assert!(answer.ends_with(b"\r\n\r\nhello \x88\x02\x03\xe8\x81 bye"), "{shown}");
    for (addr, protocol) in [(nginx, "h2c"), (toml, "foo")] {
        let answer = ask(addr, protocol).await;
        let shown = String::from_utf8_lossy(&answer);
        assert!(shown.starts_with("HTTP/1.1 200 "), "{protocol}: {shown}");
        assert!(!shown.contains("hello"), "{shown}");
    }
    drop(running);
    backend.abort();
}

#[tokio::test]
async fn an_answer_says_once_whether_the_connection_is_kept() {
    let folder = Proxy::folder();
    let listen = address(8080);
    let file = folder.path().join("nginx.conf");
    let text = format!(
        "server {{ listen {listen}; keepalive_timeout 75s 9;
           location / {{ return 200 x; }}
           location /old {{ keepalive_time 100ms; return 200 x; }} }}"
    );
    std::fs::write(&file, text).unwrap();
    let _running = Running::start(&file, listen).await;
    let said = |answer: &str| -> Vec<String> {
        let lines = answer.lines().map(str::to_lowercase);
        lines.filter(|line| line.starts_with("connection:")).collect()
    };
    for head in ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"]
    {
        assert_eq!(said(&exchange(listen, head).await), ["connection: close"], "{head}");
    }
    let mut stream = tokio::net::TcpStream::connect(listen).await.unwrap();
    let ask = "GET /old HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\nx") {
        answer.push(char::from(within("an answer", stream.read_u8()).await.unwrap()));
    }
    assert_eq!(said(&answer), ["connection: keep-alive"]);
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the end", stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(said(&answer), ["connection: close"], "{answer}");
}

#[tokio::test]
async fn peers_are_tried_as_nginx_tries_them() {
    let (listen, folder) = (address(8080), Proxy::folder());
    let (first, second) = (address(9000), address(9001));
    let peer = TcpListener::bind(address(9002)).await.unwrap();
    let third = peer.local_addr().unwrap();
    let file = folder.path().join("nginx.conf");
    let text = format!(
        "events {{}}\nhttp {{\nupstream dead {{ server {first}; server {second}; }}\n\
         upstream kept {{ server {third}; keepalive 4; }}\nserver {{ listen {listen};\n\
         add_header X-Peers $upstream_addr always;\n\
         location / {{ proxy_pass http://dead; }}\n\
         location /kept {{ proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection $args; }} }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let _running = Running::start(&file, listen).await;
    let ask = async |uri: &str| {
        exchange(listen, format!("GET {uri} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            .await
    };
    let answer = ask("/").await;
    let both = format!("X-Peers: {first}, {second}\r\n");
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains(&both), "{answer}");
    let answer = ask("/").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("X-Peers: dead\r\n"), "{answer}");

    // a connection is kept until a request says close
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (mut stream, mut closes) = (None, Vec::new());
    for uri in ["/kept", "/kept?close", "/kept"] {
        let serve = async {
            let mut on = match stream.take() {
                Some(on) => on,
                None => within("accept", peer.accept()).await.unwrap().0,
            };
            let asked = read_head(&mut on).await.to_lowercase();
            closes.push(asked.contains("connection: close"));
            on.write_all(head.as_bytes()).await.unwrap();
            on
        };
        let (on, _) = tokio::join!(serve, ask(uri));
        stream = (uri != "/kept?close").then_some(on);
    }
    assert_eq!(closes, [false, true, false]);
}
