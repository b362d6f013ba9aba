//! Who of a group should have which partition: the assignors that run on the broker (KIP-848).
//!
//! An assignor sees the members' ids, subscriptions and what each was meant to have so far. It is a function of these alone, and costs
//! what it sees: about members + partitions, with a logarithm for those that move.

mod range;
#[cfg(test)]
mod tests;
mod uneven;
mod uniform;

use super::Partitions;
use crate::base::{PartitionIndex, TopicId};

/// The assignors there are, by the names that `group.consumer.assignors` and members give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Spreads all partitions evenly over the members, and moves as few as that allows.
    Uniform,
    /// Gives each member a run of each topic's partitions: the same of topics with as many partitions and the same readers, so that
    /// they can be joined.
    Range,
}

impl Assignor {
    /// The assignor of this name; Kafka's class names will do too.
    pub fn by_name(name: &str) -> Option<Assignor> {
        match name {
            "uniform" | "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => {
                Some(Assignor::Uniform)
            }
            "range" | "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => Some(Assignor::Range),
            _ => None,
        }
    }

    /// What members call it.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// What each member of `group` should have, in their order.
    pub(super) fn assign(self, group: &Readers<'_>) -> Vec<Partitions> {
        match self {
            Assignor::Range => range::assign(group),
            Assignor::Uniform if group.all_read_the_same() => uniform::assign(group),
            Assignor::Uniform => uneven::assign(group),
        }
    }
}

/// A group as an assignor sees it.
pub(super) struct Readers<'a> {
    /// The topics that somebody reads, ascending by id.
    pub topics: Vec<Topic>,
    /// The different sets of topics that members read: ascending indices into `topics`.
    pub subscriptions: Vec<Vec<usize>>,
    /// The members, ascending by id.
    pub members: Vec<Reader<'a>>,
}

/// A topic that exists.
#[derive(Clone, Copy)]
pub(super) struct Topic {
    pub id: TopicId,
    /// At least 0.
    pub partitions: i32,
}

/// A member.
pub(super) struct Reader<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    /// An index into [`Readers::subscriptions`].
    pub subscription: usize,
    /// What it was meant to have so far.
    pub target: &'a Partitions,
}

impl Readers<'_> {
    fn all_read_the_same(&self) -> bool {
        self.subscriptions.len() <= 1
    }

    /// The indices of the topics that `member` reads.
    fn topics_of(&self, member: usize) -> &[usize] {
        &self.subscriptions[self.members[member].subscription]
    }

    /// Who reads each topic: indices of members, ascending.
    fn readers_by_topic(&self) -> Vec<Vec<usize>> {
        let mut readers = vec![Vec::new(); self.topics.len()];
        for member in 0..self.members.len() {
            for topic in self.topics_of(member) {
                readers[*topic].push(member);
            }
        }
        readers
    }
}

/// Who is meant to have each partition: the members' targets so far, as far as these still hold, turned round.
struct Owners(Vec<Vec<Option<usize>>>);

impl Owners {
    /// A partition of which two members claim to be meant to have it, as no sound log says, is the first one's.
    fn so_far(group: &Readers<'_>) -> Owners {
        let empty = |topic: &Topic| vec![None; usize::try_from(topic.partitions).unwrap_or(0)];
        let mut owners = Owners(group.topics.iter().map(empty).collect());
        for (member, reader) in group.members.iter().enumerate() {
            for topic in group.topics_of(member) {
                for partition in reader.target.of(group.topics[*topic].id) {
                    let index = usize::try_from(partition.0).ok();
                    let owner = index.and_then(|index| owners.0[*topic].get_mut(index));
                    if let Some(owner @ None) = owner {
                        *owner = Some(member);
                    }
                }
            }
        }
        owners
    }

    /// How many partitions each of `members` has.
    fn counts(&self, members: usize) -> Vec<usize> {
        let mut counts = vec![0; members];
        for owner in self.0.iter().flatten().flatten() {
            counts[*owner] += 1;
        }
        counts
    }

    /// What each member of `group` should have, in their order.
    fn into_targets(self, group: &Readers<'_>) -> Vec<Partitions> {
        let mut targets = vec![Partitions::default(); group.members.len()];
        for (topic, owners) in group.topics.iter().zip(self.0) {
            for (partition, owner) in (0..).map(PartitionIndex).zip(owners) {
                if let Some(owner) = owner {
                    targets[owner].add(topic.id, [partition]);
                }
            }
        }
        targets
    }
}
