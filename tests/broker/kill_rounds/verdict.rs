//! What a partition must hold of one producer, who numbers its records from 0 on: a pure comparison of what was sent,
//! acknowledged and found.

use std::ops::{AddAssign, Range};

/// What one producer knows of one partition.
pub struct Expected<'a> {
    /// The batches that were acknowledged, in order: all records before the last one's end.
    pub acknowledged: &'a [Acknowledged],
    /// Only numbers below were ever sent.
    pub sent: u64,
    /// Of a compacted topic: the key of a number is its remainder by this.
    pub keys: Option<u64>,
}

/// A batch that was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Its records' numbers.
    pub numbers: Range<u64>,
    /// The offset that its first record got.
    pub offset: i64,
}

/// A record as it lies in the log.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub number: u64,
    pub offset: i64,
}

/// How many records are as they must be, and how many are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Found for the first time.
    pub found: u64,
    /// Not there because a newer record of the same key is.
    pub superseded: u64,
    /// Acknowledged and not there.
    pub lost: u64,
    /// Not acknowledged and not there, though a later one is: an idempotent producer's records have no gap.
    pub skipped: u64,
    /// There again.
    pub twice: u64,
    /// Behind a later one.
    pub reordered: u64,
    /// At another offset than the acknowledgement said.
    pub misplaced: u64,
    /// Never sent.
    pub unknown: u64,
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Verdict) {
        self.found += other.found;
        self.superseded += other.superseded;
        self.lost += other.lost;
        self.skipped += other.skipped;
        self.twice += other.twice;
        self.reordered += other.reordered;
        self.misplaced += other.misplaced;
        self.unknown += other.unknown;
    }
}

impl Verdict {
    /// All records that are there or need not be.
    pub fn judged(&self) -> u64 {
        self.found + self.superseded
    }

    /// Whether every record is as it must be.
    pub fn is_good(&self) -> bool {
        let good = Verdict {
            found: self.found,
            superseded: self.superseded,
            ..Verdict::default()
        };
        *self == good
    }
}

/// Compares what was found, in the order of the log, with what must be there.
pub fn judge(found: &[Found], expected: &Expected<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let offsets = place(found, expected.sent, &mut verdict);
    let end = offsets
        .iter()
        .rposition(Option::is_some)
        .map_or(0, |last| last + 1);
    let acknowledged = expected.acknowledged.last().map_or(0, |last| last.numbers.end);
    let mut newer_keys = vec![false; expected.keys.unwrap_or(0) as usize];
    for number in (0..acknowledged.max(end as u64)).rev() {
        let is_there = offsets[number as usize].is_some();
        let newer = expected
            .keys
            .map(|keys| &mut newer_keys[(number % keys) as usize]);
        match newer {
            Some(newer) if is_there => *newer = true,
            Some(true) => verdict.superseded += 1,
            _ if is_there => {}
            _ if number < acknowledged => verdict.lost += 1,
            _ => verdict.skipped += 1,
        }
    }
    verdict.misplaced = misplaced(&offsets, expected.acknowledged);
    verdict
}

/// The offset of each number that was found.
fn place(found: &[Found], sent: u64, verdict: &mut Verdict) -> Vec<Option<i64>> {
    let mut offsets = vec![None; sent as usize];
    let mut next = 0;
    for record in found {
        match offsets.get_mut(record.number as usize) {
            None => verdict.unknown += 1,
            Some(Some(_)) => verdict.twice += 1,
            Some(place) => {
                *place = Some(record.offset);
                verdict.found += 1;
                verdict.reordered += u64::from(record.number < next);
                next = next.max(record.number + 1);
            }
        }
    }
    offsets
}

fn misplaced(offsets: &[Option<i64>], acknowledged: &[Acknowledged]) -> u64 {
    let mut misplaced = 0;
    for batch in acknowledged {
        for (told, number) in (batch.offset..).zip(batch.numbers.clone()) {
            let found = offsets[number as usize];
            misplaced += u64::from(found.is_some_and(|offset| offset != told));
        }
    }
    misplaced
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of ten records sent the first six were acknowledged, at offsets from 100 on.
    fn verdict(numbers: &[u64], keys: Option<u64>) -> Verdict {
        let acknowledged =
            [(0..4, 100), (4..6, 104)].map(|(numbers, offset)| Acknowledged { numbers, offset });
        let found: Vec<Found> = numbers
            .iter()
            .map(|number| Found {
                number: *number,
                offset: 100 + *number as i64,
            })
            .collect();
        let expected = Expected {
            acknowledged: &acknowledged,
            sent: 10,
            keys,
        };
        judge(&found, &expected)
    }

    fn good(found: u64, superseded: u64) -> Verdict {
        Verdict {
            found,
            superseded,
            ..Verdict::default()
        }
    }

    #[test]
    fn acknowledged_records_must_be_there_and_others_may_be() {
        assert_eq!(verdict(&[0, 1, 2, 3, 4, 5], None), good(6, 0));
        assert_eq!(verdict(&[0, 1, 2, 3, 4, 5, 6, 7], None), good(8, 0));
        let bad = verdict(&[0, 1, 3, 4], None);
        assert_eq!((bad.lost, bad.found, bad.is_good()), (2, 4, false));
        let bad = verdict(&[0, 1, 2, 3, 4, 5, 7], None);
        assert_eq!((bad.skipped, bad.lost), (1, 0));
        assert_eq!(verdict(&[0, 1, 2, 3, 4, 5, 10], None).unknown, 1);
    }

    #[test]
    fn order_and_number_of_times_count() {
        let bad = verdict(&[0, 1, 2, 2, 3, 4, 5, 1], None);
        assert_eq!((bad.twice, bad.reordered, bad.found), (2, 0, 6));
        let bad = verdict(&[0, 2, 1, 3, 4, 5], None);
        assert_eq!((bad.twice, bad.reordered, bad.lost), (0, 1, 0));
    }

    #[test]
    fn a_record_stands_where_its_acknowledgement_said() {
        let acknowledged = [Acknowledged {
            numbers: 0..2,
            offset: 7,
        }];
        let found = [(0, 7), (1, 9)].map(|(number, offset)| Found { number, offset });
        let expected = Expected {
            acknowledged: &acknowledged,
            sent: 2,
            keys: None,
        };
        assert_eq!(judge(&found, &expected).misplaced, 1);
    }

    #[test]
    fn compaction_may_take_what_a_newer_record_of_its_key_supersedes() {
        // Keys 0, 1, 2 in turn.
        assert_eq!(verdict(&[3, 4, 5], Some(3)), good(3, 3));
        assert_eq!(verdict(&[1, 3, 4, 5], Some(3)), good(4, 2));
        // 6 has not been acknowledged, and supersedes 3 all the same.
        assert_eq!(verdict(&[4, 5, 6], Some(3)), good(3, 4));
        let bad = verdict(&[3, 5], Some(3));
        assert_eq!((bad.lost, bad.superseded), (2, 2));
    }
}
