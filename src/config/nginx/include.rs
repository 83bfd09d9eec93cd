//! Reading an nginx.conf and what it includes, into one tree. Included files stand for their line, in
//! any block; relative patterns are taken from the folder of the main file, as nginx does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::source::{Format, Place, Source};
use super::super::world::World;
use super::parse::{Directive, parse};
use super::remark::Remarks;

/// Files that include each other at most: more is a circle.
const DEEPEST: usize = 16;

/// Files that are included at most.
const MOST: usize = 10_000;

/// Reads files.
pub(super) struct Reader<'a> {
    pub(super) world: &'a dyn World,
    pub(super) out: &'a mut Remarks,
    /// Files that were read, absolute.
    pub(super) files: Vec<PathBuf>,
    /// Directories that patterns look into, absolute.
    pub(super) include_dirs: BTreeSet<PathBuf>,
    /// Some file could not be read or parsed.
    pub(super) incomplete: bool,
    sources: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(world: &'a dyn World, out: &'a mut Remarks) -> Self {
        Self {
            world,
            out,
            files: Vec::new(),
            include_dirs: BTreeSet::new(),
            incomplete: false,
            sources: 0,
            depth: 0,
        }
    }

    /// The tree of a source, its includes in their places.
    pub(super) fn tree(&mut self, source: &Arc<Source>) -> Vec<Directive> {
        self.sources = self.sources.max(source.index + 1);
        let (tree, faults) = parse(source);
        for fault in faults {
            self.incomplete = true;
            self.out.emerg(&fault.place, fault.message);
        }
        self.expand(tree)
    }

    fn expand(&mut self, tree: Vec<Directive>) -> Vec<Directive> {
        let mut expanded = Vec::new();
        for mut directive in tree {
            if directive.name.value == "include"
                && directive.block.is_none()
                && directive.args.len() == 1
            {
                expanded.extend(self.include(&directive));
                continue;
            }
            directive.block = directive.block.map(|block| self.expand(block));
            expanded.push(directive);
        }
        expanded
    }

    fn include(&mut self, directive: &Directive) -> Vec<Directive> {
        let (pattern, place) = (directive.arg(0), directive.place());
        let absolute = place.resolve(Path::new(pattern));
        self.include_dirs.extend(absolute.parent().map(Path::to_owned));
        if !pattern.contains(['*', '?', '[']) {
            return self.file(&absolute, place);
        }
        match self.world.glob(&absolute.to_string_lossy()) {
            Ok(found) => found.iter().flat_map(|path| self.file(path, place)).collect(),
            Err(error) => {
                self.incomplete = true;
                self.out
                    .emerg(place, format!("glob() \"{}\" failed ({error})", absolute.display()));
                Vec::new()
            }
        }
    }

    fn file(&mut self, path: &Path, place: &Place) -> Vec<Directive> {
        if self.depth >= DEEPEST || self.files.len() >= MOST {
            self.incomplete = true;
            self.out.emerg(
                place,
                format!(
                    "\"{}\" is one include too many: do files include each other?",
                    path.display()
                ),
            );
            return Vec::new();
        }
        self.files.push(path.to_owned());
        let text = self.world.read(path).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
        });
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                self.incomplete = true;
                self.out.emerg(place, format!("open() \"{}\" failed ({error})", path.display()));
                return Vec::new();
            }
        };
        let source = Arc::new(Source {
            index: self.sources,
            name: path.display().to_string(),
            text,
            dir: place.source().dir.clone(),
            format: Format::Nginx,
        });
        self.sources += 1;
        self.depth += 1;
        let tree = self.tree(&source);
        self.depth -= 1;
        tree
    }
}
