//! `wayhold demo`: two echo backends and a proxy in front of them, with a self-signed certificate,
//! a page to try it in, and metrics. The configuration is an ordinary file: it can be edited while
//! the demo runs.

mod echo;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::server;

/// The page that opens a WebSocket.
const PAGE: &str = include_str!("page.html");

/// Where the demo listens.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// The first port to try for https and wss
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The first port to try for http and ws
    #[arg(long, default_value_t = 8080)]
    plain_port: u16,
    /// The first port to try for metrics
    #[arg(long, default_value_t = 9145)]
    metrics_port: u16,
}

/// A folder of our own that goes at the end.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Self> {
        let name = format!("wayhold-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        // It holds a private key.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder does no harm.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// Runs the demo until it is interrupted.
pub(super) fn run(args: &DemoArgs) -> Result<(), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("the demo cannot start: {error}");
    let folder = Folder::make().map_err(|error| wrong(&error))?;
    let backends = [echo::start("backend-1", PAGE), echo::start("backend-2", PAGE)];
    let [first, second] = backends;
    let (first, second) = (first.map_err(|e| wrong(&e))?, second.map_err(|e| wrong(&e))?);
    make_certificate(&folder.0).map_err(|error| wrong(&error))?;
    let (tls, plain) = (free_port(args.port)?, free_port(args.plain_port)?);
    let metrics = free_port(args.metrics_port)?;
    let config = folder.0.join("wayhold.toml");
    let text = configuration(&folder.0, [first, second], tls, plain, metrics);
    fs::write(&config, &text).map_err(|error| wrong(&error))?;
    let ready = || announce(&text, &config, tls, plain, metrics);
    server::run(&config.as_path().into(), ready).map_err(|error| error.to_string())
}

/// The first port from `wanted` on that nobody has.
fn free_port(wanted: u16) -> Result<u16, String> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports = wanted..=wanted.saturating_add(100);
    ports.into_iter().find(free).ok_or_else(|| format!("no free port from {wanted} on"))
}

fn make_certificate(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}

fn configuration(
    folder: &Path,
    backends: [SocketAddr; 2],
    tls: u16,
    plain: u16,
    metrics: u16,
) -> String {
    let folder = folder.display();
    let [first, second] = backends;
    format!(
        r#"error_log_level = "notice"
access_log = {{ path = "{folder}/access.log", format = "json" }}

[metrics]
listen = "127.0.0.1:{metrics}"

[upstream.echo]
balance = "least_conn"
servers = ["{first}", "{second}"]

[[server]]
server_name = ["localhost", "127.0.0.1"]
listen = ["127.0.0.1:{plain}", "127.0.0.1:{tls} ssl"]
ssl_certificate = "{folder}/cert.pem"
ssl_certificate_key = "{folder}/key.pem"

[[server.location]]
path = "/"
proxy_pass = "http://echo"
proxy_read_timeout = "600s"

[server.location.websocket]
ping_interval = "25s"
"#
    )
}

fn announce(text: &str, config: &Path, tls: u16, plain: u16, metrics: u16) {
    println!(
        "Wayhold is running in front of two echo backends, with this configuration:\n\n{}\n\n\
         Try it:\n\
         \x20 a page       https://localhost:{tls}/  (self-signed: accept the warning) or http://localhost:{plain}/\n\
         \x20 a WebSocket  wss://localhost:{tls}/ws and ws://localhost:{plain}/ws\n\
         \x20 a handshake  curl -ki --http1.1 --max-time 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \\\n\
         \x20              -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' https://localhost:{tls}/ws\n\
         \x20 metrics      http://127.0.0.1:{metrics}/metrics\n\
         \x20 a reload     edit {} while a WebSocket is open: it stays open\n\n\
         Ctrl-C ends the demo.",
        indented(text),
        config.display(),
    );
}

/// As it stands in the announcement.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_s_configuration_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        make_certificate(folder.path()).unwrap();
        let backends = [8, 9].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = configuration(folder.path(), backends, 8443, 8080, 9145);
        let loaded = crate::config::load_str(&text, "demo.toml", folder.path());
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    }
}
