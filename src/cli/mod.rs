//! Flags and verbs: nginx's where nginx has them.

mod control;
mod daemon;
mod demo;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Format, Input};
use crate::server;

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
#[expect(clippy::struct_excessive_bools, reason = "they are nginx's flags")]
struct Flags {
    /// The configuration file
    #[arg(short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Test the configuration and exit
    #[arg(short = 't')]
    test: bool,
    /// Test the configuration, print its files and exit
    #[arg(short = 'T')]
    dump: bool,
    /// Say nothing of a test but what is wrong
    #[arg(short = 'q')]
    quiet: bool,
    /// Send a signal to the running process
    #[arg(short = 's', value_name = "SIGNAL")]
    signal: Option<control::Order>,
    /// Print the version and exit
    #[arg(short = 'v', long = "version")]
    version: bool,
    /// Print the version and what of nginx is served, and exit
    #[arg(short = 'V')]
    features: bool,
    /// Print help
    #[arg(short = '?', action = clap::ArgAction::Help)]
    usage: Option<bool>,
}

/// How a configuration file is read.
#[derive(Args, Debug)]
struct Reading {
    /// What relative paths of an nginx.conf and of `-c` are relative to
    #[arg(short = 'p', value_name = "PREFIX")]
    prefix: Option<PathBuf>,
    /// The language of the configuration; without it the file itself tells
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// Directives of an nginx.conf that stand before those of the file
    #[arg(short = 'g', value_name = "DIRECTIVES", default_value = "")]
    globals: String,
    /// The error log of a configuration that names none; `stderr` is standard error
    #[arg(short = 'e', value_name = "FILE")]
    error_log: Option<PathBuf>,
}

fn format_named(name: &str) -> Result<Format, String> {
    match name {
        "toml" => Ok(Format::Toml),
        "nginx" => Ok(Format::Nginx),
        _ => Err("write `toml` or `nginx`".to_owned()),
    }
}

impl Reading {
    fn of(self, path: PathBuf) -> Input {
        let below = |path: PathBuf| match &self.prefix {
            Some(prefix) => prefix.join(path),
            None => path,
        };
        let error_log = self.error_log.filter(|path| path.as_os_str() != "stderr").map(below);
        let path = below(path);
        let Self { prefix, format, globals, .. } = self;
        Input { path, format, prefix, globals, error_log }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run in the foreground, as without a verb
    Run {
        /// The configuration file
        #[arg(short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIG)]
        config: PathBuf,
        #[command(flatten)]
        reading: Reading,
    },
    /// Test a configuration
    Check {
        /// The configuration file
        file: Option<PathBuf>,
        /// The same, as for the other verbs
        #[arg(short = 'c', value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Print the TOML that says what an nginx.conf says
    ///
    /// What cannot be carried over is listed on standard error, with file and line; then the exit code
    /// is 2.
    Convert {
        /// The nginx.conf
        file: PathBuf,
        /// What relative paths of logs and of the pid file are relative to
        #[arg(short = 'p', value_name = "PREFIX")]
        prefix: Option<PathBuf>,
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
        #[command(flatten)]
        reading: Reading,
    },
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        None if cli.flags.version || cli.flags.features => {
            version::print(cli.flags.features);
            Ok(())
        }
        None => without_verb(cli.flags),
        Some(Verb::Run { config, reading }) => run(&reading.of(config)),
        Some(Verb::Check { file, config, reading }) => {
            let path = file.or(config).unwrap_or_else(|| DEFAULT_CONFIG.into());
            check(&reading.of(path), Telling::All)
        }
        Some(Verb::Convert { file, prefix }) => {
            let format = Some(Format::Nginx);
            return convert(&Input { path: file, format, prefix, ..Input::default() });
        }
        Some(Verb::Schema { markdown }) => {
            print_schema(markdown);
            Ok(())
        }
        Some(Verb::Demo(args)) => demo::run(&args),
        Some(Verb::Healthcheck { config, reading }) => control::healthcheck(&reading.of(config)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn without_verb(flags: Flags) -> Result<(), String> {
    let input = flags.reading.of(flags.config);
    match flags.signal {
        _ if flags.dump => check(&input, Telling::Texts),
        _ if flags.test && flags.quiet => check(&input, Telling::Faults),
        _ if flags.test => check(&input, Telling::All),
        Some(order) => control::send(&input, order),
        None => daemon::start(&input),
    }
}

fn run(input: &Input) -> Result<(), String> {
    server::run(input, || {}).map_err(|error| error.to_string())
}

/// What a test tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// What is wrong (`-q`).
    Faults,
    /// And whether all is well.
    All,
    /// And the files (`-T`).
    Texts,
}

fn check(input: &Input, telling: Telling) -> Result<(), String> {
    let shown = input.path.display();
    match server::check(input) {
        Ok(checked) => {
            for warning in checked.warnings {
                eprintln!("{warning}");
            }
            if telling == Telling::Faults {
                return Ok(());
            }
            if checked.format == Format::Nginx {
                eprintln!("wayhold: the configuration file {shown} syntax is ok");
            }
            eprintln!("wayhold: configuration file {shown} test is successful");
            if telling == Telling::Texts {
                return print_texts(&checked.texts);
            }
            Ok(())
        }
        Err(error) => Err(format!("{error}\nwayhold: configuration file {shown} test failed")),
    }
}

/// Every file, under nginx's line for it.
fn print_texts(texts: &[PathBuf]) -> Result<(), String> {
    for path in texts {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        println!("# configuration file {shown}:\n{text}");
    }
    Ok(())
}

fn convert(input: &Input) -> ExitCode {
    let shown = input.path.display();
    match config::convert(input) {
        Ok(config::Converted { toml, remarks, dropped }) => {
            println!("# From {shown}, by `wayhold convert`.\n{}", toml.trim_end());
            for remark in remarks {
                eprintln!("{remark}");
            }
            if dropped { ExitCode::from(2) } else { ExitCode::SUCCESS }
        }
        Err(faults) => {
            eprintln!("{faults}\nwayhold: {shown} cannot be converted");
            ExitCode::FAILURE
        }
    }
}

fn print_schema(markdown: bool) {
    if markdown {
        print!("{}", config::reference());
    } else {
        println!("{:#}", config::json_schema());
    }
}
