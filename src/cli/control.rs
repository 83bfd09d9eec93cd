//! Talking to a running process: by signal, and by its readiness page.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clap::ValueEnum;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::config::Input;
use crate::config::model::{Config, ListenAddr};

/// How long a running process has to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `-s` tells: nginx's words.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Order {
    /// Fast shutdown
    Stop,
    /// Graceful shutdown
    Quit,
    /// Open the logs again
    Reopen,
    /// Read the configuration again
    Reload,
}

fn load(source: &Input) -> Result<Config, String> {
    let loaded = crate::config::load(source, &|name| std::env::var(name).ok());
    loaded.map(|loaded| loaded.config).map_err(|error| error.to_string())
}

/// Sends the signal to the process of the pid file that the configuration names.
pub(super) fn send(source: &Input, order: Order) -> Result<(), String> {
    let pid_file = load(source)?.pid.ok_or_else(|| {
        format!(
            "{}: there is no `pid`\nhelp: name a pid file, or send the signal yourself",
            source.path.display()
        )
    })?;
    let shown = pid_file.display();
    let text = std::fs::read_to_string(&pid_file)
        .map_err(|error| format!("{shown}: cannot be read: {error}\nhelp: is Wayhold running?"))?;
    let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0);
    let pid = pid.ok_or_else(|| format!("{shown}: holds no process id: `{}`", text.trim()))?;
    let signal = match order {
        Order::Stop => Signal::SIGINT,
        Order::Quit => Signal::SIGQUIT,
        Order::Reopen => Signal::SIGUSR1,
        Order::Reload => Signal::SIGHUP,
    };
    kill(Pid::from_raw(pid), signal).map_err(|error| match error {
        Errno::ESRCH => format!("{shown}: there is no process {pid}\nhelp: the file is stale"),
        error => format!("process {pid} cannot be told: {error}"),
    })
}

/// Whether `/readyz` of the running process says 200.
pub(super) fn healthcheck(source: &Input) -> Result<(), String> {
    let endpoint = load(source)?.metrics.ok_or_else(|| {
        format!(
            "{}: there is no `[metrics]`\nhelp: `/readyz` stands beside it",
            source.path.display()
        )
    })?;
    let status = ask(&endpoint.listen).map_err(|error| format!("no answer: {error}"))?;
    if status.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("not ready: {status}")) }
}

/// The status line of `/readyz`.
fn ask(addr: &ListenAddr) -> std::io::Result<String> {
    const REQUEST: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    match addr {
        ListenAddr::Tcp(addr) => {
            let mut addr = *addr;
            if addr.ip().is_unspecified() {
                addr.set_ip(if addr.is_ipv4() {
                    [127, 0, 0, 1].into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(REQUEST)?;
            stream.read_to_string(&mut answer)?;
        }
        ListenAddr::Unix(path) => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(REQUEST)?;
            stream.read_to_string(&mut answer)?;
        }
    }
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
