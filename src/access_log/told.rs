//! Files of a log whose names variables tell: opened for a line, and kept open as
//! `open_log_file_cache` says.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::target::{Shared, Target, lock};
use crate::config::model::LogCache;

/// Those of one log.
#[derive(Debug)]
pub(super) struct Told {
    cache: LogCache,
    known: HashMap<PathBuf, Known>,
}

/// A file that has been asked for.
#[derive(Debug)]
struct Known {
    /// Once it has been used often enough.
    open: Option<Shared>,
    uses: u64,
    used: Instant,
    checked: Instant,
}

impl Told {
    pub(super) fn new(cache: LogCache) -> Self {
        Self { cache, known: HashMap::new() }
    }

    /// They are opened again under their names, when somebody asks for them.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// The file of this name, open.
    pub(super) fn get(&mut self, path: &Path) -> io::Result<Shared> {
        let open = || Ok(Arc::new(Mutex::new(Target::open(path, None)?)));
        if self.cache.max == 0 {
            return open();
        }
        let (now, cache) = (Instant::now(), self.cache);
        self.known.retain(|_, known| now.duration_since(known.used) < cache.inactive);
        let mut known = match self.known.remove(path) {
            Some(known) => known,
            None => Known { open: None, uses: 0, used: now, checked: now },
        };
        known.uses += 1;
        known.used = now;
        if now.duration_since(known.checked) >= cache.valid {
            known.checked = now;
            known.open = known.open.filter(|target| lock(target).is_current());
        }
        // A file that cannot be opened is not known any more.
        let target = match &known.open {
            Some(target) => Arc::clone(target),
            None => open()?,
        };
        known.open = (known.uses >= cache.min_uses).then(|| Arc::clone(&target));
        if self.known.len() >= cache.max {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.used);
            if let Some(oldest) = oldest.map(|(path, _)| path.clone()) {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(path.to_owned(), known);
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(max: usize, min_uses: u64, valid: u64) -> Told {
        let inactive = Duration::from_secs(3600);
        Told::new(LogCache { max, inactive, min_uses, valid: Duration::from_secs(valid) })
    }

    #[test]
    fn files_stay_open_from_so_many_uses_on_until_others_need_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let mut told = told(2, 2, 3600);
        let first = told.get(&a).unwrap();
        let second = told.get(&a).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&second, &told.get(&a).unwrap()));
        told.get(&b).unwrap();
        told.get(&c).unwrap();
        assert!(!Arc::ptr_eq(&second, &told.get(&a).unwrap()));
    }

    #[test]
    fn a_file_that_was_moved_is_noticed_when_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (valid, same) in [(3600, true), (0, false)] {
            let mut told = told(1, 1, valid);
            let first = told.get(&path).unwrap();
            std::fs::rename(&path, folder.path().join("b")).unwrap();
            assert_eq!(Arc::ptr_eq(&first, &told.get(&path).unwrap()), same);
        }
    }

    #[test]
    fn one_that_cannot_be_opened_is_an_error() {
        assert!(told(1, 1, 1).get(Path::new("/missing/a")).is_err());
        assert!(told(0, 1, 1).get(Path::new("/missing/a")).is_err());
    }
}
