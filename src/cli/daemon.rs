//! Running in the background. The command starts the process again as its child and ends when the
//! child has bound everything and written its pid file, with an error when the child ends first.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd;

use crate::config::Input;
use crate::server;

/// Tells the child whose child it is. Its standard input is a pipe to the command.
const DETACHED: &str = "WAYHOLD_DETACHED";

/// Runs a configuration, in the background if it says so.
pub(super) fn start(input: &Input) -> Result<(), String> {
    let parent = std::env::var(DETACHED).ok().and_then(|id| id.parse().ok());
    if parent.is_some_and(|parent: i32| unistd::getppid().as_raw() == parent) {
        return run_detached(input);
    }
    if server::daemon(input).map_err(|error| error.to_string())?.0 {
        return detach().map_err(|error| format!("cannot run in the background: {error}"))?;
    }
    super::run(input)
}

/// Starts the child and waits for its word.
fn detach() -> std::io::Result<Result<(), String>> {
    let (mut reader, writer) = std::io::pipe()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(DETACHED, std::process::id().to_string())
        .stdin(Stdio::from(writer))
        .spawn()?;
    if reader.read(&mut [0])? == 1 {
        return Ok(Ok(()));
    }
    // It has said why.
    let status = child.wait()?;
    Ok(Err(format!("wayhold: not started ({status})")))
}

fn run_detached(input: &Input) -> Result<(), String> {
    let (_, error_log) = server::daemon(input).map_err(|error| error.to_string())?;
    // It fails for the leader of a session only.
    let _leads = unistd::setsid();
    server::run(input, || {
        if let Err(error) = leave(error_log.as_deref()) {
            tracing::warn!("the terminal cannot be left: {error}");
        }
    })
    .map_err(|error| error.to_string())
}

/// Tells the command that all is served, and lets go of its terminal. Standard error becomes the error
/// log; where there is no such file, it is that.
fn leave(error_log: Option<&Path>) -> std::io::Result<()> {
    let mut command = std::fs::File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let nothing = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    unistd::dup2_stdin(&nothing)?;
    unistd::dup2_stdout(&nothing)?;
    if let Some(path) = error_log {
        let log = std::fs::File::options().append(true).create(true).open(path)?;
        unistd::dup2_stderr(&log)?;
    }
    command.write_all(b"r")
}
