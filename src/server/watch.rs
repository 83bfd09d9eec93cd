//! Tells when a configuration or certificate has changed. Directories are watched, not files: a
//! watch on a file dies when an editor renames another over it, and misses the swap of Kubernetes'
//! `..data`. What counts is the content: an event that changed nothing starts nothing.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// The watch over a set of files.
#[derive(Debug)]
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    dirs: BTreeSet<PathBuf>,
    events: mpsc::Receiver<()>,
}

impl Watch {
    pub(super) fn new() -> notify::Result<Self> {
        // One waiting event says it all.
        let (sender, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _one_waits = sender.try_send(());
            }
        })?;
        Ok(Self { watcher, dirs: BTreeSet::new(), events })
    }

    /// Watches the directories of these files, of what they are links to, and these directories.
    pub(super) fn set(&mut self, files: &[PathBuf], dirs: &[PathBuf]) {
        let mut wanted: BTreeSet<PathBuf> = dirs.iter().cloned().collect();
        for file in files {
            add_with_links(file, &mut wanted);
        }
        // Of a directory that is gone, the nearest one above it: it may come back.
        let gone: Vec<_> = wanted.iter().filter(|dir| !dir.exists()).cloned().collect();
        wanted.extend(gone.iter().filter_map(|dir| nearest_above(dir)));
        for gone in self.dirs.difference(&wanted) {
            // A directory that was removed took its watch along.
            let _gone = self.watcher.unwatch(gone);
        }
        // Watched anew each time: the directory may be another one of the same name.
        for dir in &wanted {
            if let Err(error) = self.watcher.watch(dir, RecursiveMode::NonRecursive) {
                tracing::debug!("a directory cannot be watched: {}: {error}", dir.display());
            }
        }
        self.dirs = wanted;
    }

    /// Resolves when something has happened in one of the directories.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn changed(&mut self) {
        if self.events.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Forgets what has happened so far.
    pub(super) fn settle(&mut self) {
        while self.events.try_recv().is_ok() {}
    }
}

fn nearest_above(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|dir| dir.exists()).map(Path::to_owned)
}

/// The parents of a path and of every link on the way to its target.
fn add_with_links(path: &Path, dirs: &mut BTreeSet<PathBuf>) {
    let mut path = path.to_owned();
    // A chain of links is short; a loop of them ends here.
    for _ in 0..16 {
        let Some(parent) = path.parent() else { return };
        dirs.insert(parent.to_owned());
        let through_parent = parent.read_link().ok().map(|target| {
            let above = parent.parent().unwrap_or(Path::new("/"));
            dirs.insert(above.to_owned());
            above.join(target).join(path.file_name().unwrap_or_default())
        });
        let own = || path.read_link().ok().map(|target| parent.join(target));
        match through_parent.or_else(own) {
            Some(next) => path = next,
            None => return,
        }
    }
}

/// What the files hold, as one number. A file that cannot be read counts as such.
pub(super) fn fingerprint(files: &[PathBuf], dirs: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        std::fs::read(file).ok().hash(&mut hasher);
    }
    for dir in dirs {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
            .unwrap_or_default();
        names.sort();
        names.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    async fn seen(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn writing_in_place_and_renaming_over_are_seen_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "1").unwrap();
        let files = vec![file.clone()];
        let mut watch = Watch::new().unwrap();
        watch.set(&files, &[]);
        for round in 0..3 {
            let before = fingerprint(&files, &[]);
            std::fs::write(&file, format!("in place {round}")).unwrap();
            assert!(seen(&mut watch).await);
            assert_ne!(fingerprint(&files, &[]), before);
            watch.settle();
            let before = fingerprint(&files, &[]);
            std::fs::write(folder.path().join("new"), format!("renamed {round}")).unwrap();
            std::fs::rename(folder.path().join("new"), &file).unwrap();
            assert!(seen(&mut watch).await);
            assert_ne!(fingerprint(&files, &[]), before);
            watch.set(&files, &[]);
            watch.settle();
        }
    }

    #[tokio::test]
    async fn the_swap_of_a_config_map_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "old"), ("..2", "new")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("a.toml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.toml", at("a.toml")).unwrap();
        let files = vec![at("a.toml")];
        let mut watch = Watch::new().unwrap();
        watch.set(&files, &[]);
        let before = fingerprint(&files, &[]);
        symlink("..2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(seen(&mut watch).await);
        assert_ne!(fingerprint(&files, &[]), before);
    }

    #[tokio::test]
    async fn a_directory_that_comes_back_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("deep/deeper");
        let files = vec![dir.join("a.toml")];
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(&files[0], "1").unwrap();
        let mut watch = Watch::new().unwrap();
        watch.set(&files, &[]);
        std::fs::remove_dir_all(folder.path().join("deep")).unwrap();
        assert!(seen(&mut watch).await);
        watch.set(&files, &[]);
        watch.settle();
        for step in ["deep", "deep/deeper"] {
            std::fs::create_dir(folder.path().join(step)).unwrap();
            assert!(seen(&mut watch).await, "{step}");
            watch.set(&files, &[]);
            watch.settle();
        }
        std::fs::write(&files[0], "1").unwrap();
        assert!(seen(&mut watch).await);
    }

    #[test]
    fn a_touched_file_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "1").unwrap();
        let before = fingerprint(std::slice::from_ref(&file), &[]);
        std::fs::write(&file, "1").unwrap();
        assert_eq!(fingerprint(std::slice::from_ref(&file), &[]), before);
    }
}
