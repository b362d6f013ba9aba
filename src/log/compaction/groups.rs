//! Which segments become one (Kafka's `Cleaner.groupSegmentsBySize`): as many as fit the limits of a segment as they are now. What
//! is compacted often leaves small ones, which so grow together over time.

use std::ops::Range;

use crate::base::Offset;

/// So many segments at most become one: the names of all of them change in one step, on the core.
pub const SEGMENTS_MAX: usize = 32;

/// What the decision looks at of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its base offset.
    pub base: Offset,
    /// The base offset of the one behind it.
    pub end: Offset,
    /// The bytes of its batches.
    pub size_bytes: u64,
    /// Bytes of its larger index.
    pub index_bytes: [u64; 2],
}

/// The limits of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// `segment.bytes`.
    pub bytes_max: u64,
    /// `segment.index.bytes`, of either index.
    pub index_bytes_max: u64,
}

/// The groups, in order; each is of one segment at least.
pub fn groups(members: &[Member], limits: GroupLimits) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut from = 0;
    while from < members.len() {
        let count = group_len(&members[from..], limits);
        groups.push(from..from + count);
        from += count;
    }
    groups
}

fn group_len(members: &[Member], limits: GroupLimits) -> usize {
    let first = &members[0];
    let (mut bytes, mut index_bytes) = (first.size_bytes, first.index_bytes);
    let fits = |member: &&Member| {
        bytes += member.size_bytes;
        (0..2).for_each(|n| index_bytes[n] += member.index_bytes[n]);
        let span = member.end.0 - 1 - first.base.0;
        bytes <= limits.bytes_max
            && index_bytes.iter().all(|bytes| *bytes <= limits.index_bytes_max)
            && (span <= i64::from(i32::MAX) || member.size_bytes == 0)
    };
    1 + members[1..]
        .iter()
        .take(SEGMENTS_MAX - 1)
        .take_while(fits)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GroupLimits = GroupLimits {
        bytes_max: 100,
        index_bytes_max: 80,
    };

    /// Segments of those sizes, ten offsets each.
    fn sized(sizes: &[u64]) -> Vec<Member> {
        let member = |(n, &size_bytes): (i64, &u64)| Member {
            base: Offset(10 * n),
            end: Offset(10 * n + 10),
            size_bytes,
            index_bytes: [8, 12],
        };
        (0..).zip(sizes).map(member).collect()
    }

    fn lens(members: &[Member], limits: GroupLimits) -> Vec<usize> {
        let groups = groups(members, limits);
        let ends = groups.iter().map(|group| group.end);
        assert!(
            ends.zip(&groups[1.min(groups.len())..])
                .all(|(end, next)| end == next.start)
        );
        groups.iter().map(Range::len).collect()
    }

    #[test]
    fn as_many_as_fit_the_limits_become_one() {
        for (sizes, expected) in [
            (&[][..], &[][..]),
            (&[500], &[1]),
            (&[50, 50], &[2]),
            (&[50, 51], &[1, 1]),
            (&[60, 60, 30, 10, 1], &[1, 3, 1]),
            (&[100, 0, 0, 1], &[3, 1]),
            // Six time indexes fill one.
            (&[1; 8], &[6, 2]),
        ] {
            assert_eq!(lens(&sized(sizes), LIMITS), expected, "{sizes:?}");
        }
    }

    #[test]
    fn offsets_that_an_index_could_not_hold_end_a_group() {
        let mut members = sized(&[10, 10, 10]);
        members[2].end = Offset(i64::from(i32::MAX) + 1);
        assert_eq!(lens(&members, LIMITS), [3]);
        members[2].end.0 += 1;
        assert_eq!(lens(&members, LIMITS), [2, 1]);
        members[2].size_bytes = 0;
        assert_eq!(lens(&members, LIMITS), [3], "an empty one has none");
    }

    #[test]
    fn a_group_is_bounded_whatever_fits() {
        let limits = GroupLimits {
            bytes_max: u64::MAX,
            index_bytes_max: u64::MAX,
        };
        let lens: Vec<usize> = groups(&sized(&[1; 70]), limits).iter().map(Range::len).collect();
        assert_eq!(lens, [SEGMENTS_MAX, SEGMENTS_MAX, 6]);
    }
}
