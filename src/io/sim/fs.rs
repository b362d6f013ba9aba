//! Files of the calling host.

use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::super::{DirEntry, FileStatus, OpenOptions, Space};
use super::disk::Inode;
use super::faults::Operation;
use super::world::{self, Host};

/// What a write to the page cache takes.
const WRITE_NANOS: u64 = 3_000;

/// An open file. Clones share it.
#[derive(Clone)]
pub struct File {
    host: Rc<Host>,
    inode: Inode,
    path: Rc<Path>,
    may_write: bool,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({})", self.inode)
    }
}

impl File {
    /// Opens `path`.
    ///
    /// # Errors
    /// As a system's.
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> io::Result<File> {
        let path = path.as_ref().to_owned();
        wait_for_disk().await;
        File::open_now(path, options)
    }

    /// Opens `path`, blocking the core.
    ///
    /// # Errors
    /// As a system's.
    pub fn open_now(path: impl AsRef<Path>, options: OpenOptions) -> io::Result<File> {
        let host = world::place().host;
        let path = path.as_ref();
        meet_breakage(
            path,
            if options.write {
                Operation::Change
            } else {
                Operation::Open
            },
        )?;
        let mut disk = host.disk.borrow_mut();
        let found = disk.find(path);
        let inode = match found {
            Ok(_) if options.create_new => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(inode) if options.write && disk.is_dir(inode) => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok(inode) => inode,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && (options.create || options.create_new) =>
            {
                drop(disk);
                meet_breakage(path, Operation::Grow)?;
                disk = host.disk.borrow_mut();
                disk.create_file(path)?
            }
            Err(error) => return Err(error),
        };
        if options.truncate && disk.len(inode)? > 0 {
            disk.set_len(inode, 0)?;
        }
        drop(disk);
        Ok(File {
            host,
            inode,
            path: path.into(),
            may_write: options.write,
        })
    }

    /// Reads `len` bytes from `offset` on; fewer only where the file ends.
    ///
    /// # Errors
    /// EIO, by chance.
    pub async fn read_at(&self, offset: u64, len: usize) -> io::Result<BytesMut> {
        wait_for_disk().await;
        self.may_fail(Operation::Read)?;
        let first = self.first_part(len);
        let mut bytes = BytesMut::from(self.host.disk.borrow().read(self.inode, offset, first)?);
        if first < len && bytes.len() == first {
            wait_for_disk().await;
            self.may_fail(Operation::Read)?;
            let disk = self.host.disk.borrow();
            bytes.extend_from_slice(disk.read(self.inode, offset + first as u64, len - first)?);
        }
        Ok(bytes)
    }

    /// How much of a read of `len` bytes comes at first: the system may stop anywhere.
    fn first_part(&self, len: usize) -> usize {
        world::with(|world| {
            let probability = world.faults.borrow().short_read;
            if len < 2 || !world.chance.happens(probability) {
                return len;
            }
            world.seen.borrow_mut().short_reads += 1;
            1 + world.chance.index(len - 1)
        })
    }

    /// Reads into `buf` from `offset` on; fewer bytes only where the file ends.
    ///
    /// # Errors
    /// EIO, by chance.
    pub fn read_at_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.may_fail(Operation::Read)?;
        let disk = self.host.disk.borrow();
        let read = disk.read(self.inode, offset, buf.len())?;
        buf[..read.len()].copy_from_slice(read);
        Ok(read.len())
    }

    /// Writes all of `segments`, one behind the other, from `offset` on into the page cache.
    ///
    /// # Errors
    /// EIO and short writes by chance, ENOSPC when the host is full. A part may have been written then.
    pub fn write_at_now(&self, offset: u64, segments: &[&[u8]]) -> io::Result<()> {
        let world = world::current();
        world.spend(WRITE_NANOS);
        if !self.may_write {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.may_fail(Operation::Grow)?;
        let (bytes_max, is_short) = {
            let faults = world.faults.borrow();
            (faults.disk_bytes_max, world.chance.happens(faults.short_write))
        };
        let mut bytes = segments.concat();
        if is_short {
            bytes.truncate(world.chance.index(bytes.len() + 1));
        }
        let written = self
            .host
            .disk
            .borrow_mut()
            .write(self.inode, offset, &bytes, bytes_max)?;
        world.note(written as u64);
        if written < bytes.len() {
            world.seen.borrow_mut().disk_full += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if is_short {
            world.seen.borrow_mut().short_writes += 1;
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }

    /// Writes all of `bytes` from `offset` on into the page cache, without blocking the core.
    ///
    /// # Errors
    /// As [`File::write_at_now`]'s.
    pub async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        wait_for_disk().await;
        self.write_at_now(offset, &[&bytes])
    }

    /// Begins to write a range back to the disk. What that makes durable is left to chance at a crash, as without it.
    pub async fn write_back(&self, _offset: u64, _len: u32) {
        wait_for_disk().await;
    }

    /// Reserves room on the disk, of which this one has enough until it is full.
    ///
    /// # Errors
    /// EIO, by chance.
    pub async fn reserve(&self, _bytes: u64) -> io::Result<()> {
        wait_for_disk().await;
        self.may_fail(Operation::Grow)
    }

    /// Cuts the file to `len` bytes, without blocking the core.
    ///
    /// # Errors
    /// EIO, by chance.
    pub async fn trim(&self, len: u64) -> io::Result<()> {
        wait_for_disk().await;
        self.set_len_now(len)
    }

    /// Ready when what was written before is durable.
    ///
    /// # Errors
    /// EIO, by chance: then it never will be.
    pub async fn sync_data(&self) -> io::Result<()> {
        let point = self.host.disk.borrow().flush_point(self.inode);
        wait_for_disk().await;
        self.finish_flush(point)
    }

    /// As [`File::sync_data`].
    ///
    /// # Errors
    /// As [`File::sync_data`].
    pub async fn sync_all(&self) -> io::Result<()> {
        self.sync_data().await
    }

    /// As [`File::sync_data`], blocking the core.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    pub fn sync_data_now(&self) -> io::Result<()> {
        world::with(|world| world.spend(self.host.disk_delay(world).as_nanos() as u64));
        let point = self.host.disk.borrow().flush_point(self.inode);
        self.finish_flush(point)
    }

    fn finish_flush(&self, point: u64) -> io::Result<()> {
        let failed = self.may_fail(Operation::Flush);
        let mut disk = self.host.disk.borrow_mut();
        if failed.is_err() {
            disk.fail_flush(self.inode, point);
            return failed;
        }
        let flushed = disk.flush(self.inode, point);
        world::with(|world| {
            world.note(flushed);
            world.seen.borrow_mut().flushed_bytes += flushed;
        });
        Ok(())
    }

    /// Cuts the file, or lengthens it with zeros, to `len` bytes.
    ///
    /// # Errors
    /// EIO, by chance.
    pub fn set_len_now(&self, len: u64) -> io::Result<()> {
        if !self.may_write {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.may_fail(Operation::Change)?;
        self.host.disk.borrow_mut().set_len(self.inode, len)
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    /// For a directory.
    pub fn len_now(&self) -> io::Result<u64> {
        self.host.disk.borrow().len(self.inode)
    }

    /// What the file takes of the disk: no more than its length.
    ///
    /// # Errors
    /// For a directory.
    pub fn allocated_now(&self) -> io::Result<u64> {
        self.len_now()
    }

    /// An operation meets the disk's bad luck.
    fn may_fail(&self, operation: Operation) -> io::Result<()> {
        meet_breakage(&self.path, operation)?;
        world::with(|world| {
            let probability = world.faults.borrow().disk_error;
            if !world.chance.happens(probability) {
                return Ok(());
            }
            world.seen.borrow_mut().disk_errors += 1;
            Err(io::Error::from_raw_os_error(libc::EIO))
        })
    }
}

/// An operation at `path` meets what is broken for good.
fn meet_breakage(path: &Path, operation: Operation) -> io::Result<()> {
    world::with(|world| {
        let error = {
            let faults = world.faults.borrow();
            faults
                .broken
                .iter()
                .find_map(|broken| broken.error(path, operation))
        };
        match error {
            None => Ok(()),
            Some(error) => {
                world.seen.borrow_mut().disk_errors += 1;
                Err(error)
            }
        }
    })
}

/// Waits as long as the disk takes for one operation.
async fn wait_for_disk() {
    let delay = world::with(|world| world::place().host.disk_delay(world));
    crate::io::sleep(delay).await;
}

/// Makes `path` and the directories above it that are missing.
///
/// # Errors
/// As a system's, as for every call here.
pub fn create_dir_all_now(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref();
    if !exists_now(path)? {
        meet_breakage(path, Operation::Grow)?;
    }
    world::place().host.disk.borrow_mut().create_dirs(path)
}

/// Makes the directory `path` in one that is there, without blocking the core.
///
/// # Errors
/// As a system's.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    wait_for_disk().await;
    if exists_now(&path)? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    create_dir_all_now(path)
}

/// Renames; an existing file at `to` is replaced in one step.
///
/// # Errors
/// As a system's.
pub fn rename_now(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let host = world::place().host;
    meet_breakage(from.as_ref(), Operation::Change)?;
    meet_breakage(to.as_ref(), Operation::Change)?;
    host.disk.borrow_mut().rename(from.as_ref(), to.as_ref())
}

/// Renames, without blocking the core.
///
/// # Errors
/// As a system's.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    wait_for_disk().await;
    rename_now(from, to)
}

/// Removes a file.
///
/// # Errors
/// As a system's.
pub fn remove_file_now(path: impl AsRef<Path>) -> io::Result<()> {
    meet_breakage(path.as_ref(), Operation::Change)?;
    world::place().host.disk.borrow_mut().remove_file(path.as_ref())
}

/// Removes a file, without blocking the core.
///
/// # Errors
/// As a system's.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    wait_for_disk().await;
    remove_file_now(path)
}

/// Removes an empty directory, without blocking the core.
///
/// # Errors
/// As a system's.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    wait_for_disk().await;
    if !read_dir_now(&path)?.is_empty() {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    remove_dir_all_now(path)
}

/// Removes a directory with everything in it.
///
/// # Errors
/// As a system's.
pub fn remove_dir_all_now(path: impl AsRef<Path>) -> io::Result<()> {
    meet_breakage(path.as_ref(), Operation::Change)?;
    world::place().host.disk.borrow_mut().remove_tree(path.as_ref())
}

/// The entries of a directory, in the order of their names.
///
/// # Errors
/// As a system's.
pub fn read_dir_now(path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
    let host = world::place().host;
    meet_breakage(path.as_ref(), Operation::Read)?;
    let entries = host.disk.borrow().list(path.as_ref())?;
    let entry = |(name, is_dir)| DirEntry { name, is_dir };
    Ok(entries.into_iter().map(entry).collect())
}

/// How much room the host has: all that it can store counts as one file system.
///
/// # Errors
/// EIO, of what is broken.
pub fn space_now(path: impl AsRef<Path>) -> io::Result<Space> {
    meet_breakage(path.as_ref(), Operation::Read)?;
    let total_bytes = world::with(|world| world.faults.borrow().disk_bytes_max);
    let used = world::place().host.disk.borrow().used_bytes();
    Ok(Space {
        total_bytes,
        usable_bytes: total_bytes.saturating_sub(used),
    })
}

/// Whether something is at `path`.
///
/// # Errors
/// As a system's.
pub fn exists_now(path: impl AsRef<Path>) -> io::Result<bool> {
    match world::place().host.disk.borrow().find(path.as_ref()) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the system says of the file or directory at `path`.
///
/// # Errors
/// As a system's.
pub fn status_now(path: impl AsRef<Path>) -> io::Result<FileStatus> {
    let host = world::place().host;
    let disk = host.disk.borrow();
    disk.find(path.as_ref()).map(|inode| disk.status(inode))
}

/// Replaces the file at `path` by one that holds `bytes`, durably and in one step.
///
/// # Errors
/// As a system's; the old file is there then.
pub fn write_whole_now(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref();
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let file = File::open_now(&temporary, OpenOptions::read_write_truncate())?;
    file.write_at_now(0, &[bytes])?;
    file.sync_data_now()?;
    rename_now(&temporary, path)?;
    sync_dir_now(path.parent().unwrap_or(Path::new("/")))
}

/// All of the file at `path`, when that is no more than `bytes_max`.
///
/// # Errors
/// `FileTooLarge` past `bytes_max`, and as a system's.
pub fn read_whole_now(path: impl AsRef<Path>, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = File::open_now(path, OpenOptions::read_only())?;
    let len = file.len_now()?;
    if len > bytes_max as u64 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; len as usize];
    file.read_at_now(0, &mut bytes)?;
    Ok(bytes)
}

/// Makes the directory's entries durable: what was created, renamed or removed in it before.
///
/// # Errors
/// EIO, by chance.
pub fn sync_dir_now(path: impl AsRef<Path>) -> io::Result<()> {
    File::open_now(path, OpenOptions::read_only())?.sync_data_now()
}

/// A lock on a file, held by at most one program, until it is dropped.
pub struct DirLock {
    host: Rc<Host>,
    inode: Inode,
}

impl std::fmt::Debug for DirLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DirLock({})", self.inode)
    }
}

impl DirLock {
    /// Locks the file at `path`, which is made when it isn't there.
    ///
    /// # Errors
    /// `WouldBlock` when another program has it.
    pub fn acquire(path: impl AsRef<Path>) -> io::Result<DirLock> {
        let File { host, inode, .. } = File::open_now(path, OpenOptions::read_write_create())?;
        if !host.disk.borrow_mut().lock(inode)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(DirLock { host, inode })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        self.host.disk.borrow_mut().unlock(self.inode);
    }
}

/// The program's standard input: empty.
pub fn stdin() -> Stdin {
    Stdin
}

/// What [`stdin`] gives.
pub struct Stdin;

impl Stdin {
    /// The end, always.
    ///
    /// # Errors
    /// None here.
    pub async fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}
