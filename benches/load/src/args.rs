//! The command line.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Load for WebSocket proxies, and the accounts of what it costs them
#[derive(Parser)]
#[command(version)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// The upstream: echoes messages, answers pings, and closes when asked to
    Echo {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// A relay that reads and writes and does nothing else
    Floor(Floor),
    /// Messages in flight all the time: CPU for each, throughput, latency
    Run(Run),
    /// Memory for each idle connection: new, after a message, after they closed
    Idle(Idle),
    /// Connect, TLS, upgrade, one message, close, over and over: CPU for each
    Handshake(Handshake),
    /// All connections at once: the time until the last is up
    Storm(Storm),
    /// Small messages over a long time: every loss is reported
    Hold(Hold),
}

#[derive(clap::Args)]
pub struct Floor {
    #[arg(long)]
    pub listen: SocketAddr,
    #[arg(long)]
    pub upstream: SocketAddr,
    #[arg(long, value_enum, default_value = "copy")]
    pub mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Copy,
    Splice,
}

/// Where to connect, and whom to account for.
#[derive(clap::Args)]
pub struct Target {
    /// `ws://host:port/path` or `wss://…`, where any certificate will do
    #[arg(long)]
    pub url: Url,
    /// The proxy's process; its descendants are added
    #[arg(long)]
    pub pid: Vec<u32>,
    /// The echo's process
    #[arg(long)]
    pub echo_pid: Option<u32>,
}

#[derive(clap::Args)]
pub struct Run {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 100)]
    pub conns: usize,
    /// Messages in flight on each connection
    #[arg(long, default_value_t = 1)]
    pub inflight: usize,
    /// Messages a second over all connections, whatever has come back: an open loop
    #[arg(long, conflicts_with = "inflight")]
    pub rate: Option<u32>,
    /// Bytes in each message, at least 16
    #[arg(long, default_value_t = 64, value_parser = size)]
    pub size: usize,
    /// The measured time
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub seconds: Duration,
    /// Load before it
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub warmup: Duration,
}

#[derive(clap::Args)]
pub struct Idle {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 1000)]
    pub conns: usize,
    /// Bytes of the message on each connection
    #[arg(long, default_value_t = 16384, value_parser = size)]
    pub touch: usize,
    /// How long to wait before each reading
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub hold: Duration,
    /// Handshakes, and messages, under way at once
    #[arg(long, default_value_t = 64)]
    pub parallel: usize,
}

#[derive(clap::Args)]
pub struct Handshake {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub seconds: Duration,
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub warmup: Duration,
    /// Connections under way at once
    #[arg(long, default_value_t = 8)]
    pub parallel: usize,
    /// Resume the TLS session of the connection before
    #[arg(long)]
    pub resume: bool,
}

#[derive(clap::Args)]
pub struct Storm {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 1000)]
    pub conns: usize,
    /// How long to wait for the last
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub patience: Duration,
}

#[derive(clap::Args)]
pub struct Hold {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 100)]
    pub conns: usize,
    #[arg(long, default_value_t = 64, value_parser = size)]
    pub size: usize,
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
    /// Seconds between two messages of a connection
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub interval: Duration,
    /// Connections closed, and opened anew, each second
    #[arg(long, default_value_t = 0.0)]
    pub churn: f64,
}

/// A parsed `ws://` or `wss://` URL, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub tls: bool,
    pub host: String,
    pub addr: SocketAddr,
    pub path: String,
}

impl std::str::FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("no scheme")?;
        let tls = match scheme {
            "ws" => false,
            "wss" => true,
            _ => return Err(format!("neither ws nor wss: {scheme}")),
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let host = authority.rsplit_once(':').ok_or("no port")?.0.to_owned();
        let mut found = authority.to_socket_addrs().map_err(|error| error.to_string())?;
        let addr = found.next().ok_or("no address")?;
        Ok(Self { tls, host, addr, path: path.to_owned() })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if (crate::body::MARK..=1 << 30).contains(&size) => Ok(size),
        _ => Err(format!("not between {} and 2^30", crate::body::MARK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url: Url = "wss://127.0.0.1:8443/ws?x=1".parse().unwrap();
        assert!(url.tls);
        assert_eq!((url.host.as_str(), url.path.as_str()), ("127.0.0.1", "/ws?x=1"));
        assert_eq!(url.addr.port(), 8443);
        assert_eq!("ws://127.0.0.1:80".parse::<Url>().unwrap().path, "/");
        assert!("http://127.0.0.1:80/".parse::<Url>().is_err());
        assert!("ws://127.0.0.1/".parse::<Url>().is_err());
    }
}
