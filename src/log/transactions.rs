//! What the log tells of transactions: where the first open one begins, and which of a range were aborted (KIP-98; Kafka's
//! `UnifiedLog.collectAbortedTransactions`).

use std::io;

use crate::base::Offset;
use crate::io::fs::File;
use crate::log::Log;
use crate::log::aborted::AbortedPiece;
use crate::log::txn_index::AbortedTransaction;
use crate::log::walk::{Source, ready};

/// No range has more: a transaction takes 147 bytes at the least, its marker included, so the 55 MiB of the largest fetch have
/// room for 392,000, and the rest is for those that were open where it begins. An index that names more is damaged.
const FOUND_MAX: usize = 1 << 20;

/// Where a range's aborted transactions are to be looked for, without a borrow of the log.
#[derive(Debug)]
pub struct AbortedPlan {
    from: Offset,
    pieces: Vec<AbortedPiece>,
}

impl Log {
    /// The first offset that an open transaction may still take back: where the first one began, or the log's end. What lies
    /// before it and before the high watermark is what `read_committed` shows.
    pub fn stable_end(&self) -> Offset {
        let first_open = self.producers.first_open_transaction().unwrap_or(self.end_offset);
        first_open.max(self.start_offset).min(self.end_offset)
    }

    /// A plan for the aborted transactions that have records or a marker from `from` on and began before `upper`. Their markers
    /// may lie in later segments than their records.
    pub fn aborted_transactions(&self, from: Offset, upper: Offset) -> AbortedPlan {
        let mut pieces = Vec::new();
        if from < upper {
            for segment in &self.segments[self.segment_of(from)..] {
                pieces.extend(segment.aborted_piece(from, upper));
                if segment.is_last_of_aborted_before(upper) {
                    break;
                }
            }
        }
        AbortedPlan { from, pieces }
    }
}

impl AbortedPlan {
    /// No transactions.
    pub fn empty() -> AbortedPlan {
        AbortedPlan {
            from: Offset(0),
            pieces: Vec::new(),
        }
    }

    /// Whether there are surely none.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The transactions of a range that ends at `upper`, which is at most what the plan was made for, in the order of their
    /// markers. They are no more than the records of the range and the producers that had a transaction open where it begins.
    /// `NotFound` where the range was deleted meanwhile.
    pub async fn run(self, upper: Offset) -> io::Result<Vec<AbortedTransaction>> {
        self.run_from(upper, Source::awaiting).await
    }

    /// The same, blocking: for start-up.
    pub fn run_now(self, upper: Offset) -> io::Result<Vec<AbortedTransaction>> {
        ready(self.run_from(upper, Source::blocking))
    }

    async fn run_from(
        self,
        upper: Offset,
        source: impl Fn(File) -> Source,
    ) -> io::Result<Vec<AbortedTransaction>> {
        let mut found = Vec::new();
        for piece in self.pieces {
            let visit = |entry: AbortedTransaction| {
                if entry.first_offset < upper {
                    found.push(entry);
                }
                entry.last_stable_offset >= upper || found.len() > FOUND_MAX
            };
            if piece.visit(self.from, &source, visit).await? {
                break;
            }
        }
        match found.len() <= FOUND_MAX {
            true => Ok(found),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "more aborted transactions than a range can have",
            )),
        }
    }
}
