//! The pid file: written when all is bound, removed at the end if it is still ours.

use std::io;
use std::path::{Path, PathBuf};

/// A pid file of this process.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn write(path: &Path) -> io::Result<Self> {
        std::fs::write(path, format!("{}\n", std::process::id()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let own = std::process::id().to_string();
        if std::fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == own) {
            // Nobody needs it any more; if it cannot be removed, it is stale.
            let _stale = std::fs::remove_file(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        drop(PidFile::write(&path).unwrap());
        assert!(!path.exists());
        let ours = PidFile::write(&path).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        drop(ours);
        assert!(path.exists());
    }
}
