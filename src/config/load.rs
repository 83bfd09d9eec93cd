//! Reading files: the main one, then what it includes, joined into one tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Diagnostics, quote};
use super::nginx;
use super::source::{Format, Place, Source};
use super::substitute;
use super::syntax;
use super::tree::{Kind, Node, Table};
use super::world::World;

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The main file.
    pub path: PathBuf,
    /// Its language; without one, the text itself tells.
    pub format: Option<Format>,
    /// What relative paths of logs and of the pid file in an nginx.conf are relative to; without one,
    /// the folder of the file.
    pub prefix: Option<PathBuf>,
    /// Directives of an nginx.conf that stand before those of the file (`-g`).
    pub globals: String,
    /// The error log of a configuration that names none.
    pub error_log: Option<PathBuf>,
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }
}

/// What was read.
pub(super) struct Files {
    /// Everything, joined.
    pub(super) table: Table,
    /// The main file, for what has no place of its own.
    pub(super) main: Arc<Source>,
    /// Files that were read, absolute.
    pub(super) read: Vec<PathBuf>,
    /// Those of them that are configurations.
    pub(super) texts: Vec<PathBuf>,
    /// Directories that patterns look into, absolute.
    pub(super) include_dirs: BTreeSet<PathBuf>,
    /// Some file has no syntax or could not be read: what is missing may stand there.
    pub(super) incomplete: bool,
    /// What is said of an nginx.conf beside its faults.
    pub(super) remarks: Option<nginx::Remarks>,
}

/// Reads a file and what it includes.
pub(super) fn from_path(input: &Input, world: &dyn World, out: &mut Diagnostics) -> Files {
    let path = &input.path;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let mut loader = Loader::new(world, out);
    let main = loader.read(path, &absolute, None, input.format);
    if main.format == Format::Nginx {
        let prefix = input.prefix.as_deref().unwrap_or(&main.dir).to_owned();
        return loader.finish_nginx(main, &prefix, &input.globals);
    }
    if !input.globals.is_empty() {
        let message = "directives of the command line are for an nginx.conf";
        let error = Diagnostic::error(&Place::start_of(&main), message);
        loader.out.push(error.help("leave `-g` out"));
    }
    loader.finish(main)
}

/// Reads `text`, which messages call `name`; relative paths in it are taken from `dir`.
pub(super) fn from_text(
    text: &str,
    format: Format,
    name: &str,
    dir: &Path,
    world: &dyn World,
    out: &mut Diagnostics,
) -> Files {
    let main = Arc::new(Source {
        index: 0,
        name: name.to_owned(),
        text: text.to_owned(),
        dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
        format,
    });
    let mut loader = Loader::new(world, out);
    loader.sources = 1;
    match format {
        Format::Toml => loader.finish(main),
        Format::Nginx => loader.finish_nginx(main, dir, ""),
    }
}

struct Loader<'a> {
    world: &'a dyn World,
    out: &'a mut Diagnostics,
    sources: usize,
    files: Vec<PathBuf>,
    texts: Vec<PathBuf>,
    include_dirs: BTreeSet<PathBuf>,
    incomplete: bool,
}

impl<'a> Loader<'a> {
    fn new(world: &'a dyn World, out: &'a mut Diagnostics) -> Self {
        Self {
            world,
            out,
            sources: 0,
            files: Vec::new(),
            texts: Vec::new(),
            include_dirs: BTreeSet::new(),
            incomplete: false,
        }
    }

    fn finish(mut self, main: Arc<Source>) -> Files {
        let mut table = Table::default();
        self.parse(&main, &mut table);
        Files {
            table,
            main,
            read: self.files,
            texts: self.texts,
            include_dirs: self.include_dirs,
            incomplete: self.incomplete,
            remarks: None,
        }
    }

    /// An nginx.conf has includes of its own kind.
    fn finish_nginx(mut self, main: Arc<Source>, prefix: &Path, globals: &str) -> Files {
        let nginx::Read { table, remarks, files, include_dirs, incomplete } =
            nginx::read(&main, prefix, globals, self.world);
        remarks.report(self.out);
        self.texts.extend(files.iter().cloned());
        self.files.extend(files);
        Files {
            table,
            main,
            read: self.files,
            texts: self.texts,
            include_dirs,
            incomplete: incomplete || self.incomplete,
            remarks: Some(remarks),
        }
    }

    /// Reads a file; one that cannot be read becomes an empty source and a diagnostic, which stands
    /// at `include` when that named it.
    /// Without a `format` the text itself tells its language.
    fn read(
        &mut self,
        path: &Path,
        absolute: &Path,
        include: Option<&Place>,
        format: Option<Format>,
    ) -> Arc<Source> {
        self.files.push(absolute.to_owned());
        self.texts.push(absolute.to_owned());
        let read = self.world.read(absolute);
        let (text, problem) = match read.map(String::from_utf8) {
            Ok(Ok(text)) => (text, None),
            Ok(Err(error)) => {
                let offset = error.utf8_error().valid_up_to();
                let problem = format!("is not UTF-8 text: invalid byte at offset {offset}");
                (String::new(), Some(problem))
            }
            Err(error) => (String::new(), Some(format!("cannot be read: {error}"))),
        };
        let source = Arc::new(Source {
            index: self.sources,
            name: path.display().to_string(),
            format: format.unwrap_or_else(|| nginx::format_of(&text)),
            text,
            dir: absolute.parent().unwrap_or(Path::new("/")).to_owned(),
        });
        self.sources += 1;
        if let Some(problem) = problem {
            self.incomplete = true;
            let own = Place::start_of(&source);
            let place = include.unwrap_or(&own);
            let message = format!("{} {problem}", quote(&source.name));
            self.out.push(
                Diagnostic::error(place, message)
                    .help("a configuration is a text file that this user may read"),
            );
        }
        source
    }

    /// Parses a file into `into`, then the files it includes.
    fn parse(&mut self, source: &Arc<Source>, into: &mut Table) {
        let (mut table, errors) = Table::parse(source);
        if !errors.is_empty() {
            self.incomplete = true;
            syntax::report(&errors, self.out);
            return;
        }
        substitute::table(&mut table, self.world, &mut self.files, self.out);
        let includes = take_patterns(&mut table);
        into.merge(table, self.out);
        for (pattern, place) in includes {
            self.include(&pattern, &place, into);
        }
    }

    fn include(&mut self, pattern: &str, place: &Place, into: &mut Table) {
        let absolute = place.resolve(Path::new(pattern));
        self.include_dirs.extend(fixed_dir(&absolute));
        let folder = glob::Pattern::escape(&place.source().dir.to_string_lossy());
        let full = Path::new(&folder).join(pattern);
        let found = match self.world.glob(&full.to_string_lossy()) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("include {} cannot be followed: {error}", quote(pattern));
                self.out.push(Diagnostic::error(place, message));
                return;
            }
        };
        if found.is_empty() && !is_pattern(pattern) {
            self.incomplete = true;
            let message = format!("included file {} does not exist", quote(pattern));
            self.out.push(Diagnostic::error(place, message).help(format!(
                "it was looked for at {}; a pattern such as `\"conf.d/*.toml\"` may find nothing",
                absolute.display()
            )));
        }
        for path in found {
            self.include_dirs.extend(path.parent().map(Path::to_owned));
            if !self.files.contains(&path) {
                let shown = shown_path(&path, place);
                let source = self.read(&shown, &path, Some(place), Some(Format::Toml));
                self.parse(&source, into);
            } else if !is_pattern(pattern) {
                let message = format!("{} is included twice", quote(pattern));
                self.out.push(Diagnostic::error(place, message).help("include it once"));
            }
        }
    }
}

/// Takes the patterns of `include` out of the table; other types stay and are reported when the
/// section is read.
fn take_patterns(table: &mut Table) -> Vec<(String, Place)> {
    let text = |node: &Node| match &node.kind {
        Kind::Text { value, .. } => Some((value.clone(), node.place.clone())),
        _ => None,
    };
    let patterns: Option<Vec<_>> = match table.get("include") {
        Some(Node { kind: Kind::Array(items), .. }) => items.iter().map(text).collect(),
        Some(node) => text(node).map(|pattern| vec![pattern]),
        None => None,
    };
    if patterns.is_some() {
        table.entries.retain(|(key, _)| key.name != "include");
    }
    patterns.unwrap_or_default()
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The folder below which a pattern looks: all before its first wildcard.
fn fixed_dir(pattern: &Path) -> Option<PathBuf> {
    let fixed: PathBuf = pattern
        .components()
        .take_while(|part| !is_pattern(&part.as_os_str().to_string_lossy()))
        .collect();
    if fixed == pattern {
        return pattern.parent().map(Path::to_owned);
    }
    Some(fixed)
}

/// An included file's path as the user would write it: below the folder of the including file.
fn shown_path(path: &Path, include: &Place) -> PathBuf {
    let source = include.source();
    match path.strip_prefix(&source.dir) {
        Ok(below) => Path::new(&source.name).parent().unwrap_or(Path::new("")).join(below),
        Err(_) => path.to_owned(),
    }
}
