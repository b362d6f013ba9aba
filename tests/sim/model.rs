//! What clients know of one partition's log, and what must therefore be in it.

use std::collections::{BTreeMap, BTreeSet};

/// One record's value: who sent it, and its number among those that this client sent to this partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    pub client: u32,
    pub number: u32,
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

/// One partition as its clients saw it.
#[derive(Debug, Default)]
pub struct Known {
    /// Sent at least once.
    sent: BTreeSet<Value>,
    /// Acknowledged, and at which offset where the broker said so.
    acknowledged: BTreeMap<Value, Option<i64>>,
    /// Read by a consumer.
    read: BTreeMap<i64, Value>,
}

impl Known {
    pub fn sent(&mut self, value: Value) {
        self.sent.insert(value);
    }

    pub fn acknowledged(&mut self, value: Value, offset: Option<i64>) {
        assert!(self.sent.contains(&value), "{value:?} was never sent");
        let before = self.acknowledged.insert(value, offset);
        assert_eq!(before, None, "{value:?} was acknowledged twice");
        if let Some(offset) = offset
            && let Some(read) = self.read.get(&offset)
        {
            assert_eq!(*read, value, "read at offset {offset} before it was acknowledged");
        }
    }

    /// A consumer saw `value` at `offset`: what it sees there never changes.
    pub fn read(&mut self, offset: i64, value: Value) {
        assert!(
            self.sent.contains(&value),
            "{value:?} at offset {offset} was never sent"
        );
        let before = *self.read.entry(offset).or_insert(value);
        assert_eq!(before, value, "offset {offset} changed");
    }

    pub fn acknowledged_count(&self) -> usize {
        self.acknowledged.len()
    }

    /// Compares the whole log with what is known: everything acknowledged is there, once, where it was said to be; a
    /// consumer was shown nothing that isn't there; nothing came twice; each client's records stand in the order in which it sent them.
    pub fn check(&self, log: &[(i64, Value)]) {
        let mut at: BTreeMap<Value, i64> = BTreeMap::new();
        let mut newest: BTreeMap<u32, u32> = BTreeMap::new();
        for (offset, value) in log {
            assert!(
                self.sent.contains(value),
                "{value:?} at offset {offset} was never sent"
            );
            if let Some(first) = at.insert(*value, *offset) {
                panic!("{value:?} is at offset {first} and at offset {offset}");
            }
            if let Some(before) = newest.insert(value.client, value.number) {
                assert!(
                    before < value.number,
                    "{value:?} at offset {offset} comes after {before}"
                );
            }
        }
        for (value, offset) in &self.acknowledged {
            match (at.get(value), offset) {
                (None, _) => panic!("{value:?} was acknowledged at {offset:?} and is lost"),
                (Some(found), Some(offset)) => assert_eq!(found, offset, "where {value:?} is"),
                (Some(_), None) => {}
            }
        }
        for (offset, value) in &self.read {
            let found = log.iter().find(|(at, _)| at == offset).map(|(_, value)| value);
            assert_eq!(found, Some(value), "a consumer was shown offset {offset}");
        }
    }
}
