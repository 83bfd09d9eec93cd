//! Flags and verbs: nginx's where nginx has them.

mod control;
mod demo;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{config, server};

/// Where a package puts the configuration.
const DEFAULT_CONFIG: &str = "/etc/wayhold/wayhold.toml";

/// A WebSocket-aware reverse proxy and load balancer.
#[derive(Debug, Parser)]
#[command(name = "wayhold", disable_version_flag = true, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args, Debug)]
struct Flags {
    /// The configuration file
    #[arg(short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Test the configuration and exit
    #[arg(short = 't')]
    test: bool,
    /// Send a signal to the running process
    #[arg(short = 's', value_name = "SIGNAL")]
    signal: Option<control::Order>,
    /// Print the version and exit
    #[arg(short = 'v', short_alias = 'V', long = "version")]
    version: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run in the foreground, as without a verb
    Run {
        /// The configuration file
        #[arg(short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
    /// Test a configuration
    Check {
        /// The configuration file
        file: Option<PathBuf>,
        /// The same, as for the other verbs
        #[arg(short = 'c', value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
    },
    /// Print the JSON Schema of the configuration
    Schema {
        /// Print the reference page instead
        #[arg(long)]
        markdown: bool,
    },
    /// Run two echo backends and a proxy in front of them, to try things out
    Demo(demo::DemoArgs),
    /// Ask a running process whether it is ready; for containers
    Healthcheck {
        /// The configuration file, which names the metrics address
        #[arg(short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
    },
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        None if cli.flags.version => {
            println!("wayhold version: wayhold/{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        None if cli.flags.test => check(&cli.flags.config),
        None => match cli.flags.signal {
            Some(order) => control::send(&cli.flags.config, order),
            None => run(&cli.flags.config),
        },
        Some(Verb::Run { config }) => run(&config),
        Some(Verb::Check { file, config }) => {
            check(&file.or(config).unwrap_or_else(|| DEFAULT_CONFIG.into()))
        }
        Some(Verb::Schema { markdown }) => {
            print_schema(markdown);
            Ok(())
        }
        Some(Verb::Demo(args)) => demo::run(&args),
        Some(Verb::Healthcheck { config }) => control::healthcheck(&config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Path) -> Result<(), String> {
    server::run(config, || {}).map_err(|error| error.to_string())
}

fn check(config: &Path) -> Result<(), String> {
    let shown = config.display();
    match server::check(config) {
        Ok(warnings) => {
            for warning in warnings {
                eprintln!("{warning}");
            }
            eprintln!("wayhold: configuration file {shown} test is successful");
            Ok(())
        }
        Err(error) => Err(format!("{error}\nwayhold: configuration file {shown} test failed")),
    }
}

fn print_schema(markdown: bool) {
    if markdown {
        print!("{}", config::reference());
    } else {
        println!("{:#}", config::json_schema());
    }
}
