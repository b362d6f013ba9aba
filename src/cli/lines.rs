//! Bytes cut into lines.

use std::ops::Range;

/// The longest line taken. A topic's `max.message.bytes` defaults to 1 MiB, so anything longer is no record but
/// a file of another kind.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Bytes already read are dropped from the buffer when there are this many: moving the rest costs less often.
const COMPACT_BYTES: usize = 1 << 20;

/// Cuts at each newline; the newline goes, a carriage return stays.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// The current line within `buffer`.
    line: Range<usize>,
    /// Where the next line begins.
    next: usize,
    /// Up to where `buffer` is known to hold no newline.
    searched: usize,
    count: u64,
}

impl Lines {
    /// Takes the next bytes of the text.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.next >= COMPACT_BYTES {
            self.buffer.drain(..self.next);
            self.searched -= self.next;
            (self.line, self.next) = (0..0, 0);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Moves to the next whole line, or after the text's end to a last one without a newline; false when there is
    /// none yet. Errors with a line longer than 16 MiB.
    pub fn advance(&mut self, ended: bool) -> Result<bool, String> {
        let newline = self.buffer[self.searched..].iter().position(|&b| b == b'\n');
        let (end, next) = match newline {
            Some(at) => (self.searched + at, self.searched + at + 1),
            None if ended && self.next < self.buffer.len() => (self.buffer.len(), self.buffer.len()),
            None => {
                self.searched = self.buffer.len();
                self.refuse_endless(self.buffer.len() - self.next)?;
                return Ok(false);
            }
        };
        self.refuse_endless(end - self.next)?;
        self.line = self.next..end;
        (self.next, self.searched) = (next, next);
        self.count += 1;
        Ok(true)
    }

    /// The current line.
    pub fn line(&self) -> &[u8] {
        &self.buffer[self.line.clone()]
    }

    /// How many lines there have been, the current one included.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn refuse_endless(&self, bytes: usize) -> Result<(), String> {
        match bytes > LINE_BYTES_MAX {
            true => Err(format!(
                "line {} is longer than {LINE_BYTES_MAX} bytes",
                self.count + 1
            )),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_goes_on_across_compaction() {
        let mut lines = Lines::default();
        let block = b"0123456789abcdef0123456789abcde\n".repeat(1 << 14);
        let mut seen = 0;
        for _ in 0..5 {
            lines.push(&block);
            while lines.advance(false).unwrap() {
                seen += 1;
                assert_eq!((lines.count(), lines.line().len()), (seen, 31));
            }
        }
        assert_eq!(seen, 5 << 14);
        assert!(lines.buffer.len() <= COMPACT_BYTES + block.len());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(
            lines.advance(false).unwrap_err(),
            "line 1 is longer than 16777216 bytes"
        );
    }
}
