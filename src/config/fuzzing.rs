//! Configurations and templates on a machine that is made up, as `tests/fuzz` reads them: no file,
//! name or variable of the real one is touched. It is compiled by cargo-fuzz alone
//! (`--cfg fuzzing`), so that the library's own face stays as it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::model::Map;
use super::template::{Template, Var};
use super::world::World;
use super::{Format, Loaded, load_str_on};

/// What the main file is called.
pub const MAIN: &str = "main.conf";
/// Every include finds this file and no other.
pub const INCLUDED: &str = "more.conf";
/// Where both lie.
const FOLDER: &str = "/etc/wayhold";

struct Machine<'a> {
    included: &'a [u8],
}

impl World for Machine<'_> {
    fn env(&self, name: &str) -> Option<String> {
        match name {
            "EMPTY" => Some(String::new()),
            "LINES" => Some("a\r\nb\0\"'\\$host ${x}\u{1b}".to_owned()),
            _ => name.starts_with('W').then(|| name.to_lowercase()),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        match name.as_ref() {
            INCLUDED => Ok(self.included.to_owned()),
            "missing" => Err("no such file or directory".to_owned()),
            "binary" => Ok(vec![0xff, 0, b'\n']),
            _ => Ok(format!("{name}\n").into_bytes()),
        }
    }

    fn check_file(&self, path: &Path) -> Result<(), String> {
        if path.ends_with("missing") {
            return Err("no such file or directory".to_owned());
        }
        Ok(())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let pattern = glob::Pattern::new(pattern).map_err(|error| error.msg.to_owned())?;
        let included = Path::new(FOLDER).join(INCLUDED);
        Ok(Some(included).filter(|path| pattern.matches_path(path)).into_iter().collect())
    }

    fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        match host {
            "localhost" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            "nowhere" => Ok(Vec::new()),
            _ => Err("name or service not known".to_owned()),
        }
    }

    fn descriptors(&self) -> u64 {
        2064
    }

    fn parallelism(&self) -> usize {
        4
    }
}

/// Reads `text` as the main file; its includes find `included`.
pub fn load(text: &str, included: &[u8], format: Format) -> Result<Loaded, Diagnostics> {
    load_str_on(text, format, MAIN, Path::new(FOLDER), &Machine { included })
}

/// Parses a value with variables; `None` when something is wrong with it.
pub fn template(text: &str, maps: &[Arc<Map>]) -> Option<Template> {
    let map = |name: &str| maps.iter().find(|map| map.variable == name).cloned().map(Var::Map);
    let (template, errors) =
        Template::parse(text, |name| map(name).or_else(|| Var::built_in(name)));
    errors.is_empty().then_some(template)
}
