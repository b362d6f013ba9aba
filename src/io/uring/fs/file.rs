//! Open files.

use std::ffi::CString;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use io_uring::opcode;
use io_uring::types::{Fd, FsyncFlags};

use super::super::core;
use super::super::ring::{self, Held, OnDrop, check};
use crate::io::OpenOptions;

/// One operation reads at most this much at once; longer reads take several. What is in the page cache the kernel copies before it lets
/// the core go on, so that others get their turn in between.
const READ_BYTES_MAX: usize = 128 << 10;
/// One writes at most this much. Far below what a u32 can count.
const WRITE_BYTES_MAX: usize = 1 << 30;
/// Segments in one write call; Linux's own limit (UIO_MAXIOV).
const SEGMENTS_MAX: usize = 1024;
/// New files are readable and writable for all whom the process's umask lets.
const MODE: libc::mode_t = 0o666;
/// New directories too.
const DIR_MODE: libc::mode_t = 0o777;

/// The system's flags for `options`.
fn flags(options: OpenOptions) -> libc::c_int {
    let access = match (options.read, options.write) {
        (_, false) => libc::O_RDONLY,
        (false, true) => libc::O_WRONLY,
        (true, true) => libc::O_RDWR,
    };
    let mut flags = access | libc::O_CLOEXEC;
    if options.create {
        flags |= libc::O_CREAT;
    }
    if options.create_new {
        flags |= libc::O_CREAT | libc::O_EXCL;
    }
    if options.truncate {
        flags |= libc::O_TRUNC;
    }
    flags
}

/// Removes the file at `path` without blocking the core: freeing what a large one takes may last for many milliseconds.
///
/// # Errors
/// The system's.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    remove(path.as_ref(), 0).await
}

/// Removes the empty directory at `path` without blocking the core.
///
/// # Errors
/// The system's.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    remove(path.as_ref(), libc::AT_REMOVEDIR).await
}

/// Makes the directory `path` in one that is there, without blocking the core.
///
/// # Errors
/// The system's.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = to_system(path.as_ref())?;
    let entry = opcode::MkDirAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
        .mode(DIR_MODE)
        .build();
    // SAFETY: the path's bytes are on the heap, and the operation holds them.
    let made = unsafe { ring::begin(entry, None, Held::Name(path), OnDrop::Finish) };
    check(made.await.0).map(drop)
}

/// Renames without blocking the core; an existing file at `to` is replaced in one step.
///
/// # Errors
/// The system's.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (to_system(from.as_ref())?, to_system(to.as_ref())?);
    let here = Fd(libc::AT_FDCWD);
    let entry = opcode::RenameAt::new(here, from.as_ptr(), here, to.as_ptr()).build();
    // SAFETY: the paths' bytes are on the heap, and the operation holds them.
    let renaming = unsafe { ring::begin(entry, None, Held::Names([from, to]), OnDrop::Finish) };
    check(renaming.await.0).map(drop)
}

async fn remove(path: &Path, flags: libc::c_int) -> io::Result<()> {
    let path = to_system(path)?;
    let entry = opcode::UnlinkAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
        .flags(flags)
        .build();
    // SAFETY: the path's bytes are on the heap, and the operation holds them.
    let removal = unsafe { ring::begin(entry, None, Held::Name(path), OnDrop::Finish) };
    check(removal.await.0).map(drop)
}

/// An open file. Clones share it; it is closed with the last one, after the operations that are under way.
#[derive(Clone, Debug)]
pub struct File(Rc<Descriptor>);

impl File {
    fn new(fd: OwnedFd) -> File {
        File(Rc::new(Descriptor(ManuallyDrop::new(fd))))
    }

    /// Opens `path` without blocking the core.
    ///
    /// # Errors
    /// The system's, as for every call here.
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> io::Result<File> {
        let path = to_system(path.as_ref())?;
        let entry = opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr())
            .flags(flags(options))
            .mode(MODE)
            .build();
        // SAFETY: the path's bytes are on the heap, and the operation holds them.
        let open = unsafe { ring::begin(entry, None, Held::Path(path), OnDrop::Finish) };
        let fd = check(open.await.0)?;
        // SAFETY: a new descriptor, which the kernel gave to this operation alone.
        Ok(File::new(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Opens `path`, blocking the core.
    ///
    /// # Errors
    /// The system's.
    pub fn open_now(path: impl AsRef<Path>, options: OpenOptions) -> io::Result<File> {
        let path = to_system(path.as_ref())?;
        // SAFETY: a valid path.
        let fd = unsafe { libc::open(path.as_ptr(), flags(options), libc::c_uint::from(MODE)) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor, which nobody else owns.
        Ok(File::new(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Reads `len` bytes from `offset` on; fewer only where the file ends.
    ///
    /// # Errors
    /// The system's.
    pub async fn read_at(&self, offset: u64, len: usize) -> io::Result<BytesMut> {
        let mut buf = BytesMut::with_capacity(len);
        while buf.len() < len {
            let at = offset + buf.len() as u64;
            let room = (len - buf.len()).min(READ_BYTES_MAX);
            let spare = buf.spare_capacity_mut();
            assert!(spare.len() >= room, "the room was reserved");
            let entry = opcode::Read::new(Fd(self.0.as_raw_fd()), spare.as_mut_ptr().cast(), room as u32)
                .offset(at)
                .build();
            // SAFETY: the memory is `buf`'s, which the operation holds and which doesn't move with it; the descriptor is ours.
            let read = unsafe { ring::begin(entry, Some(self.0.clone()), Held::Buffer(buf), OnDrop::Cancel) };
            let (result, held) = read.await;
            let Held::Buffer(returned) = held else {
                unreachable!("the buffer was given to the operation")
            };
            buf = returned;
            match check(result) {
                Ok(0) => break,
                // SAFETY: the kernel has filled this many bytes of the spare capacity.
                Ok(count) => unsafe { buf.set_len(buf.len() + count) },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(buf)
    }

    /// Reads into `buf` from `offset` on, blocking the core; fewer bytes only where the file ends.
    ///
    /// # Errors
    /// The system's.
    pub fn read_at_now(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            let rest = &mut buf[filled..];
            let at = to_off_t(offset + filled as u64)?;
            // SAFETY: the pointer and the length name `rest`.
            let got = unsafe { libc::pread(self.0.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len(), at) };
            match usize::try_from(got) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(_) => retry_if_interrupted()?,
            }
        }
        Ok(filled)
    }

    /// Writes all of `segments`, one behind the other, from `offset` on into the page cache.
    ///
    /// # Errors
    /// The system's. A part may have been written then, also with [`io::ErrorKind::WriteZero`]: cut the file back.
    pub fn write_at_now(&self, offset: u64, segments: &[&[u8]]) -> io::Result<()> {
        let mut at = offset;
        let mut rest: &[&[u8]] = segments;
        // How much of the first segment of `rest` is written.
        let mut done = 0;
        loop {
            while rest.first().is_some_and(|first| first.len() == done) {
                rest = &rest[1..];
                done = 0;
            }
            if rest.is_empty() {
                return Ok(());
            }
            let written = self.write_some(at, rest, done)?;
            at += written as u64;
            let mut left = written;
            while left > 0 {
                let first = rest[0].len() - done;
                if left < first {
                    done += left;
                    break;
                }
                left -= first;
                rest = &rest[1..];
                done = 0;
            }
        }
    }

    /// One write call: what follows `done` bytes of the first segment. At least one byte, or an error.
    fn write_some(&self, offset: u64, segments: &[&[u8]], done: usize) -> io::Result<usize> {
        const FEW: usize = 8;
        let vector = |(index, segment): (usize, &&[u8])| {
            let segment = if index == 0 { &segment[done..] } else { segment };
            libc::iovec {
                iov_base: segment.as_ptr().cast_mut().cast(),
                iov_len: segment.len(),
            }
        };
        let count = segments.len().min(SEGMENTS_MAX);
        let vectors = segments[..count].iter().enumerate().map(vector);
        let mut few = [libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }; FEW];
        let many: Vec<libc::iovec>;
        let vectors = if count <= FEW {
            few.iter_mut()
                .zip(vectors)
                .for_each(|(place, vector)| *place = vector);
            &few[..count]
        } else {
            many = vectors.collect();
            &many
        };
        let at = to_off_t(offset)?;
        loop {
            // SAFETY: `vectors` names `count` parts of live segments.
            let written = unsafe { libc::pwritev(self.0.as_raw_fd(), vectors.as_ptr(), count as i32, at) };
            match usize::try_from(written) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => return Ok(written),
                Err(_) => retry_if_interrupted()?,
            }
        }
    }

    /// Writes all of `bytes` from `offset` on into the page cache, without blocking the core.
    ///
    /// # Errors
    /// As [`File::write_at_now`]'s.
    pub async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let len = rest.len().min(WRITE_BYTES_MAX) as u32;
            let entry = opcode::Write::new(Fd(self.0.as_raw_fd()), rest.as_ptr(), len)
                .offset(at)
                .build();
            // SAFETY: the operation holds the bytes, which don't move; the descriptor is ours.
            let write = unsafe {
                let held = Held::Bytes(rest.clone());
                ring::begin(entry, Some(self.0.clone()), held, OnDrop::Finish)
            };
            match check(write.await.0) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    at += written as u64;
                    rest.advance(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Begins to write `len` bytes from `offset` on back to the disk, so that less is to be done when the kernel must. Promises nothing: that
    /// is what [`File::sync_data`] is for, which also tells of errors.
    pub async fn write_back(&self, offset: u64, len: u32) {
        let entry = opcode::SyncFileRange::new(Fd(self.0.as_raw_fd()), len)
            .offset(offset)
            .flags(libc::SYNC_FILE_RANGE_WRITE)
            .build();
        // SAFETY: the entry holds no pointer, and the descriptor is ours.
        let begun = unsafe { ring::begin(entry, Some(self.0.clone()), Held::Nothing, OnDrop::Finish) };
        begun.await;
    }

    /// Reserves room on the disk for the file's first `bytes`, without blocking the core. Its length stays as it is.
    ///
    /// # Errors
    /// The system's: [`io::ErrorKind::StorageFull`] where there is no room, [`io::ErrorKind::Unsupported`] where the file system can't.
    pub async fn reserve(&self, bytes: u64) -> io::Result<()> {
        let entry = opcode::Fallocate::new(Fd(self.0.as_raw_fd()), bytes)
            .mode(libc::FALLOC_FL_KEEP_SIZE)
            .build();
        // SAFETY: the entry holds no pointer, and the descriptor is ours.
        let reserving = unsafe { ring::begin(entry, Some(self.0.clone()), Held::Nothing, OnDrop::Finish) };
        check(reserving.await.0).map(drop)
    }

    /// Cuts the file to `len` bytes and gives back what is [reserved](File::reserve) behind them, without blocking the core where the kernel
    /// has an operation for it (6.9).
    ///
    /// # Errors
    /// The system's.
    pub async fn trim(&self, len: u64) -> io::Result<()> {
        let entry = opcode::Ftruncate::new(Fd(self.0.as_raw_fd()), len).build();
        // SAFETY: the entry holds no pointer, and the descriptor is ours.
        let trimming = unsafe { ring::begin(entry, Some(self.0.clone()), Held::Nothing, OnDrop::Finish) };
        match check(trimming.await.0) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.set_len_now(len),
            trimmed => trimmed.map(drop),
        }
    }

    /// Ready when the file's data, and what is needed to read it back, are on stable storage.
    ///
    /// # Errors
    /// The system's. After an error the data may be lost, and another flush may not say so.
    pub async fn sync_data(&self) -> io::Result<()> {
        self.sync(FsyncFlags::DATASYNC).await
    }

    /// As [`File::sync_data`], with all of the file's metadata.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    pub async fn sync_all(&self) -> io::Result<()> {
        self.sync(FsyncFlags::empty()).await
    }

    async fn sync(&self, flags: FsyncFlags) -> io::Result<()> {
        let entry = opcode::Fsync::new(Fd(self.0.as_raw_fd())).flags(flags).build();
        // SAFETY: the entry holds no pointer, and the descriptor is ours.
        let sync = unsafe { ring::begin(entry, Some(self.0.clone()), Held::Nothing, OnDrop::Finish) };
        check(sync.await.0).map(drop)
    }

    /// As [`File::sync_data`], blocking the core.
    ///
    /// # Errors
    /// As [`File::sync_data`].
    pub fn sync_data_now(&self) -> io::Result<()> {
        // SAFETY: a plain number.
        match unsafe { libc::fdatasync(self.0.as_raw_fd()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Cuts the file, or lengthens it with zeros, to `len` bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn set_len_now(&self, len: u64) -> io::Result<()> {
        let len = to_off_t(len)?;
        loop {
            // SAFETY: plain numbers.
            if unsafe { libc::ftruncate(self.0.as_raw_fd(), len) } == 0 {
                return Ok(());
            }
            retry_if_interrupted()?;
        }
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn len_now(&self) -> io::Result<u64> {
        status(&*self.0).map(|status| status.st_size as u64)
    }

    /// What the file takes of the disk, in bytes, with what is [reserved](File::reserve) for it.
    ///
    /// # Errors
    /// The system's.
    pub fn allocated_now(&self) -> io::Result<u64> {
        // Whatever the file system's blocks are, `stat` counts by 512 bytes.
        status(&*self.0).map(|status| 512 * status.st_blocks as u64)
    }
}

/// A file's descriptor. The last one of a file without a name is closed in one of the kernel's workers: that frees what the file takes,
/// as slowly as removing it would.
#[derive(Debug)]
struct Descriptor(ManuallyDrop<OwnedFd>);

impl Descriptor {
    fn is_of_removed_file(&self) -> bool {
        status(self).is_ok_and(|status| status.st_nlink == 0)
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let is_slow = self.is_of_removed_file();
        // SAFETY: nobody uses it after this.
        let mut fd = Some(unsafe { ManuallyDrop::take(&mut self.0) });
        if is_slow {
            // Outside a core's loop, or deep in it, it is closed here.
            core::try_with(|core| {
                if let (Ok(mut ring), Some(fd)) = (core.ring.try_borrow_mut(), fd.take()) {
                    ring.close(fd);
                }
            });
        }
    }
}

fn status(fd: &impl AsRawFd) -> io::Result<libc::stat> {
    // SAFETY: all-zero bytes are a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is a valid place for the answer.
    match unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) } {
        0 => Ok(stat),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The process's standard input.
pub fn stdin() -> Stdin {
    // SAFETY: descriptor 0 is only borrowed, for the duplication.
    let stdin = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
    Stdin(
        stdin
            .try_clone_to_owned()
            .map(Rc::new)
            .map_err(|error| error.kind()),
    )
}

/// What [`stdin`] gives: a terminal, a pipe or a file, read in order.
pub struct Stdin(Result<Rc<OwnedFd>, io::ErrorKind>);

impl Stdin {
    /// Reads up to `buf`'s length into it; 0 at the end.
    ///
    /// # Errors
    /// The system's; also when the process was started without a standard input.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let fd = self.0.as_ref().map_err(|&kind| kind)?.clone();
        let mut own = BytesMut::with_capacity(buf.len());
        let spare = own.spare_capacity_mut();
        let room = buf.len().min(READ_BYTES_MAX) as u32;
        let current_position = u64::MAX;
        let entry = opcode::Read::new(Fd(fd.as_raw_fd()), spare.as_mut_ptr().cast(), room)
            .offset(current_position)
            .build();
        // SAFETY: the memory is `own`'s, which the operation holds and which doesn't move with it; the descriptor is `fd`'s.
        let read = unsafe { ring::begin(entry, Some(fd), Held::Buffer(own), OnDrop::Cancel) };
        let (result, held) = read.await;
        let Held::Buffer(mut own) = held else {
            unreachable!("the buffer was given to the operation")
        };
        let count = check(result)?;
        // SAFETY: the kernel has filled this many bytes of the spare capacity.
        unsafe { own.set_len(count) };
        buf[..count].copy_from_slice(&own);
        Ok(count)
    }
}

pub(super) fn to_system(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidFilename.into())
}

fn to_off_t(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

/// The last system call's error, unless a signal had interrupted it.
fn retry_if_interrupted() -> io::Result<()> {
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted {
        return Ok(());
    }
    Err(error)
}
