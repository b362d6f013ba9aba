//! Telling the system's errors apart.

use std::fmt;
use std::io;

/// `error` with words before it, such as which file it is about. Its kind, and what is told of it here, stay.
pub fn in_words(error: io::Error, words: impl fmt::Display) -> io::Error {
    let words = words.to_string();
    io::Error::new(error.kind(), Worded { words, error })
}

/// Whether `error` says that the system, not the peer or the file, is at its limit: no more descriptors or memory. The
/// same call may succeed later.
pub fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(
        code_of(error),
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
        code_of(error),
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

/// The system's number for `error`, if it comes from there.
fn code_of(error: &io::Error) -> Option<i32> {
    let worded = error.get_ref().and_then(|inner| inner.downcast_ref());
    worded.map_or(error.raw_os_error(), |worded: &Worded| code_of(&worded.error))
}

/// An error with words before it.
#[derive(Debug)]
struct Worded {
    words: String,
    error: io::Error,
}

impl fmt::Display for Worded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.words, self.error)
    }
}

impl std::error::Error for Worded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_change_what_is_read_and_not_what_is_told_of_an_error() {
        for (code, is_failed, passes) in [
            (libc::EIO, true, false),
            (libc::EMFILE, false, true),
            (libc::ENOSPC, false, true),
            (libc::EACCES, false, false),
        ] {
            let system = || io::Error::from_raw_os_error(code);
            let worded = in_words(in_words(system(), "at byte 9"), "a.log");
            assert_eq!(worded.to_string(), format!("a.log: at byte 9: {}", system()));
            assert_eq!(worded.kind(), system().kind());
            assert_eq!((has_disk_failed(&worded), may_pass(&worded)), (is_failed, passes));
        }
    }
}
