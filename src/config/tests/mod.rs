//! Tests of the whole: from text to diagnostics and to the model, on a machine that is made up.

mod diagnostics;
mod files;
mod fuzz;
mod geo;
mod model;
mod nginx;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostics;
use super::model::{Action, Config, Location, Proxy};
use super::world::World;
use super::{Format, Loaded, load_str_on};

/// A machine with a few names, and with every file whose name does not say otherwise.
#[derive(Default)]
struct Machine {
    env: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<&'static str, &'static str>,
}

impl World for Machine {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(|value| (*value).to_owned())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let name = path.to_string_lossy();
        let content = self.files.get(name.as_ref()).ok_or("no such file or directory")?;
        Ok(content.as_bytes().to_owned())
    }

    fn check_file(&self, path: &Path) -> Result<(), String> {
        if path.to_string_lossy().contains("missing") {
            return Err("no such file or directory".to_owned());
        }
        Ok(())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        let pattern = glob::Pattern::new(pattern).map_err(|error| error.to_string())?;
        let fitting = self.files.keys().filter(|name| pattern.matches(name));
        Ok(fitting.map(PathBuf::from).collect())
    }

    fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let addrs: &[[u8; 4]] = match host {
            "localhost" => &[[127, 0, 0, 1]],
            "two.test" => &[[10, 0, 0, 1], [10, 0, 0, 2]],
            _ => return Err("name or service not known".to_owned()),
        };
        Ok(addrs.iter().map(|addr| SocketAddr::from((*addr, port))).collect())
    }

    fn descriptors(&self) -> u64 {
        2064
    }

    fn parallelism(&self) -> usize {
        4
    }
}

fn read_on(machine: &Machine, text: &str) -> Result<Loaded, Diagnostics> {
    load_str_on(text, Format::Toml, "wayhold.toml", Path::new("/etc/wayhold"), machine)
}

fn read(text: &str) -> Result<Loaded, Diagnostics> {
    read_on(&Machine::default(), text)
}

/// The model of a text without faults.
fn config(text: &str) -> Config {
    match read(text) {
        Ok(loaded) => {
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
            loaded.config
        }
        Err(faults) => panic!("{faults}"),
    }
}

/// The only location of a server with `keys` in its location, and `above` at the top.
fn location_with(above: &str, keys: &str) -> Location {
    let text = format!(
        "{above}\n[[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\n\
         proxy_pass = \"http://127.0.0.1:1\"\n{keys}\n"
    );
    let config = config(&text);
    Location::clone(&config.servers[0].locations[0])
}

fn proxy_of(location: &Location) -> &Proxy {
    match &location.action {
        Action::Proxy(proxy) => proxy,
        other => panic!("{other:?}"),
    }
}

/// Everything that is said about a text, warnings too.
fn said(text: &str) -> String {
    match read(text) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(faults) => faults.to_string(),
    }
}
