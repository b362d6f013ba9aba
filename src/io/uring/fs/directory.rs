//! Directories and whole files: for start-up and administration, so nearly all of it blocks the core.

use std::fs;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::file::to_system;
use crate::io::{DirEntry, FileStatus, Space};

/// Makes `path` and the directories above it that are missing.
///
/// # Errors
/// The system's, as for every call here.
pub fn create_dir_all_now(path: impl AsRef<Path>) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Renames; an existing file at `to` is replaced in one step. Durable after [`sync_dir_now`] of the directories.
///
/// # Errors
/// The system's.
pub fn rename_now(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    fs::rename(from, to)
}

/// Removes a file.
///
/// # Errors
/// The system's.
pub fn remove_file_now(path: impl AsRef<Path>) -> io::Result<()> {
    fs::remove_file(path)
}

/// Removes a directory with everything in it.
///
/// # Errors
/// The system's.
pub fn remove_dir_all_now(path: impl AsRef<Path>) -> io::Result<()> {
    fs::remove_dir_all(path)
}

/// The entries of a directory, in the order of their names.
///
/// # Errors
/// The system's.
pub fn read_dir_now(path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // An entry that went away in between, or a link to nowhere, is not a directory. Only links take a call of their own.
        let is_dir = entry.file_type().is_ok_and(|kind| match kind.is_symlink() {
            true => fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()),
            false => kind.is_dir(),
        });
        entries.push(DirEntry {
            name: entry.file_name(),
            is_dir,
        });
    }
    entries.sort();
    Ok(entries)
}

/// How much room the file system has that `path` lies in.
///
/// # Errors
/// The system's.
pub fn space_now(path: impl AsRef<Path>) -> io::Result<Space> {
    let path = to_system(path.as_ref())?;
    let mut found = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a valid path, and room for the answer.
    if unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed at first and then filled whole.
    let found = unsafe { found.assume_init() };
    Ok(Space {
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        usable_bytes: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

/// Whether something is at `path`.
///
/// # Errors
/// The system's, when it can't tell.
pub fn exists_now(path: impl AsRef<Path>) -> io::Result<bool> {
    fs::exists(path)
}

/// What the system says of the file or directory at `path`.
///
/// # Errors
/// The system's.
pub fn status_now(path: impl AsRef<Path>) -> io::Result<FileStatus> {
    let metadata = fs::metadata(path)?;
    let seconds = metadata.mtime().saturating_mul(1_000_000_000);
    Ok(FileStatus {
        len: metadata.len(),
        changed: seconds.saturating_add(metadata.mtime_nsec()),
    })
}

/// Replaces the file at `path` by one that holds `bytes`, durably and in one step: a crash leaves the old file or the new one.
/// For the moment of the change there is a second file, `path` + `.tmp`.
///
/// # Errors
/// The system's; the old file is there then.
pub fn write_whole_now(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_dir_now(parent_of(path))
}

/// All of the file at `path`, when that is no more than `bytes_max`.
///
/// # Errors
/// `FileTooLarge` past `bytes_max`, and the system's.
pub fn read_whole_now(path: impl AsRef<Path>, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = bytes_max as u64;
    fs::File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Makes the directory's entries durable: what was created, renamed or removed in it before.
///
/// # Errors
/// The system's.
pub fn sync_dir_now(path: impl AsRef<Path>) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// The directory that holds `path`.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A lock on a file, held by at most one process, until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct DirLock(#[expect(dead_code, reason = "the lock ends when the descriptor is closed")] OwnedFd);

impl DirLock {
    /// Locks the file at `path`, which is made when it isn't there.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it.
    pub fn acquire(path: impl AsRef<Path>) -> io::Result<DirLock> {
        let path = to_system(path.as_ref())?;
        // SAFETY: a valid path.
        let fd = unsafe {
            libc::open(
                path.as_ptr(),
                libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC,
                0o666,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor, which nobody else owns.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain numbers.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(DirLock(file))
    }
}
