//! From TOML to the model: files and includes ([`load()`]), the raw sections with their places
//! (`schema`), and what is plain and checked ([`model`]). A configuration either becomes a model or
//! diagnostics; all errors of all files come at once.

pub mod diagnostic;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hints;
mod load;
pub mod model;
pub mod names;
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

pub use reference::{json_schema, reference};

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: model::Config,
    /// What is not quite right with it.
    pub warnings: Diagnostics,
}

/// Reads the file `path` and what it includes; `env` tells environment variables.
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    let machine = ThisMachine { env };
    let mut out = Diagnostics::default();
    let files = load::from_path(path, &machine, &mut out);
    check(files, &machine, out)
}

/// Reads `text`, which diagnostics call `name`. Relative paths are taken from `dir`; there are no
/// environment variables.
pub fn load_str(text: &str, name: &str, dir: &Path) -> Result<Loaded, Diagnostics> {
    let machine = ThisMachine { env: &|_| None };
    load_str_on(text, name, dir, &machine)
}

fn load_str_on(
    text: &str,
    name: &str,
    dir: &Path,
    world: &dyn World,
) -> Result<Loaded, Diagnostics> {
    let mut out = Diagnostics::default();
    let files = load::from_text(text, name, dir, world, &mut out);
    check(files, world, out)
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
            Ok(Loaded { config, warnings: out })
        }
        _ => Err(out),
    }
}
