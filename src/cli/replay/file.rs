//! A recording on disk: reads it piece by piece into the machine that finds its records.

use std::path::{Path, PathBuf};

use super::source::{Item, Source, SourceError};
use crate::cli::Failure;
use crate::io::OpenOptions;
use crate::io::fs::File;

/// How much is read, and unpacked, at a time: little, for the core does nothing else meanwhile, and what is due then
/// is late.
const READ_BYTES: usize = 16 * 1024;

/// An open recording, standing before its first record.
pub struct Recording {
    path: PathBuf,
    file: File,
    offset: u64,
    ended: bool,
    source: Source,
}

impl Recording {
    /// Opens the file and finds out its format.
    pub async fn open(path: &Path) -> Result<Recording, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::Failed(format!("{}: {e}", path.display()));
        let file = File::open(path, OpenOptions::read_only())
            .await
            .map_err(|e| failed(&e))?;
        let head = file.read_at(0, READ_BYTES).await.map_err(|e| failed(&e))?;
        let mut source = Source::new(&head).map_err(|e| failed(&e))?;
        source.push(&head).map_err(|e| failed(&e))?;
        let offset = head.len() as u64;
        let mut recording = Recording {
            path: path.into(),
            file,
            offset,
            ended: false,
            source,
        };
        if head.len() < READ_BYTES {
            recording.end()?;
        }
        Ok(recording)
    }

    /// Moves to the next record; false at the end.
    pub async fn advance(&mut self) -> Result<bool, Failure> {
        loop {
            if self.source.advance().map_err(|e| self.failed(&e))? {
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            let bytes = self
                .file
                .read_at(self.offset, READ_BYTES)
                .await
                .map_err(|e| self.failed(&e))?;
            self.offset += bytes.len() as u64;
            self.source.push(&bytes).map_err(|e| self.failed(&e))?;
            if bytes.len() < READ_BYTES {
                self.end()?;
            }
        }
    }

    /// The record that [`Recording::advance`] moved to.
    pub fn item(&self) -> Item<'_> {
        self.source.item()
    }

    /// Whether the records carry times and identities; known once a record was found.
    pub fn is_dbn(&self) -> bool {
        self.source.is_dbn()
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.ended = true;
        self.source.end().map_err(|e: SourceError| self.failed(&e))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::Failed(format!("{}: {error}", self.path.display()))
    }
}
