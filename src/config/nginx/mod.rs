//! nginx.conf as a configuration: text → directives (`parse`, `include`) → those that nginx would take
//! (`check`, `names`) → the tree that TOML gives too (`mapper` and the files beside it). What a value
//! may be and refer to is said once, by the schema and by `validate`; here stands what is nginx's own:
//! its grammar, where a directive may stand, its inheritance and its defaults.

mod check;
mod emit;
mod geo;
mod groups;
mod include;
mod lexer;
mod limits;
mod listens;
mod logs;
mod mapper;
mod names;
mod parse;
mod recipe;
mod remark;
mod script;
mod server;
mod shared;
mod upstream;
mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{Format, Place, Source};
use super::tree::Table;
use super::world::World;
use check::Context;
use include::Reader;
use mapper::Mapper;

pub(super) use remark::{Remark, Remarks, Weight};

/// What became of an nginx.conf.
pub(super) struct Read {
    /// The tree that the schema reads.
    pub(super) table: Table,
    /// What is said about it.
    pub(super) remarks: Remarks,
    /// Files that were read, absolute.
    pub(super) files: Vec<PathBuf>,
    /// Directories that patterns look into, absolute.
    pub(super) include_dirs: BTreeSet<PathBuf>,
    /// Some file has no syntax or could not be read.
    pub(super) incomplete: bool,
}

/// The language of a text: an nginx.conf is known by its first statement.
pub(super) fn format_of(text: &str) -> Format {
    let text = text.to_owned();
    let source =
        Source { index: 0, name: String::new(), text, dir: PathBuf::new(), format: Format::Nginx };
    if parse::is_nginx(&Arc::new(source)) { Format::Nginx } else { Format::Toml }
}

/// The directives of `-g`.
fn command_line(main: &Source, globals: &str) -> Arc<Source> {
    Arc::new(Source {
        index: usize::MAX,
        name: "command line".to_owned(),
        text: globals.to_owned(),
        dir: main.dir.clone(),
        format: Format::Nginx,
    })
}

/// Reads `main` and what it includes; paths of logs and of the pid file are relative to `prefix`.
/// `globals` stand before it.
pub(super) fn read(main: &Arc<Source>, prefix: &Path, globals: &str, world: &dyn World) -> Read {
    let mut remarks = Remarks::default();
    let (mut before, faults) = parse::parse(&command_line(main, globals));
    for fault in &faults {
        remarks.emerg(&fault.place, fault.message.clone());
    }
    let mut reader = Reader::new(world, &mut remarks);
    let mut tree = reader.tree(main);
    let Reader { files, include_dirs, incomplete, .. } = reader;
    let fragment = check::is_fragment(&tree);
    if fragment {
        check::check(&mut tree, Context::Http, &mut remarks);
        check::check(&mut before, Context::Main, &mut remarks);
    } else {
        before.append(&mut tree);
        check::check(&mut before, Context::Main, &mut remarks);
    }
    let start = Place::start_of(main);
    let mapper = Mapper {
        out: &mut remarks,
        prefix,
        parallelism: world.parallelism(),
        maps: recipe::Maps::default(),
        listens: listens::Listens::default(),
    };
    let table = mapper.table(&before, fragment.then_some(&tree[..]), &start);
    let incomplete = incomplete || !faults.is_empty();
    Read { table, remarks, files, include_dirs, incomplete }
}
