//! The newest batches of a partition, held by reference to the bytes that arrived.
//!
//! The tail is a run of consecutive batches that ends at the log's end. How much of it all partitions
//! of a core may hold together is the shard's budget; this file only knows how to give up its oldest.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::Offset;
use crate::wire::batch;

struct TailBatch {
    base: Offset,
    last: Offset,
    bytes: Bytes,
}

/// The cached end of one partition's log.
#[derive(Default)]
pub struct Tail {
    batches: VecDeque<TailBatch>,
}

impl Tail {
    /// Adds the batch that was just appended to the log.
    pub fn push(&mut self, base: Offset, last: Offset, bytes: Bytes) {
        debug_assert!(self.batches.back().is_none_or(|newest| newest.last < base));
        self.batches.push_back(TailBatch { base, last, bytes });
    }

    /// Gives up the oldest batch and returns its size in bytes.
    pub fn pop_oldest(&mut self) -> Option<usize> {
        self.batches.pop_front().map(|batch| batch.bytes.len())
    }

    /// Whole batches from the one that holds `offset` up to `upper`, at most `bytes_max` of them, the first one whatever
    /// its size when `at_least_one`. `None` when `offset` lies before the tail.
    pub fn read(
        &self,
        offset: Offset,
        upper: Offset,
        bytes_max: usize,
        at_least_one: bool,
    ) -> Option<Vec<Bytes>> {
        if self.batches.front()?.base > offset {
            return None;
        }
        let first = self.batches.partition_point(|batch| batch.last < offset);
        let mut bytes_left = bytes_max;
        let mut segments = Vec::new();
        for batch in self.batches.range(first..) {
            let fits = batch.bytes.len() <= bytes_left || (at_least_one && segments.is_empty());
            if !fits || batch.last >= upper {
                break;
            }
            bytes_left = bytes_left.saturating_sub(batch.bytes.len());
            segments.push(batch.bytes.clone());
        }
        Some(segments)
    }
}

/// The offset behind the last batch of what was read; `None` when nothing was.
pub fn end_of(segments: &[Bytes]) -> Option<Offset> {
    let last = segments.last()?;
    batch::batches(last)
        .flatten()
        .last()
        .map(|batch| batch.next_offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three batches of ten records and 100 bytes each, from offset 50.
    fn tail() -> Tail {
        let mut tail = Tail::default();
        for base in [50, 60, 70] {
            tail.push(Offset(base), Offset(base + 9), Bytes::from(vec![base as u8; 100]));
        }
        tail
    }

    fn first_bytes(read: Option<Vec<Bytes>>) -> Option<Vec<u8>> {
        read.map(|segments| segments.iter().map(|segment| segment[0]).collect())
    }

    #[test]
    fn reads_whole_batches_from_the_one_that_holds_the_offset() {
        for (offset, bytes_max, at_least_one, expected) in [
            (50, 1000, false, Some(vec![50, 60, 70])),
            (69, 1000, false, Some(vec![60, 70])),
            (60, 199, false, Some(vec![60])),
            (60, 99, false, Some(vec![])),
            (60, 0, true, Some(vec![60])),
            (80, 1000, true, Some(vec![])),
            (49, 1000, true, None),
        ] {
            let read = tail().read(Offset(offset), Offset(80), bytes_max, at_least_one);
            assert_eq!(first_bytes(read), expected, "offset {offset}, {bytes_max} bytes");
        }
    }

    #[test]
    fn nothing_behind_the_upper_end_is_read() {
        for (upper, expected) in [
            (80, vec![50, 60, 70]),
            (79, vec![50, 60]),
            (60, vec![50]),
            (59, vec![]),
        ] {
            let read = tail().read(Offset(50), Offset(upper), 1000, true);
            assert_eq!(first_bytes(read), Some(expected), "upper {upper}");
        }
    }

    #[test]
    fn what_was_given_up_is_no_longer_in_the_tail() {
        let mut tail = tail();
        assert_eq!(tail.pop_oldest(), Some(100));
        assert_eq!(first_bytes(tail.read(Offset(55), Offset(80), 1000, true)), None);
        assert_eq!(
            first_bytes(tail.read(Offset(65), Offset(80), 1000, true)),
            Some(vec![60, 70])
        );
    }
}
