//! Load for the side-by-side bench: what stands on both sides of a proxy (clients and an echo), a
//! relay to compare it with, and the accounts of its CPU time and memory. One JSON object for each
//! measurement on standard output; status 1 when something was lost or wrong.

mod args;
mod body;
mod client;
mod echo;
mod floor;
mod frame;
mod handshake;
mod histogram;
mod hold;
mod idle;
mod processes;
mod run;
mod storm;
mod stream;
mod swarm;
mod upgrade;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// What a command gives: its figures, and whether everything came back as it was sent.
pub struct Outcome {
    pub figures: serde_json::Value,
    pub clean: bool,
}

fn main() -> ExitCode {
    raise_descriptors();
    let outcome = match Args::parse().command {
        Command::Echo { listen } => echo::serve(listen).map(|never| match never {}),
        Command::Floor(options) => floor::serve(&options).map(|never| match never {}),
        Command::Run(options) => run::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Handshake(options) => handshake::run(&options),
        Command::Storm(options) => storm::run(&options),
        Command::Hold(options) => hold::run(&options),
    };
    match outcome {
        Ok(Outcome { figures, clean }) => {
            println!("{figures}");
            if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it fails, connections will, and say why.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
