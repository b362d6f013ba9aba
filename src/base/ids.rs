//! Newtypes for the numbers that are too easily mixed up as plain integers.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A record's position in its partition, from 0. −1 stands for "unknown" on the wire.
    Offset(i64)
}
number! {
    /// How many leaders a partition has had; fences stale leaders and readers (KIP-101, KIP-320).
    LeaderEpoch(i32)
}
number! {
    /// A machine of the cluster: `node.id`. Placement, replication and broker configs go by it.
    NodeId(i32)
}
number! {
    /// What Metadata names to clients. With `ringlog.routing = node` it equals the node's id; with
    /// `core` each core is advertised as a broker of its own, so this is never a [`NodeId`].
    BrokerId(i32)
}
number! {
    /// One core of this node, from 0; an index into the node's executors, not a CPU number.
    CoreId(u16)
}
number! {
    /// A fetch session (KIP-227), at least 1; 0 stands for "none" on the wire.
    FetchSessionId(i32)
}
number! {
    /// A partition's index in its topic, from 0.
    PartitionIndex(i32)
}
number! {
    /// An idempotent producer's id; −1 when the batch has none (KIP-98).
    ProducerId(i64)
}
number! {
    /// A producer's epoch; the newer fences the older; −1 when the batch has none (KIP-98).
    ProducerEpoch(i16)
}

impl Offset {
    /// "Unknown", as Kafka's wire says it.
    pub const UNKNOWN: Offset = Offset(-1);
}

impl FetchSessionId {
    /// "No session", as Kafka's wire says it.
    pub const NONE: FetchSessionId = FetchSessionId(0);
}

impl LeaderEpoch {
    /// "No epoch given", as Kafka's wire says it.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// Kafka's `RecordBatch.NO_PRODUCER_ID`.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    /// Kafka's `RecordBatch.NO_PRODUCER_EPOCH`.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

impl CoreId {
    /// This core as an index into per-core tables.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A topic's id (KIP-516): a UUID that a deleted and created-again topic does not share.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// Kafka's `Uuid.ZERO_UUID`: "none".
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Whether this is Kafka's "none".
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Reads what [`fmt::Display`] writes: 22 characters of unpadded URL-safe base64.
    pub fn parse(text: &str) -> Option<TopicId> {
        if text.len() != 22 {
            return None;
        }
        let mut bits: u32 = 0;
        let mut bit_count = 0;
        let mut bytes = [0; 16];
        let mut at = 0;
        for c in text.bytes() {
            let value = BASE64_URL.iter().position(|&b| b == c)?;
            bits = bits << 6 | value as u32;
            bit_count += 6;
            if bit_count >= 8 && at < bytes.len() {
                bit_count -= 8;
                bytes[at] = (bits >> bit_count) as u8;
                at += 1;
            }
        }
        Some(TopicId(bytes))
    }
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for TopicId {
    /// Unpadded URL-safe base64, as Kafka's `Uuid.toString`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.0.chunks(3) {
            let mut three = [0u8; 3];
            three[..group.len()].copy_from_slice(group);
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for k in 0..=group.len() {
                let six = (bits >> (18 - 6 * k)) as usize & 63;
                write!(f, "{}", BASE64_URL[six] as char)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition, by its topic's id: what routing, mailboxes and the shards go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition in it.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_print_as_kafkas_uuids_and_read_back() {
        let id = TopicId([
            0xf3, 0x94, 0x1c, 0x2e, 0x07, 0xff, 0x80, 0x00, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89,
        ]);
        let text = id.to_string();
        assert_eq!(text, "85QcLgf_gACrze8BI0VniQ");
        assert_eq!(TopicId::parse(&text), Some(id));
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn malformed_topic_ids_are_refused() {
        assert_eq!(TopicId::parse("short"), None);
        assert_eq!(TopicId::parse("85QcLgf!gACrze8BI0VniQ"), None);
    }
}
