//! From TOML to the model: files and includes ([`load()`]), the raw sections with their places
//! (`schema`), and what is plain and checked ([`model`]). A configuration either becomes a model or
//! diagnostics; all errors of all files come at once.

pub mod diagnostic;
pub mod expires;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hints;
mod load;
pub mod model;
pub mod names;
mod nginx;
mod print;
mod read;
mod reference;
mod schema;
mod section;
mod source;
mod substitute;
mod syntax;
pub mod template;
#[cfg(test)]
mod tests;
mod tree;
mod units;
pub mod url;
mod validate;
mod values;
mod world;

use std::collections::HashSet;
use std::path::Path;

use diagnostic::Diagnostics;
use load::Files;
use read::Reader;
use schema::TopSection;
use section::Section as _;
use source::Place;
use world::{ThisMachine, World};

pub use load::Input;
pub use reference::{json_schema, reference};
pub use source::Format;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: model::Config,
    /// What is not quite right with it.
    pub warnings: Diagnostics,
    /// The language it was in.
    pub format: Format,
    /// The files it was read from, absolute.
    pub texts: Vec<std::path::PathBuf>,
    /// It says where the error log goes.
    names_error_log: bool,
}

/// Reads a file and what it includes; `env` tells environment variables.
pub fn load(input: &Input, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    let machine = ThisMachine { env };
    let mut out = Diagnostics::default();
    let files = load::from_path(input, &machine, &mut out);
    let mut loaded = check(files, &machine, out)?;
    if !loaded.names_error_log {
        loaded.config.error_log.clone_from(&input.error_log);
    }
    Ok(loaded)
}

/// Reads `text`, which diagnostics call `name`. Relative paths are taken from `dir`; there are no
/// environment variables.
pub fn load_str(text: &str, name: &str, dir: &Path) -> Result<Loaded, Diagnostics> {
    let machine = ThisMachine { env: &|_| None };
    load_str_on(text, Format::Toml, name, dir, &machine)
}

fn load_str_on(
    text: &str,
    format: Format,
    name: &str,
    dir: &Path,
    world: &dyn World,
) -> Result<Loaded, Diagnostics> {
    let mut out = Diagnostics::default();
    let files = load::from_text(text, format, name, dir, world, &mut out);
    check(files, world, out)
}

/// What an nginx.conf says, in TOML.
#[derive(Debug)]
pub struct Converted {
    /// The configuration.
    pub toml: String,
    /// What is said of it, line by line.
    pub remarks: Vec<String>,
    /// Something was not carried over.
    pub dropped: bool,
}

/// Reads an nginx.conf and what it includes, and says the same in TOML. The error is what nginx would
/// not take.
pub fn convert(input: &Input) -> Result<Converted, Diagnostics> {
    let machine = ThisMachine { env: &|_| None };
    let mut out = Diagnostics::default();
    let input = Input { format: Some(Format::Nginx), ..input.clone() };
    let files = load::from_path(&input, &machine, &mut out);
    convert_files(files, &machine, out)
}

fn convert_files(
    mut files: Files,
    world: &dyn World,
    out: Diagnostics,
) -> Result<Converted, Diagnostics> {
    let remarks = files.remarks.take().unwrap_or_default();
    if files.incomplete || remarks.0.iter().any(|remark| remark.weight == nginx::Weight::Emerg) {
        return Err(out);
    }
    let toml = print::toml(&files.table);
    let mut dropped = false;
    let mut lines = Vec::new();
    for nginx::Remark { weight, place, message } in &remarks.0 {
        dropped |= *weight == nginx::Weight::Refused;
        let label = match weight {
            nginx::Weight::Emerg | nginx::Weight::Refused => "not carried over",
            nginx::Weight::Differs => "differs",
            nginx::Weight::Note => "note",
        };
        lines.push(format!("{}:{}: {label}: {message}", place.source().name, place.line()));
    }
    // what is said of values is said by the same checks as ever
    let said = match check(files, world, Diagnostics::default()) {
        Ok(loaded) => loaded.warnings,
        Err(faults) => faults,
    };
    for one in &said {
        let is_error = one.severity() == diagnostic::Severity::Error;
        dropped |= is_error;
        let kind = if is_error { "not usable" } else { "warning" };
        lines.push(format!("{}:{}: {kind}: {}", one.file(), one.line(), one.message()));
    }
    Ok(Converted { toml, remarks: lines, dropped })
}

/// From the joined tree to the model. What no file holds is only missed when all could be read.
fn check(files: Files, world: &dyn World, mut out: Diagnostics) -> Result<Loaded, Diagnostics> {
    let mut reader = Reader { out: &mut out, key: String::new() };
    let top = TopSection::read_table(&files.table, &mut reader);
    let config = if files.incomplete {
        None
    } else {
        validate::validate(&top, &Place::start_of(&files.main), world, &mut out)
    };
    out.sort();
    match config {
        Some(mut config) if !out.has_errors() => {
            config.files.splice(0..0, files.read);
            let mut seen = HashSet::new();
            config.files.retain(|file| seen.insert(file.clone()));
            config.include_dirs.extend(files.include_dirs);
            Ok(Loaded {
                config,
                warnings: out,
                format: files.main.format,
                texts: files.texts,
                names_error_log: !top.error_log.is_absent(),
            })
        }
        _ => Err(out),
    }
}
