//! The `wayhold` program: the exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    wayhold::cli::main()
}
