//! How files are named and opened: the same in every build of the room.

use std::ffi::OsString;

/// How a file is opened. All fields off opens nothing: start from one of the constructors.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Make it when it isn't there.
    pub create: bool,
    /// Make it, and fail when it is there.
    pub create_new: bool,
    /// Cut it to nothing.
    pub truncate: bool,
}

impl OpenOptions {
    /// An existing file, for reading.
    pub fn read_only() -> OpenOptions {
        OpenOptions {
            read: true,
            ..OpenOptions::default()
        }
    }

    /// An existing file, for reading and writing.
    pub fn read_write() -> OpenOptions {
        OpenOptions {
            write: true,
            ..OpenOptions::read_only()
        }
    }

    /// A file for reading and writing, made when it isn't there.
    pub fn read_write_create() -> OpenOptions {
        OpenOptions {
            create: true,
            ..OpenOptions::read_write()
        }
    }

    /// A file for reading and writing that isn't there yet.
    pub fn read_write_create_new() -> OpenOptions {
        OpenOptions {
            create_new: true,
            ..OpenOptions::read_write()
        }
    }

    /// A file for reading and writing, empty whether it was there or not.
    pub fn read_write_truncate() -> OpenOptions {
        OpenOptions {
            truncate: true,
            ..OpenOptions::read_write_create()
        }
    }
}

/// What the system says of a file or a directory without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Bytes of a file; means nothing of a directory.
    pub len: u64,
    /// When the bytes of a file, or the names in a directory, last changed: nanoseconds since 1970 by the clock of its file system.
    pub changed: i64,
}

/// How much room a file system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that the process may still use.
    pub usable_bytes: u64,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// Its name, without the directory's.
    pub name: OsString,
    /// Whether it is itself a directory; symbolic links are followed.
    pub is_dir: bool,
}
