//! Where the last record of each key is: a table of bounded size over a range of a log (Kafka's `OffsetMap`).
//!
//! A key is known by 128 bits of SipHash-2-4 under a secret of the table's own: two keys that share them would cost one of them its record,
//! and nobody who doesn't know the secret can make such a pair. The table is sorted by these hashes, so that a look for a key that isn't
//! there ends early also in a full table: a hash's place is its share of the table, and whatever finds its place taken goes behind, smaller
//! hashes first.

use std::hint::black_box;

use siphasher::sip128::SipHasher24;

use crate::base::Offset;
use crate::io::{Planted, is_planted};

/// Bytes of one key: 16 of its hash, 8 of its offset. Kafka's table takes as many.
pub const ENTRY_BYTES: usize = 24;

/// How full a table gets at most: beyond, what finds its place taken goes far.
const LOAD_MAX: f64 = 0.95;

/// Places behind the last hash's own, for what is pushed there. Runs of taken places are far shorter at [`LOAD_MAX`], and a run that
/// is not makes the table full.
const PLACES_BEHIND: usize = 4096;

/// Two halves of a hash, and the offset plus 1: all zeros are an empty place.
type Entry = [u64; 3];

/// What a key is known by, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash([u64; 2]);

/// What nobody else may know of a table: chosen by chance, for it alone.
#[derive(Clone, Copy)]
pub struct KeySecret(pub [u64; 2]);

impl KeyHash {
    fn of_entry(entry: &Entry) -> KeyHash {
        KeyHash([entry[0], entry[1]])
    }
}

/// See the module.
pub struct KeyMap {
    hasher: SipHasher24,
    entries: Vec<Entry>,
    /// Hashes have their places among so many.
    places: usize,
    len: usize,
    len_max: usize,
    /// The range that is covered ends with this offset.
    latest: Offset,
}

/// How large a table may become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyMapLimits {
    /// Memory; one key is held whatever it is.
    pub bytes_max: usize,
    /// How full it may become, of 1.
    pub load_factor: f64,
}

impl KeyMapLimits {
    /// Kafka's least for a cleaner thread.
    pub const BYTES_MIN: usize = 1 << 20;

    /// Keys that a table of this size holds.
    fn keys_max(&self) -> usize {
        let places = self.bytes_max / ENTRY_BYTES;
        (places as f64 * self.load_factor()) as usize
    }

    fn load_factor(&self) -> f64 {
        self.load_factor.clamp(0.05, LOAD_MAX)
    }
}

impl KeyMap {
    /// An empty table for `keys_max` keys, or as many as the limits let. Memory is taken as it fills.
    pub fn new(limits: KeyMapLimits, keys_max: u64, secret: KeySecret) -> KeyMap {
        let len_max = limits
            .keys_max()
            .min(usize::try_from(keys_max).unwrap_or(usize::MAX))
            .max(1);
        let places = (len_max as f64 / limits.load_factor()).ceil() as usize;
        let KeySecret([first, second]) = secret;
        KeyMap {
            hasher: SipHasher24::new_with_keys(first, second),
            entries: vec![[0; 3]; places + PLACES_BEHIND.min(len_max)],
            places,
            len: 0,
            len_max,
            latest: Offset::UNKNOWN,
        }
    }

    /// What `key` is known by here.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let hash = self.hasher.hash(key);
        KeyHash([hash.h1, hash.h2])
    }

    /// Notes that a record of `key` is at `offset`, behind those noted before. False when the table is full: then it knows
    /// nothing of this record, and takes no more.
    pub fn put(&mut self, key: KeyHash, offset: Offset) -> bool {
        if self.len >= self.len_max {
            if is_planted(Planted::FullKeyMapForgets) {
                self.clobber_one(offset);
            }
            return false;
        }
        let at = self.place_of(key);
        let Some(entry) = self.entries.get(at) else {
            return self.fill_up();
        };
        if !is_of(entry, key) {
            let Some(free) = self.entries[at..].iter().position(|entry| entry[2] == 0) else {
                return self.fill_up();
            };
            self.entries.copy_within(at..at + free, at + 1);
            self.len += 1;
        }
        self.entries[at] = [key.0[0], key.0[1], offset.0 as u64 + 1];
        self.latest = offset;
        true
    }

    /// What the planted bug does: the first key is taken to be superseded at `offset`.
    fn clobber_one(&mut self, offset: Offset) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry[2] != 0) {
            entry[2] = offset.0 as u64 + 1;
        }
    }

    fn fill_up(&mut self) -> bool {
        self.len_max = self.len;
        false
    }

    /// The offset of the last record of `key` that was noted.
    pub fn get(&self, key: KeyHash) -> Option<Offset> {
        let entry = self.entries.get(self.place_of(key))?;
        is_of(entry, key).then(|| Offset(entry[2] as i64 - 1))
    }

    /// Has the places of all these keys fetched from memory at the same time, for those who ask for them next.
    pub fn approach(&self, keys: impl Iterator<Item = KeyHash>) {
        // No read waits for the one before it, as it does where what was read decides what to do next.
        let fetched = keys.fold(0, |fetched, key| {
            fetched | self.entries[self.own_place_of(key)][2]
        });
        black_box(fetched);
    }

    /// Everything up to here was noted.
    pub fn reach(&mut self, offset: Offset) {
        self.latest = self.latest.max(offset);
    }

    /// Up to where it knows the last record of each key; what lies behind is newer than it.
    pub fn latest(&self) -> Offset {
        self.latest
    }

    /// How many keys it knows.
    pub fn key_count(&self) -> usize {
        self.len
    }

    /// Where the key is, or would have to be put; behind the table when that is full there.
    fn place_of(&self, key: KeyHash) -> usize {
        let mut at = self.own_place_of(key);
        while let Some(entry) = self.entries.get(at)
            && entry[2] != 0
            && KeyHash::of_entry(entry) < key
        {
            at += 1;
        }
        at
    }

    /// Where the key is unless others of smaller hashes are there.
    fn own_place_of(&self, key: KeyHash) -> usize {
        ((u128::from(key.0[0]) * self.places as u128) >> 64) as usize
    }
}

fn is_of(entry: &Entry, key: KeyHash) -> bool {
    entry[2] != 0 && KeyHash::of_entry(entry) == key
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: KeyMapLimits = KeyMapLimits {
        bytes_max: 1 << 20,
        load_factor: 0.9,
    };

    const SECRET: KeySecret = KeySecret([1, 2]);

    #[test]
    fn a_full_table_takes_no_more_and_forgets_nothing() {
        let mut map = KeyMap::new(LIMITS, u64::MAX, SECRET);
        let fits = (1 << 20) / ENTRY_BYTES * 9 / 10;
        let mut taken = 0;
        while map.put(map.hash(&u64::to_be_bytes(taken)), Offset(taken as i64)) {
            taken += 1;
        }
        assert_eq!((taken as usize, map.key_count()), (fits, fits));
        assert!(
            !map.put(map.hash(&[0; 8]), Offset(99_999)),
            "not even a key that it knows"
        );
        assert_eq!(map.latest(), Offset(taken as i64 - 1));
        for key in 0..taken {
            assert_eq!(map.get(map.hash(&key.to_be_bytes())), Some(Offset(key as i64)));
        }
        for key in taken..2 * taken {
            assert_eq!(map.get(map.hash(&key.to_be_bytes())), None);
        }
    }

    #[test]
    fn a_range_of_few_records_takes_little_memory_and_holds_them_all() {
        let mut map = KeyMap::new(LIMITS, 10, SECRET);
        assert!(map.entries.len() < 30);
        assert!((0..10).all(|n: i64| map.put(map.hash(&n.to_be_bytes()), Offset(n))));
        assert!(!map.put(map.hash(b"one more"), Offset(10)));
        let mut least = KeyMap::new(LIMITS, 0, SECRET);
        assert!(least.put(least.hash(b""), Offset(0)), "never none");
    }

    #[test]
    fn what_was_reached_without_a_key_counts() {
        let mut map = KeyMap::new(LIMITS, 10, SECRET);
        assert_eq!(map.latest(), Offset::UNKNOWN);
        map.put(map.hash(b"a"), Offset(3));
        map.reach(Offset(9));
        map.reach(Offset(5));
        assert_eq!(
            (map.latest(), map.get(map.hash(b"a"))),
            (Offset(9), Some(Offset(3)))
        );
    }

    #[test]
    fn every_table_knows_a_key_by_something_else() {
        let one = KeyMap::new(LIMITS, 10, KeySecret([1, 2]));
        for secret in [[2, 1], [1, 3], [3, 2]] {
            let other = KeyMap::new(LIMITS, 10, KeySecret(secret));
            assert_ne!(one.hash(b"a"), other.hash(b"a"));
        }
        assert_ne!(one.hash(b"a"), one.hash(b"b"));
    }

    proptest! {
        #[test]
        fn it_is_a_map_until_it_is_full(keys in prop::collection::vec(0u16..400, 0..600), keys_max in 1u64..300) {
            let mut map = KeyMap::new(LIMITS, keys_max, SECRET);
            let mut model = BTreeMap::new();
            for (offset, key) in (0..).zip(&keys) {
                if !map.put(map.hash(&key.to_be_bytes()), Offset(offset)) {
                    prop_assert!(model.len() as u64 >= keys_max);
                    break;
                }
                model.insert(*key, Offset(offset));
            }
            prop_assert_eq!(map.key_count(), model.len());
            for key in 0..400u16 {
                prop_assert_eq!(map.get(map.hash(&key.to_be_bytes())), model.get(&key).copied());
            }
        }
    }
}
