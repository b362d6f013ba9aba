//! Files. Reads, flushes and opens go through the ring; writes into the page cache are made at once, on the core: a file system may
//! hand a buffered write from a ring to a worker thread, which takes longer than the write.

mod directory;
mod file;

pub use directory::{
    DirLock, create_dir_all_now, exists_now, read_dir_now, read_whole_now, remove_dir_all_now,
    remove_file_now, rename_now, space_now, status_now, sync_dir_now, write_whole_now,
};
pub use file::{File, Stdin, create_dir, remove_dir, remove_file, rename, stdin};
