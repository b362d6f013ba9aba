//! Telling the system's errors apart.

use std::io;

/// Whether `error` says that the system, not the peer or the file, is at its limit: no more descriptors or memory. The
/// same call may succeed later.
pub fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
    )
}

/// Whether nothing is wrong with the file: the system was at a limit, and the same may succeed later.
pub fn may_pass(error: &io::Error) -> bool {
    is_out_of_resources(error) || is_out_of_space(error)
}

/// Whether it is the device or its file system that refuses, not one file: what else lies there is not to be trusted either.
pub fn has_disk_failed(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EIO
                | libc::EROFS
                | libc::ENODEV
                | libc::ENXIO
                | libc::ESTALE
                | libc::ESHUTDOWN
                | libc::EUCLEAN
                | libc::EREMOTEIO
        )
    )
}

/// Whether a disk had no room for a write, or took a part of it only: that may pass, and what is written again is whole.
fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero
    )
}
