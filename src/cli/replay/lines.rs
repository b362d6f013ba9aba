//! Lines of text as a recording's records.

use super::source::{Item, SourceError};

/// The longest line taken. A topic's `max.message.bytes` defaults to 1 MiB, so anything longer is no record but
/// a file of another kind.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Bytes already read are dropped from the buffer when there are this many: moving the rest costs less often.
const COMPACT_BYTES: usize = 1 << 20;

/// Splits text at each newline; the newline goes, a carriage return stays.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// The current line within `buffer`.
    line: std::ops::Range<usize>,
    /// Where the next line begins.
    next: usize,
    /// Up to where `buffer` is known to hold no newline.
    searched: usize,
    lines: u64,
}

impl Lines {
    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        if self.next >= COMPACT_BYTES {
            self.buffer.drain(..self.next);
            self.searched -= self.next;
            (self.line, self.next) = (0..0, 0);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Moves to the next line; after the end of the file also to one without a newline.
    pub fn advance(&mut self, ended: bool) -> Result<bool, SourceError> {
        let newline = self.buffer[self.searched..].iter().position(|&b| b == b'\n');
        let (end, next) = match newline {
            Some(at) => (self.searched + at, self.searched + at + 1),
            None if ended && self.next < self.buffer.len() => (self.buffer.len(), self.buffer.len()),
            None => {
                self.searched = self.buffer.len();
                self.refuse_endless_line(self.buffer.len() - self.next)?;
                return Ok(false);
            }
        };
        self.refuse_endless_line(end - self.next)?;
        self.line = self.next..end;
        (self.next, self.searched) = (next, next);
        self.lines += 1;
        Ok(true)
    }

    /// The current line.
    pub fn item(&self) -> Item<'_> {
        Item {
            position: self.lines - 1,
            payload: &self.buffer[self.line.clone()],
            recorded_ns: None,
            instrument_id: None,
            order_id: None,
        }
    }

    fn refuse_endless_line(&self, bytes: usize) -> Result<(), SourceError> {
        if bytes <= LINE_BYTES_MAX {
            return Ok(());
        }
        Err(SourceError(format!(
            "line {} is longer than {LINE_BYTES_MAX} bytes",
            self.lines + 1
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_zero_across_compaction() {
        let mut lines = Lines::default();
        let block = b"0123456789abcdef0123456789abcde\n".repeat(1 << 14);
        let mut seen = 0;
        for _ in 0..5 {
            lines.push(&block).unwrap();
            while lines.advance(false).unwrap() {
                assert_eq!(lines.item().position, seen);
                assert_eq!(lines.item().payload.len(), 31);
                seen += 1;
            }
        }
        assert_eq!(seen, 5 << 14);
        assert!(lines.buffer.len() <= COMPACT_BYTES + block.len());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_BYTES_MAX + 1]).unwrap();
        assert_eq!(
            lines.advance(false).unwrap_err().0,
            "line 1 is longer than 16777216 bytes"
        );
    }
}
