//! Which core owns a partition: a pure function, so that any core (and later any node) can tell.

use crate::base::{CoreId, TopicPartition};

/// The core that owns `partition` on a node of `cores` cores: the highest of the rendezvous weights, so
/// that a node with one more core moves only the partitions which that core wins.
pub fn owner(partition: TopicPartition, cores: u16) -> CoreId {
    assert!(cores > 0, "a node has at least one core");
    let key = partition_key(partition);
    (0..cores)
        .map(CoreId)
        .max_by_key(|core| weight(key, *core))
        .unwrap_or_default()
}

fn partition_key(partition: TopicPartition) -> u64 {
    let (high, low) = partition.topic.0.split_at(8);
    let word = |bytes: &[u8]| bytes.iter().fold(0u64, |word, b| word << 8 | u64::from(*b));
    mix(word(high) ^ mix(word(low) ^ mix(partition.partition.0 as u64)))
}

fn weight(key: u64, core: CoreId) -> u64 {
    mix(key ^ mix(u64::from(core.0) + 1))
}

/// The finalizer of SplitMix64: every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{PartitionIndex, TopicId};

    fn partitions() -> impl Iterator<Item = TopicPartition> {
        (0u32..100).flat_map(|topic| {
            (0..10).map(move |partition| {
                let mut id = [0; 16];
                id[12..].copy_from_slice(&topic.to_be_bytes());
                TopicPartition {
                    topic: TopicId(id),
                    partition: PartitionIndex(partition),
                }
            })
        })
    }

    #[test]
    fn every_core_owns_its_share() {
        let mut owned = [0; 4];
        for partition in partitions() {
            owned[owner(partition, 4).index()] += 1;
        }
        assert!(
            owned.iter().all(|count| (200..300).contains(count)),
            "1,000 partitions as {owned:?}"
        );
    }

    #[test]
    fn one_more_core_takes_partitions_and_moves_no_other() {
        for partition in partitions() {
            let (before, after) = (owner(partition, 3), owner(partition, 4));
            assert!(
                after == before || after == CoreId(3),
                "{partition} moved from {before} to {after}"
            );
        }
    }

    /// The map is part of the format of a node: data directories are opened by it.
    #[test]
    fn the_map_does_not_change() {
        let owners: Vec<u16> = partitions()
            .take(12)
            .map(|partition| owner(partition, 2).0)
            .collect();
        assert_eq!(owners, EXPECTED);
    }

    const EXPECTED: [u16; 12] = [0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1];
}
