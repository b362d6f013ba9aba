//! The uniform assignor where members read different topics, as Kafka's `UniformHeterogeneousAssignmentBuilder`.

use super::{Owners, Partitions, Readers};
use crate::base::TopicId;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How often all topics are gone through to even out the members. Each round costs readers × topics; more than a few are needed only
/// where topics with few common readers lean on each other in a chain.
const ROUNDS_MAX: usize = 16;

/// Each member keeps what it was meant to have; what nobody has goes to the topic's least loaded reader; then partitions move, topic by
/// topic, from the most to the least loaded reader until these differ by at most one.
pub(super) fn assign(group: &Readers<'_>) -> Vec<Partitions> {
    let mut spread = Spread::new(group);
    let order = spread.hardest_first();
    for topic in &order {
        spread.give_out(*topic);
    }
    for _ in 0..ROUNDS_MAX {
        let moved: usize = order.iter().map(|topic| spread.even_out(*topic)).sum();
        if moved == 0 {
            break;
        }
    }
    spread.owners.into_targets(group)
}

struct Spread<'a> {
    group: &'a Readers<'a>,
    readers: Vec<Vec<usize>>,
    owners: Owners,
    /// How many partitions each member has.
    loads: Vec<usize>,
}

impl<'a> Spread<'a> {
    fn new(group: &'a Readers<'a>) -> Spread<'a> {
        let owners = Owners::so_far(group);
        Spread {
            group,
            readers: group.readers_by_topic(),
            loads: owners.counts(group.members.len()),
            owners,
        }
    }

    /// The topics that somebody reads: most partitions for each reader first, then fewest readers, then by id.
    fn hardest_first(&self) -> Vec<usize> {
        let mut topics: Vec<usize> = (0..self.readers.len())
            .filter(|t| !self.readers[*t].is_empty())
            .collect();
        topics.sort_by(|a, b| {
            self.load_for_each(*b)
                .cmp(&self.load_for_each(*a))
                .then(self.rank(*a).cmp(&self.rank(*b)))
        });
        topics
    }

    /// Partitions for each reader, in 2⁻³² of one: to compare by, without floating point.
    fn load_for_each(&self, topic: usize) -> u64 {
        let partitions = u64::try_from(self.group.topics[topic].partitions).unwrap_or(0);
        (partitions << 32) / self.readers[topic].len() as u64
    }

    fn rank(&self, topic: usize) -> (usize, TopicId) {
        (self.readers[topic].len(), self.group.topics[topic].id)
    }

    /// The readers of `topic` with their loads, the least loaded first.
    fn by_load(&self, topic: usize) -> BTreeSet<(usize, usize)> {
        self.readers[topic]
            .iter()
            .map(|member| (self.loads[*member], *member))
            .collect()
    }

    /// Gives each partition of `topic` that nobody has to its least loaded reader.
    fn give_out(&mut self, topic: usize) {
        if self.owners.0[topic].iter().all(Option::is_some) {
            return;
        }
        let mut takers = self.by_load(topic);
        for owner in self.owners.0[topic].iter_mut().filter(|owner| owner.is_none()) {
            let Some((load, taker)) = takers.pop_first() else {
                return;
            };
            *owner = Some(taker);
            self.loads[taker] = load + 1;
            takers.insert((load + 1, taker));
        }
    }

    /// Moves partitions of `topic` from its most to its least loaded readers, while that evens them out; how many it moved.
    fn even_out(&mut self, topic: usize) -> usize {
        if self.is_even(topic) {
            return 0;
        }
        let mut takers = self.by_load(topic);
        let mut giving = self.partitions_by_owner(topic);
        let mut givers: BTreeSet<(usize, Reverse<usize>)> = BTreeSet::new();
        givers.extend(
            giving
                .iter()
                .map(|(owner, _)| (self.loads[*owner], Reverse(*owner))),
        );
        let mut moved = 0;
        while let (Some((most, Reverse(giver))), Some((least, taker))) =
            (givers.pop_last(), takers.first().copied())
            && most > least + 1
        {
            let at = giving.binary_search_by_key(&giver, |(owner, _)| *owner);
            let Some(partition) = at.ok().and_then(|at| giving[at].1.pop()) else {
                continue; // It has given all that it had of this topic: the next one is asked.
            };
            self.owners.0[topic][partition] = Some(taker);
            takers.remove(&(least, taker));
            takers.remove(&(most, giver));
            takers.extend([(least + 1, taker), (most - 1, giver)]);
            if givers.remove(&(least, Reverse(taker))) {
                givers.insert((least + 1, Reverse(taker)));
            }
            givers.insert((most - 1, Reverse(giver)));
            self.loads[taker] += 1;
            self.loads[giver] -= 1;
            moved += 1;
        }
        moved
    }

    fn is_even(&self, topic: usize) -> bool {
        let loads = self.readers[topic].iter().map(|member| self.loads[*member]);
        let least = loads.clone().min();
        loads.max() <= least.map(|least| least + 1)
    }

    /// Who has which partitions of `topic`, ascending by owner.
    fn partitions_by_owner(&self, topic: usize) -> Vec<(usize, Vec<usize>)> {
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        for (partition, owner) in self.owners.0[topic].iter().enumerate() {
            pairs.extend(owner.map(|owner| (owner, partition)));
        }
        pairs.sort_unstable();
        let same_owner = pairs.chunk_by(|a, b| a.0 == b.0);
        same_owner
            .map(|run| (run[0].0, run.iter().map(|pair| pair.1).collect()))
            .collect()
    }
}
