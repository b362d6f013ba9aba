//! Which partition a record goes to: Kafka's Java default partitioner, so that the same key lands on the same
//! partition whichever client wrote it.

use crate::base::PartitionIndex;

/// A keyless record's partition stays for this many bytes, then the next one takes over (KIP-794: Kafka's
/// `batch.size` default, so that small records still fill batches).
const STICKY_BYTES: usize = 16 * 1024;

/// Partition choice for one topic.
///
/// A keyed record goes to `murmur2(key) mod partitions`. Keyless records stay on one partition for
/// [`STICKY_BYTES`], then move to the next in turn. (Kafka draws the next at random; in turn is as even and
/// replays the same.)
#[derive(Debug)]
pub struct Partitioner {
    partitions: u32,
    sticky: u32,
    sticky_bytes: usize,
}

impl Partitioner {
    /// A partitioner for a topic of `partitions` partitions, at least one.
    pub fn new(partitions: usize) -> Partitioner {
        assert!(partitions > 0, "a topic has at least one partition");
        let partitions = u32::try_from(partitions).expect("partition indices are 32 bits wide");
        Partitioner {
            partitions,
            sticky: 0,
            sticky_bytes: 0,
        }
    }

    /// The partition for a record with this key (`None`: keyless) whose payload is `bytes` long.
    pub fn partition(&mut self, key: Option<&[u8]>, bytes: usize) -> PartitionIndex {
        let index = match key {
            Some(key) => to_positive(murmur2(key)) % self.partitions,
            None => self.next_sticky(bytes),
        };
        PartitionIndex(index as i32)
    }

    fn next_sticky(&mut self, bytes: usize) -> u32 {
        if self.sticky_bytes >= STICKY_BYTES {
            self.sticky = (self.sticky + 1) % self.partitions;
            self.sticky_bytes = 0;
        }
        self.sticky_bytes = self.sticky_bytes.saturating_add(bytes.max(1));
        self.sticky
    }
}

/// Kafka's `Utils.toPositive`: clears the sign bit (not the absolute value).
fn to_positive(hash: i32) -> u32 {
    (hash & 0x7fff_ffff) as u32
}

/// MurmurHash2, 32 bits, with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let mut h = SEED ^ data.len() as u32;
    let words = data.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Kafka 4.3.1's own `Utils.murmur2`.
    const KAFKAS_HASHES: &[(&[u8], i32)] = &[
        (b"", 275646681),
        (b"a", -1563381124),
        (b"ab", 316155434),
        (b"abc", 479470107),
        (b"abcd", -1323649548),
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"17077", -1673172377),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"\xff\x80\xfe\x81\x90", 234866925),
    ];

    #[test]
    fn hashes_as_kafka_does() {
        for (key, hash) in KAFKAS_HASHES {
            assert_eq!(murmur2(key), *hash, "key {:?}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn keyed_records_go_where_kafkas_default_partitioner_sends_them() {
        let mut partitioner = Partitioner::new(8);
        for (key, partition) in [("", 1), ("21", 4), ("foobar", 6), ("17077", 7), ("abcd", 4)] {
            assert_eq!(
                partitioner.partition(Some(key.as_bytes()), 10),
                PartitionIndex(partition),
                "key {key}"
            );
        }
    }

    #[test]
    fn keyless_records_change_partition_after_a_batchful_of_bytes() {
        let mut partitioner = Partitioner::new(3);
        let partitions: Vec<i32> = (0..8)
            .map(|_| partitioner.partition(None, STICKY_BYTES / 2).0)
            .collect();
        assert_eq!(partitions, [0, 0, 1, 1, 2, 2, 0, 0]);
    }

    #[test]
    fn empty_keyless_records_still_move_on() {
        let mut partitioner = Partitioner::new(2);
        let last = (0..=STICKY_BYTES)
            .map(|_| partitioner.partition(None, 0).0)
            .last();
        assert_eq!(last, Some(1));
    }
}
