//! The records of a batch as the table of keys is asked about them: some at once.
//!
//! A place in the table is anywhere in memory, and to fetch it takes longer than everything else that is done for a record. One after the
//! other they would be waited for one by one; of those that are known together the CPU fetches many at the same time.

use crate::base::Offset;
use crate::wire::batch::{BatchError, RecordIter};

use super::key_map::{KeyHash, KeyMap};
use super::pace::RECORDS_PER_TURN;

/// What counts of a record.
#[derive(Clone, Copy, Debug)]
pub struct Keyed {
    pub offset: Offset,
    /// None for a record without a key.
    pub key: Option<KeyHash>,
    pub is_tombstone: bool,
}

/// Reads the next records, as many as are one turn's, into `turn`, which is empty behind the last. What `keys` has of them is near then.
///
/// # Errors
/// One of them can't be read.
pub fn read_turn(
    records: &mut RecordIter<'_>,
    keys: &KeyMap,
    turn: &mut Vec<Keyed>,
) -> Result<(), BatchError> {
    turn.clear();
    for record in records.take(RECORDS_PER_TURN) {
        let record = record?;
        turn.push(Keyed {
            offset: record.offset,
            key: record.key.map(|key| keys.hash(key)),
            is_tombstone: record.value.is_none(),
        });
    }
    keys.approach(turn.iter().filter_map(|record| record.key));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::key_map::{KeyMapLimits, KeySecret};
    use super::*;
    use crate::base::{LeaderEpoch, Timestamp};
    use crate::wire::batch::{BatchBuilder, BatchView};
    use crate::wire::compression::Codec;

    /// A batch at offset 100: a record without a key, a tombstone, then others of a key each.
    fn batch(records: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Codec::None).at(Offset(100), LeaderEpoch(0));
        for n in 0..records {
            let key = n.to_be_bytes();
            let (key, value) = ((n != 0).then_some(&key[..]), (n != 1).then_some(&b"v"[..]));
            builder.add(Timestamp(0), key, value, &[]);
        }
        builder.build().to_vec()
    }

    #[test]
    fn turns_have_every_record_once_and_in_order() {
        let limits = KeyMapLimits {
            bytes_max: 1 << 20,
            load_factor: 0.9,
        };
        let keys = KeyMap::new(limits, 1, KeySecret([1, 2]));
        for (count, lens) in [(1, &[1][..]), (64, &[64]), (65, &[64, 1]), (150, &[64, 64, 22])] {
            let bytes = batch(count);
            let view = BatchView::first(&bytes).unwrap();
            let mut records = view.records(view.raw_records());
            let (mut turn, mut all, mut found_lens) = (Vec::new(), Vec::new(), Vec::new());
            loop {
                read_turn(&mut records, &keys, &mut turn).unwrap();
                if turn.is_empty() {
                    break;
                }
                found_lens.push(turn.len());
                all.extend_from_slice(&turn);
            }
            assert_eq!(found_lens, lens);
            for (n, record) in all.iter().enumerate() {
                assert_eq!(record.offset, Offset(100 + n as i64));
                let key = (n != 0).then(|| keys.hash(&n.to_be_bytes()));
                assert_eq!((record.key, record.is_tombstone), (key, n == 1));
            }
        }
    }
}
