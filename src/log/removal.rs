//! Files that are of no use any more: renamed at once, so that nobody takes them for the log's, and removed without holding up the
//! core. What a crash leaves of them goes at the next start.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::io::{fs, sleep};
use crate::log::names;

/// What is to be removed.
#[derive(Debug, Default)]
#[must_use = "what is renamed and not removed takes room until the next start"]
pub struct Removal {
    pub(super) files: Vec<PathBuf>,
    pub(super) dirs: Vec<PathBuf>,
    delay: Duration,
}

impl Removal {
    /// Takes over a file under a name that says that it is deleted; one that isn't there is none.
    pub(super) fn take_file_now(&mut self, path: &Path) -> io::Result<()> {
        let mut deleted = path.as_os_str().to_owned();
        deleted.push(".");
        deleted.push(names::DELETED);
        match fs::rename_now(path, &deleted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed.map(|()| self.files.push(deleted.into())),
        }
    }

    /// Takes over a partition's directory, whose name says already that it is deleted.
    pub(super) fn take_dir(&mut self, dir: PathBuf) {
        self.dirs.push(dir);
    }

    /// Takes over a file that nothing takes for one in use, whatever its name.
    pub fn take_file(&mut self, path: PathBuf) {
        self.files.push(path);
    }

    /// The same, `delay` later (`file.delete.delay.ms`).
    pub fn after(self, delay: Duration) -> Removal {
        Removal { delay, ..self }
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dirs.is_empty()
    }

    /// Adds what `other` would remove; all of it waits as long as either would.
    pub fn add(&mut self, other: Removal) {
        self.delay = self.delay.max(other.delay);
        self.files.extend(other.files);
        self.dirs.extend(other.dirs);
    }

    /// Removes everything, one after the other. What can't be removed is told in the log, and stays until the next start.
    pub async fn run(self) {
        if self.is_empty() {
            return;
        }
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        for file in self.files {
            tell(&file, fs::remove_file(&file).await);
        }
        for dir in self.dirs {
            tell(&dir, remove_partition(&dir).await);
        }
    }
}

#[cfg(test)]
impl Removal {
    /// As [`run`](Self::run), without a core.
    pub fn remove_all_now(self) {
        for file in self.files {
            std::fs::remove_file(file).unwrap();
        }
        for dir in self.dirs {
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
}

/// A partition's directory holds files only.
async fn remove_partition(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir_now(dir)? {
        tell(dir, fs::remove_file(dir.join(&entry.name)).await);
    }
    fs::remove_dir(dir).await
}

/// Whoever else removed it was as good: a segment of a partition that was deleted since then.
fn tell(path: &Path, removed: io::Result<()>) {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("{} can't be removed: {error}", path.display());
        }
        _ => {}
    }
}
