//! The range assignor, as Kafka's `RangeAssignor`: it looks at no earlier assignment, only at the members' order.

use super::{Partitions, Reader, Readers};
use crate::base::PartitionIndex;

/// Each topic's partitions in runs, over its readers in the order of [`precedence`].
pub(super) fn assign(group: &Readers<'_>) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..group.members.len()).collect();
    order.sort_unstable_by(|a, b| precedence(&group.members[*a]).cmp(&precedence(&group.members[*b])));
    let mut shares = shares(group);
    let mut targets = vec![Partitions::default(); group.members.len()];
    for member in order {
        for topic in group.topics_of(member) {
            let run = shares[*topic].take();
            targets[member].add(group.topics[*topic].id, run.map(PartitionIndex));
        }
    }
    targets
}

/// Static members come first, by their instance ids: so that one that comes back with another member id gets what it had.
fn precedence<'a>(reader: &'a Reader<'_>) -> (bool, &'a str) {
    match reader.instance_id {
        Some(instance_id) => (false, instance_id),
        None => (true, reader.member_id),
    }
}

/// What is left of a topic to give out.
struct Share {
    next: i32,
    /// What each reader gets, and how many get one more.
    quota: i32,
    with_one_more: i32,
}

fn shares(group: &Readers<'_>) -> Vec<Share> {
    let readers = group.readers_by_topic();
    let share = |(topic, readers): (&super::Topic, &Vec<usize>)| {
        let readers = i32::try_from(readers.len()).unwrap_or(i32::MAX).max(1);
        Share {
            next: 0,
            quota: topic.partitions / readers,
            with_one_more: topic.partitions % readers,
        }
    };
    group.topics.iter().zip(&readers).map(share).collect()
}

impl Share {
    fn take(&mut self) -> std::ops::Range<i32> {
        let start = self.next;
        self.next += self.quota;
        if self.with_one_more > 0 {
            self.with_one_more -= 1;
            self.next += 1;
        }
        start..self.next
    }
}
