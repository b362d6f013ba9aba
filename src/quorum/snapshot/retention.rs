//! Which snapshots have had their time (Kafka's `KafkaMetadataLog.maybeClean`).

use super::files::Held;
use crate::base::Timestamp;

/// How many of `held`, oldest first, may go: while they and the log's `log_bytes` are more than `bytes_max`, or while the oldest is
/// older than `age_ms_max`. Negative: no limit. The newest always stays.
pub fn surplus(held: &[Held], log_bytes: u64, bytes_max: i64, age_ms_max: i64, now: Timestamp) -> usize {
    let mut total: u64 = log_bytes + held.iter().map(|snapshot| snapshot.bytes).sum::<u64>();
    let replaced = &held[..held.len().saturating_sub(1)];
    for (count, snapshot) in replaced.iter().enumerate() {
        let too_much = u64::try_from(bytes_max).is_ok_and(|max| total > max);
        let age_ms = now.0.saturating_sub(snapshot.last_contained.0);
        let too_old = age_ms_max >= 0 && age_ms > age_ms_max;
        if !too_much && !too_old {
            return count;
        }
        total -= snapshot.bytes;
    }
    replaced.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, Offset};
    use crate::quorum::snapshot::SnapshotId;

    #[test]
    fn the_oldest_go_by_size_and_age_and_the_newest_never() {
        let held: Vec<Held> = (0..4)
            .map(|n| Held {
                id: SnapshotId {
                    offset: Offset(n * 10),
                    epoch: LeaderEpoch(1),
                },
                bytes: 100,
                last_contained: Timestamp(n * 1000),
            })
            .collect();
        let table = [
            ((-1, -1, 1_000_000), 0),
            ((1000, -1, 0), 0),
            ((999, -1, 0), 1),
            ((800, -1, 0), 2),
            ((0, -1, 0), 3),
            ((-1, 0, 1000), 1),
            ((-1, 500, 1500), 1),
            ((-1, 500, 1501), 2),
            ((-1, 500, 2500), 2),
            ((-1, 0, 1_000_000), 3),
            ((999, 500, 1500), 1),
        ];
        for ((bytes, age, now), expected) in table {
            assert_eq!(
                surplus(&held, 600, bytes, age, Timestamp(now)),
                expected,
                "{bytes} {age} {now}"
            );
        }
        assert_eq!(surplus(&[], 600, 0, 0, Timestamp(0)), 0);
        assert_eq!(surplus(&held[..1], 600, 0, 0, Timestamp(1_000_000)), 0);
    }
}
