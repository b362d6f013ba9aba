//! What of a log is to be compacted, and whether it is worth it yet (Kafka's `LogCleanerManager.cleanableOffsets`,
//! `maxCompactionDelay` and `LogToClean`).

use crate::base::{Offset, Timestamp};

/// When a log is compacted; each is the topic config of the same name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionRules {
    /// `min.cleanable.dirty.ratio`: from this share of uncompacted bytes on, 0 to 1.
    pub dirty_ratio_min: f64,
    /// `min.compaction.lag.ms`: a segment with a younger record stays as it is, and what lies behind it.
    pub lag_min_ms: i64,
    /// `max.compaction.lag.ms`: older records do not wait for the share.
    pub lag_max_ms: i64,
    /// `delete.retention.ms`: how long tombstones and transaction markers stay, from their first compaction on.
    pub delete_retention_ms: i64,
}

impl CompactionRules {
    /// Whether records ever become so old that they are compacted for that.
    pub fn has_lag_max(&self) -> bool {
        self.lag_max_ms < i64::MAX
    }
}

/// What the decision looks at of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its base offset.
    pub base: Offset,
    /// The bytes of its batches.
    pub size_bytes: u64,
    /// Its largest timestamp; when its file was made if its records have none.
    pub latest: Timestamp,
    /// The timestamp of its first batch, or [`Timestamp::NONE`]. Only needed where [`CompactionRules::has_lag_max`].
    pub first: Timestamp,
}

/// Where a log can be compacted, and how much there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirt {
    /// Nothing before it was appended since the last compaction.
    pub first_dirty: Offset,
    /// The base offset of the first segment that must stay as it is.
    pub first_uncleanable: Offset,
    /// Bytes of the segments that begin before the dirty part.
    pub clean_bytes: u64,
    /// Bytes of the segments of the dirty part that can be compacted.
    pub cleanable_bytes: u64,
    /// Some of them are older than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Dirt {
    /// Looks at a log whose segments are `segments`, the last of them active or not to be touched either. It was compacted up to `cleaned`, if ever, and from
    /// `stable_end` on its records may still be taken back.
    pub fn find(
        segments: &[Candidate],
        range: std::ops::Range<Offset>,
        stable_end: Offset,
        cleaned: Option<Offset>,
        rules: &CompactionRules,
        now: Timestamp,
    ) -> Dirt {
        // A compaction of what the log has no more: its end was lost, or its start deleted.
        let first_dirty = cleaned
            .filter(|cleaned| (range.start..=range.end).contains(cleaned))
            .unwrap_or(range.start);
        let sealed = &segments[..segments.len() - 1];
        let dirty = &sealed[holder_of(sealed, first_dirty)..];
        let is_young =
            |segment: &&Candidate| segment.latest.0 > now.0.saturating_sub(rules.lag_min_ms.max(0));
        let first_young = match rules.lag_min_ms > 0 {
            true => dirty.iter().find(is_young).map(|segment| segment.base),
            false => None,
        };
        let active = segments[segments.len() - 1].base;
        let bound = stable_end.min(active).min(first_young.unwrap_or(active));
        let bound = bound.max(first_dirty);
        let first_uncleanable = match bound < active {
            true => segments[holder_of(sealed, bound)].base,
            false => active,
        };
        let is_cleanable = |segment: &&Candidate| segment.base < first_uncleanable;
        Dirt {
            first_dirty,
            first_uncleanable,
            clean_bytes: size_of(segments.iter().take_while(|segment| segment.base < first_dirty)),
            cleanable_bytes: match first_dirty < first_uncleanable {
                true => size_of(dirty.iter().take_while(is_cleanable)),
                false => 0,
            },
            is_overdue: is_overdue(dirty, rules, now),
        }
    }

    /// The share of the bytes that were not compacted yet, 0 to 1.
    pub fn ratio(&self) -> f64 {
        match self.clean_bytes + self.cleanable_bytes {
            0 => 0.0,
            total => self.cleanable_bytes as f64 / total as f64,
        }
    }

    /// Whether the log is to be compacted now.
    pub fn is_due(&self, rules: &CompactionRules) -> bool {
        (self.is_overdue && self.cleanable_bytes > 0) || self.ratio() > rules.dirty_ratio_min
    }
}

/// The place of the segment that holds `offset`; of the first if none does.
fn holder_of(segments: &[Candidate], offset: Offset) -> usize {
    let behind = segments.partition_point(|segment| segment.base <= offset);
    behind.saturating_sub(1)
}

fn is_overdue(dirty: &[Candidate], rules: &CompactionRules, now: Timestamp) -> bool {
    let limit = now.0.saturating_sub(rules.lag_max_ms);
    rules.has_lag_max()
        && dirty
            .iter()
            .any(|segment| segment.first.0 > 0 && segment.first.0 < limit)
}

fn size_of<'a>(segments: impl Iterator<Item = &'a Candidate>) -> u64 {
    segments.map(|segment| segment.size_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CompactionRules = CompactionRules {
        dirty_ratio_min: 0.5,
        lag_min_ms: 0,
        lag_max_ms: i64::MAX,
        delete_retention_ms: 0,
    };
    const NOW: Timestamp = Timestamp(10_000);

    /// Segments of 100 bytes at 0, 10, 20 … with times from 1,000, 2,000, 3,000 … on; the last is active.
    fn segments(count: i64) -> Vec<Candidate> {
        let segment = |n: i64| Candidate {
            base: Offset(10 * n),
            size_bytes: 100,
            latest: Timestamp(1000 * n + 1900),
            first: Timestamp(1000 * n + 1000),
        };
        (0..count).map(segment).collect()
    }

    fn found(cleaned: Option<i64>, stable: i64, rules: &CompactionRules) -> (i64, i64, u64, u64) {
        let dirt = Dirt::find(
            &segments(5),
            Offset(3)..Offset(47),
            Offset(stable),
            cleaned.map(Offset),
            rules,
            NOW,
        );
        (
            dirt.first_dirty.0,
            dirt.first_uncleanable.0,
            dirt.clean_bytes,
            dirt.cleanable_bytes,
        )
    }

    #[test]
    fn dirty_is_what_was_appended_since_the_last_compaction_but_for_the_active_segment() {
        for (cleaned, expected) in [
            (None, (3, 40, 100, 400)),
            (Some(20), (20, 40, 200, 200)),
            // In the middle of a segment: its bytes count on both sides, as in Kafka.
            (Some(25), (25, 40, 300, 200)),
            (Some(40), (40, 40, 400, 0)),
            (Some(44), (44, 40, 500, 0)),
            // Of a log that had more, or less.
            (Some(48), (3, 40, 100, 400)),
            (Some(2), (3, 40, 100, 400)),
        ] {
            assert_eq!(found(cleaned, 47, &RULES), expected, "{cleaned:?}");
        }
    }

    #[test]
    fn what_may_be_taken_back_or_is_young_stays_with_all_behind_it() {
        assert_eq!(found(Some(10), 35, &RULES), (10, 30, 100, 200));
        assert_eq!(found(Some(10), 10, &RULES), (10, 10, 100, 0));
        assert_eq!(found(Some(10), 5, &RULES), (10, 10, 100, 0));
        let lag = |lag_min_ms| CompactionRules { lag_min_ms, ..RULES };
        // The third segment's latest record is of 3,900.
        assert_eq!(found(Some(10), 47, &lag(6_099)), (10, 30, 100, 200));
        assert_eq!(found(Some(10), 47, &lag(6_100)), (10, 30, 100, 200));
        assert_eq!(found(Some(10), 47, &lag(6_101)), (10, 20, 100, 100));
        assert_eq!(found(Some(10), 47, &lag(i64::MAX)), (10, 10, 100, 0));
    }

    #[test]
    fn a_log_is_due_by_its_share_or_by_its_oldest_record() {
        let dirt = |cleaned, rules: &CompactionRules| {
            Dirt::find(
                &segments(5),
                Offset(0)..Offset(47),
                Offset(47),
                Some(Offset(cleaned)),
                rules,
                NOW,
            )
        };
        assert_eq!(dirt(20, &RULES).ratio(), 0.5);
        assert!(!dirt(20, &RULES).is_due(&RULES), "it must be more");
        assert!(dirt(10, &RULES).is_due(&RULES));
        assert!(!dirt(40, &RULES).is_due(&RULES));
        let lag = |lag_max_ms| CompactionRules { lag_max_ms, ..RULES };
        // The first dirty segment begins at 4,000.
        assert!(!dirt(30, &lag(6_000)).is_due(&lag(6_000)));
        assert!(dirt(30, &lag(5_999)).is_due(&lag(5_999)));
        assert!(!dirt(40, &lag(1)).is_due(&lag(1)), "nothing to compact");
    }

    #[test]
    fn a_log_of_one_segment_has_nothing_to_compact() {
        let dirt = Dirt::find(&segments(1), Offset(0)..Offset(9), Offset(9), None, &RULES, NOW);
        assert_eq!((dirt.cleanable_bytes, dirt.first_uncleanable), (0, Offset(0)));
        assert!(!dirt.is_due(&RULES));
    }
}
