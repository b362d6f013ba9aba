//! Why a log or its directory can't be opened, and reading the small text files, whose faults these are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::Offset;
use crate::io::fs;
use crate::log::checkpoint::Malformed;
use crate::log::header::BatchProblem;

/// The largest text file that is read: a checkpoint of 200,000 partitions whose topics have the longest names, or of a million with
/// ordinary ones.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// Why a log can't be opened.
#[derive(Debug)]
pub enum LogError {
    /// The operating system refused.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A segment has something else than batches of format v2 where a crash can't have put it.
    BadBatch {
        /// The segment's `.log` file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is there.
        problem: BatchProblem,
    },
    /// The log ends before an offset of it that the last clean stop has written down.
    LostEnd {
        /// The directory of its files.
        path: PathBuf,
        /// Behind the last batch that is there.
        end: Offset,
        /// That offset: where it ended, or where it began.
        known: Offset,
        /// The file that has it.
        checkpoint: &'static str,
    },
    /// A text file of the directory doesn't read.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Malformed,
    },
}

impl LogError {
    /// Whether it is about what the files hold, which does not change by itself. Else the system may let it pass the next time.
    pub fn is_damage(&self) -> bool {
        !matches!(self, LogError::Io { .. })
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            LogError::BadBatch {
                path,
                position,
                problem,
            } => {
                write!(f, "{}: at byte {position}: {problem}", path.display())
            }
            LogError::LostEnd {
                path,
                end,
                known,
                checkpoint,
            } => {
                write!(
                    f,
                    "{}: ends at offset {end}, and the {checkpoint} of the last clean stop has {known}",
                    path.display()
                )
            }
            LogError::Malformed { path, problem } => write!(f, "{}: {problem}", path.display()),
        }
    }
}

impl std::error::Error for LogError {}

/// Names the path in an I/O error.
pub fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, LogError> {
    result.map_err(|error| LogError::Io {
        path: path.to_owned(),
        error,
    })
}

/// Reads a small text file; `None` when it is missing.
pub fn read_text_now<T>(
    path: &Path,
    decode: impl FnOnce(&str) -> Result<T, Malformed>,
) -> Result<Option<T>, LogError> {
    let bytes = match fs::read_whole_now(path, TEXT_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => at(path, read)?,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| Malformed {
        line: 1,
        expected: "text",
    });
    let decoded = text.and_then(decode);
    decoded.map(Some).map_err(|problem| LogError::Malformed {
        path: path.to_owned(),
        problem,
    })
}
