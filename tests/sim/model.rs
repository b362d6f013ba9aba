//! What clients know of the logs, and what must therefore be in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// One record's value: who sent it, and its number among those that this client sent to this partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    pub client: u32,
    pub number: u32,
}

/// A record as a consumer gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: i64,
    pub value: Value,
    /// Of the leader that appended it.
    pub leader_epoch: i32,
}

/// How often the broker has been started again after it died.
pub type Era = u32;

/// What all clients of a run have in common. They are on one thread; the lock is for the type's sake.
#[derive(Clone)]
pub struct Model(Arc<Mutex<Notes>>);

/// What was noted so far.
#[derive(Default)]
pub struct Notes {
    pub partitions: Vec<Known>,
    /// Requests that were answered as they should be, a record of a batch counting as one.
    pub operations: usize,
    pub era: Era,
    /// Clients that go on after a failure without knowing what came of it. On the way to the broker what they gave up may be overtaken
    /// by what they sent later on another connection.
    pub careless: BTreeSet<u32>,
    /// Batches that were sent again and turned out to have been written the first time.
    pub retries_after_lost_acks: u64,
    /// How often a partition was seen in another directory than before.
    pub moves: usize,
}

/// One partition as its clients saw it.
#[derive(Debug, Default)]
pub struct Known {
    /// Sent, and in which era first.
    sent: BTreeMap<Value, Era>,
    acknowledged: BTreeMap<Value, Acknowledged>,
    /// What a consumer was shown.
    read: BTreeMap<i64, Read>,
    newest_offset: i64,
}

#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    /// Where the broker said so.
    offset: Option<i64>,
    era: Era,
}

impl Value {
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.client.to_be_bytes());
        bytes[4..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Value {
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("a value has eight bytes"));
        Value {
            client: word(&bytes[..4]),
            number: word(&bytes[4..]),
        }
    }
}

impl Model {
    pub fn new(partitions: usize) -> Model {
        Model(Arc::new(Mutex::new(Notes {
            partitions: (0..partitions).map(|_| Known::default()).collect(),
            ..Notes::default()
        })))
    }

    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().expect("one thread")
    }

    pub fn sent(&self, partition: i32, value: Value) {
        let mut notes = self.notes();
        let era = notes.era;
        let known = &mut notes.partitions[partition as usize];
        known.sent.entry(value).or_insert(era);
    }

    /// `values` were acknowledged, the first of them at `offset` if the broker said where.
    pub fn acknowledged(&self, partition: i32, values: impl IntoIterator<Item = Value>, offset: Option<i64>) {
        let mut notes = self.notes();
        let era = notes.era;
        for (at, value) in values.into_iter().enumerate() {
            let offset = offset.map(|offset| offset + at as i64);
            notes.partitions[partition as usize].acknowledged(value, Acknowledged { offset, era });
            notes.operations += 1;
        }
    }

    /// A consumer saw it: what it sees there never changes.
    pub fn read(&self, partition: i32, read: Read) {
        self.notes().partitions[partition as usize].read(read);
    }

    /// A request was answered.
    pub fn operated(&self) {
        self.notes().operations += 1;
    }

    pub fn acknowledged_count(&self) -> usize {
        let notes = self.notes();
        notes
            .partitions
            .iter()
            .map(|known| known.acknowledged.len())
            .sum()
    }

    /// The newest offset of which anyone knows that it is written.
    pub fn newest_offset(&self, partition: i32) -> i64 {
        self.notes().partitions[partition as usize].newest_offset
    }

    /// Compares whole logs with what is known.
    pub fn check(&self, logs: &[Vec<Read>]) {
        let notes = self.notes();
        assert_eq!(notes.partitions.len(), logs.len());
        for (known, log) in notes.partitions.iter().zip(logs) {
            known.check(log, &notes.careless);
        }
    }
}

impl Known {
    fn acknowledged(&mut self, value: Value, acknowledged: Acknowledged) {
        assert!(self.sent.contains_key(&value), "{value:?} was never sent");
        let before = self.acknowledged.insert(value, acknowledged);
        assert!(before.is_none(), "{value:?} was acknowledged twice");
        let Some(offset) = acknowledged.offset else {
            return;
        };
        self.newest_offset = self.newest_offset.max(offset);
        if let Some(read) = self.read.get(&offset) {
            assert_eq!(
                read.value, value,
                "read at offset {offset} before it was acknowledged"
            );
        }
    }

    fn read(&mut self, read: Read) {
        assert!(self.sent.contains_key(&read.value), "{read:?} was never sent");
        let before = *self.read.entry(read.offset).or_insert(read);
        assert_eq!(before, read, "offset {} changed", read.offset);
        self.newest_offset = self.newest_offset.max(read.offset);
    }

    /// Everything acknowledged is there, once, where it was said to be; a consumer was shown nothing that isn't there; nothing came
    /// twice; each client's records stand in the order in which it sent them, of careless clients those that were acknowledged; each
    /// start of the broker wrote under an epoch of its own.
    fn check(&self, log: &[Read], careless: &BTreeSet<u32>) {
        let mut at: BTreeMap<Value, Read> = BTreeMap::new();
        let mut newest: BTreeMap<u32, u32> = BTreeMap::new();
        for read in log {
            let value = read.value;
            assert!(self.sent.contains_key(&value), "{read:?} was never sent");
            if let Some(first) = at.insert(value, *read) {
                panic!("{first:?} is there again at offset {}", read.offset);
            }
            let is_in_order = !careless.contains(&value.client) || self.acknowledged.contains_key(&value);
            if is_in_order && let Some(before) = newest.insert(value.client, value.number) {
                assert!(before < value.number, "{read:?} comes after {before}");
            }
        }
        for (value, acknowledged) in &self.acknowledged {
            match (at.get(value), acknowledged.offset) {
                (None, _) => panic!("{value:?} was {acknowledged:?} and is lost"),
                (Some(found), Some(offset)) => assert_eq!(found.offset, offset, "where {value:?} is"),
                (Some(_), None) => {}
            }
        }
        let by_offset: BTreeMap<i64, Read> = log.iter().map(|read| (read.offset, *read)).collect();
        for (offset, read) in &self.read {
            assert_eq!(by_offset.get(offset), Some(read), "a consumer was shown it");
        }
        self.check_epochs(&at);
    }

    /// What was sent only after the broker died stands under a later epoch than all that was acknowledged before.
    fn check_epochs(&self, at: &BTreeMap<Value, Read>) {
        let epoch_of = |value: &Value| at.get(value).map(|read| read.leader_epoch);
        let eras: BTreeSet<Era> = self.sent.values().copied().collect();
        for era in eras.into_iter().filter(|era| *era > 0) {
            let before = self.acknowledged.iter().filter(|(_, known)| known.era < era);
            let latest_before = before.filter_map(|(value, _)| epoch_of(value)).max();
            let since = self.sent.iter().filter(|(_, sent)| **sent >= era);
            let earliest_since = since.filter_map(|(value, _)| epoch_of(value)).min();
            if let (Some(before), Some(since)) = (latest_before, earliest_since) {
                assert!(
                    before < since,
                    "epoch {since} after the {era}th death, {before} before it"
                );
            }
        }
    }
}
