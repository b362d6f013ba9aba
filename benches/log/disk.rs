//! Directories on the disk, and the bare files that the log is compared with.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory under `target`, gone when it is dropped: on the disk of the checkout, not in memory as the system's temporary
/// directory may be.
pub fn dir() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// Waits until nothing is left to be written, so that what was measured before is not paid for by what comes next.
pub fn settle() {
    // SAFETY: a call without arguments.
    unsafe { libc::sync() };
}

/// A new file.
pub fn new_file(dir: &Path) -> File {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(dir.join("floor"));
    file.expect("a new file")
}

/// The `.log` files of a partition's directory, in order.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("the directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut segments: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .collect();
    segments.sort();
    segments
}
