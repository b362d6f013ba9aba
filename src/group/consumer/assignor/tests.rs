//! What every assignment must be, whoever was there before: tables for the rules, properties for the rest.

use super::*;
use crate::group::consumer::topics::made_up_id;
use proptest::collection::vec;
use proptest::prelude::*;

/// A group to assign for; what an assignor makes of it is its next state.
#[derive(Clone, Debug)]
struct Group {
    /// Partitions of each topic; a topic's id is its index.
    topics: Vec<i32>,
    members: Vec<Someone>,
}

#[derive(Clone, Debug)]
struct Someone {
    id: String,
    instance_id: Option<String>,
    reads: Vec<usize>,
    target: Partitions,
}

fn topic_id(index: usize) -> TopicId {
    made_up_id(&format!("topic-{index:04}"))
}

fn someone(id: &str, reads: &[usize]) -> Someone {
    Someone {
        id: id.to_owned(),
        instance_id: None,
        reads: reads.to_vec(),
        target: Partitions::default(),
    }
}

impl Group {
    fn of(topics: &[i32], members: Vec<Someone>) -> Group {
        Group {
            topics: topics.to_vec(),
            members,
        }
    }

    fn assign(&mut self, assignor: Assignor) {
        self.members.sort_by(|a, b| a.id.cmp(&b.id));
        let mut read: Vec<usize> = self
            .members
            .iter()
            .flat_map(|member| member.reads.clone())
            .collect();
        read.sort_unstable();
        read.dedup();
        let at = |topic: &usize| read.binary_search(topic).unwrap();
        let subscription = |member: &Someone| member.reads.iter().map(at).collect::<Vec<usize>>();
        let mut subscriptions: Vec<Vec<usize>> = self.members.iter().map(subscription).collect();
        subscriptions.sort();
        subscriptions.dedup();
        let members = self.members.iter().map(|member| Reader {
            member_id: &member.id,
            instance_id: member.instance_id.as_deref(),
            subscription: subscriptions.binary_search(&subscription(member)).unwrap(),
            target: &member.target,
        });
        let topic = |index: &usize| Topic {
            id: topic_id(*index),
            partitions: self.topics[*index],
        };
        let readers = Readers {
            topics: read.iter().map(topic).collect(),
            members: members.collect(),
            subscriptions: subscriptions.clone(),
        };
        let targets = assignor.assign(&readers);
        assert_eq!(targets.len(), self.members.len());
        for (member, target) in self.members.iter_mut().zip(targets) {
            member.target = target;
        }
    }

    fn member(&self, id: &str) -> &Someone {
        self.members.iter().find(|member| member.id == id).unwrap()
    }

    fn loads(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.target.count()).collect()
    }

    /// Each partition that somebody reads has exactly one member, who reads it.
    fn check_that_all_is_given_out_once(&self) {
        let mut given = 0;
        let mut all = Partitions::default();
        for member in &self.members {
            given += member.target.count();
            for (topic, partition) in member.target.each() {
                assert!(
                    member.reads.iter().any(|read| topic_id(*read) == topic),
                    "{member:?} doesn't read {topic}"
                );
                all.add(topic, [partition]);
            }
        }
        let read = |topic: &usize| self.members.iter().any(|member| member.reads.contains(topic));
        let expected: i32 = (0..self.topics.len())
            .filter(read)
            .map(|topic| self.topics[topic])
            .sum();
        assert_eq!(all.count(), usize::try_from(expected).unwrap());
        assert_eq!(given, all.count(), "no partition has two");
    }

    /// No partition can go to another of its readers so that the loads of the two come closer.
    fn check_that_no_move_evens_out(&self) {
        for member in &self.members {
            for (topic, _) in member.target.by_topic() {
                for other in self
                    .members
                    .iter()
                    .filter(|m| m.reads.iter().any(|read| topic_id(*read) == topic))
                {
                    assert!(
                        member.target.count() <= other.target.count() + 1,
                        "{topic} could move from {} to {}",
                        member.id,
                        other.id
                    );
                }
            }
        }
    }
}

fn spread(loads: &[usize]) -> usize {
    loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0)
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|index| format!("member-{index:04}"))
}

fn all_read(topics: &[i32], members: usize) -> Group {
    let reads: Vec<usize> = (0..topics.len()).collect();
    Group::of(topics, names(members).map(|id| someone(&id, &reads)).collect())
}

#[test]
fn uniform_gives_the_odd_ones_to_the_first_members() {
    let mut group = all_read(&[3, 4], 3);
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [3, 2, 2]);
    group.check_that_all_is_given_out_once();
}

#[test]
fn uniform_leaves_members_without_where_there_are_too_few_partitions() {
    let mut group = all_read(&[2], 4);
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [1, 1, 0, 0]);
    let mut nothing = all_read(&[], 2);
    nothing.assign(Assignor::Uniform);
    assert_eq!(nothing.loads(), [0, 0]);
}

#[test]
fn uniform_takes_only_what_the_newcomer_needs() {
    let mut group = all_read(&[1000], 1000);
    group.assign(Assignor::Uniform);
    group.topics = vec![1001];
    group.assign(Assignor::Uniform);
    let before = group.clone();
    group.members.push(someone("member-9999", &[0]));
    group.assign(Assignor::Uniform);
    group.check_that_all_is_given_out_once();
    assert_eq!(spread(&group.loads()), 1 - 1);
    let touched = before
        .members
        .iter()
        .filter(|member| group.member(&member.id).target != member.target);
    assert_eq!(touched.count(), 1, "only the one that had two");
}

#[test]
fn a_target_of_a_smaller_or_deleted_topic_is_forgotten() {
    let mut group = all_read(&[8, 3], 2);
    group.assign(Assignor::Uniform);
    group.topics = vec![2, 3];
    for assignor in [Assignor::Uniform, Assignor::Range] {
        group.assign(assignor);
        group.check_that_all_is_given_out_once();
    }
    for member in &mut group.members {
        member.reads = vec![0];
    }
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [1, 1]);
}

#[test]
fn of_two_who_claim_one_partition_the_first_has_it() {
    let mut group = all_read(&[2], 2);
    for member in &mut group.members {
        member.target = [(topic_id(0), PartitionIndex(1))].into_iter().collect();
    }
    group.assign(Assignor::Uniform);
    group.check_that_all_is_given_out_once();
    assert!(group.members[0].target.contains(topic_id(0), PartitionIndex(1)));
}

#[test]
fn uniform_evens_out_over_members_that_read_different_topics() {
    let mut group = Group::of(
        &[6, 6],
        vec![someone("a", &[0]), someone("b", &[0, 1]), someone("c", &[1])],
    );
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [4, 4, 4]);
    group.check_that_all_is_given_out_once();
    group.members[1].reads = vec![1];
    group.assign(Assignor::Uniform);
    assert_eq!(group.loads(), [6, 3, 3]);
    group.check_that_no_move_evens_out();
}

#[test]
fn range_gives_runs_and_the_odd_ones_first() {
    let mut group = all_read(&[5, 4], 3);
    group.assign(Assignor::Range);
    let run = |member: usize, topic: usize| group.members[member].target.of(topic_id(topic)).to_vec();
    assert_eq!(run(0, 0), [0, 1].map(PartitionIndex));
    assert_eq!(run(1, 0), [2, 3].map(PartitionIndex));
    assert_eq!(run(2, 0), [4].map(PartitionIndex));
    assert_eq!(run(0, 1), [0, 1].map(PartitionIndex));
    assert_eq!(run(2, 1), [3].map(PartitionIndex));
    group.check_that_all_is_given_out_once();
}

#[test]
fn range_orders_static_members_by_instance_and_before_the_others() {
    let mut group = all_read(&[4], 4);
    for (member, instance_id) in [(2, "x"), (3, "b")] {
        group.members[member].instance_id = Some(instance_id.to_owned());
    }
    group.assign(Assignor::Range);
    let first = |member: usize| group.members[member].target.of(topic_id(0))[0].0;
    assert_eq!([first(3), first(2), first(0), first(1)], [0, 1, 2, 3]);
    // Another member id under the same instance id gets the same run.
    group.members[3].id = "0-came-back".to_owned();
    group.assign(Assignor::Range);
    assert_eq!(
        group.member("0-came-back").target.of(topic_id(0)),
        [PartitionIndex(0)]
    );
}

#[test]
fn assignors_are_known_by_their_names() {
    for assignor in [Assignor::Uniform, Assignor::Range] {
        assert_eq!(Assignor::by_name(assignor.name()), Some(assignor));
    }
    let class = "org.apache.kafka.coordinator.group.assignor.RangeAssignor";
    assert_eq!(Assignor::by_name(class), Some(Assignor::Range));
    assert_eq!(Assignor::by_name("sticky"), None);
}

/// Topics and members that all read them.
fn same_topics() -> impl Strategy<Value = Group> {
    (vec(0..12i32, 0..5), 1..12usize).prop_map(|(topics, members)| all_read(&topics, members))
}

/// Topics, and members that each read some of them.
fn different_topics() -> impl Strategy<Value = Group> {
    vec(0..12i32, 1..6).prop_flat_map(|topics| {
        let reads = proptest::sample::subsequence((0..topics.len()).collect::<Vec<_>>(), 0..=topics.len());
        vec(reads, 1..10).prop_map(move |reads| {
            let members = names(reads.len())
                .zip(&reads)
                .map(|(id, reads)| someone(&id, reads));
            Group::of(&topics, members.collect())
        })
    })
}

proptest! {
    #[test]
    fn uniform_is_balanced_and_moves_nothing_without_need(mut group in same_topics(), leaver in any::<usize>()) {
        group.assign(Assignor::Uniform);
        group.check_that_all_is_given_out_once();
        prop_assert!(spread(&group.loads()) <= 1);
        let before = group.clone();
        group.assign(Assignor::Uniform);
        for (now, before) in group.members.iter().zip(&before.members) {
            prop_assert_eq!(&now.target, &before.target);
        }
        if group.members.len() < 2 {
            return Ok(());
        }
        group.members.remove(leaver % before.members.len());
        group.assign(Assignor::Uniform);
        group.check_that_all_is_given_out_once();
        prop_assert!(spread(&group.loads()) <= 1);
        for member in &group.members {
            let had = &before.member(&member.id).target;
            prop_assert!(had.each().all(|(topic, p)| member.target.contains(topic, p)), "only the leaver's move");
        }
    }

    #[test]
    fn uniform_moves_to_a_newcomer_only_what_it_gets(mut group in same_topics()) {
        group.assign(Assignor::Uniform);
        let before = group.clone();
        let reads: Vec<usize> = (0..group.topics.len()).collect();
        group.members.push(someone("newcomer", &reads));
        group.assign(Assignor::Uniform);
        group.check_that_all_is_given_out_once();
        prop_assert!(spread(&group.loads()) <= 1);
        let kept = |member: &Someone| {
            let now = &group.member(&member.id).target;
            member.target.each().filter(|(topic, p)| now.contains(*topic, *p)).count()
        };
        let total: usize = before.loads().iter().sum();
        let moved = total - before.members.iter().map(kept).sum::<usize>();
        prop_assert_eq!(moved, group.member("newcomer").target.count());
    }

    #[test]
    fn uniform_is_even_where_members_read_different_topics(mut group in different_topics()) {
        group.assign(Assignor::Uniform);
        group.check_that_all_is_given_out_once();
        group.check_that_no_move_evens_out();
        let before = group.clone();
        group.assign(Assignor::Uniform);
        for (now, before) in group.members.iter().zip(&before.members) {
            prop_assert_eq!(&now.target, &before.target);
        }
        group.members.remove(0);
        group.assign(Assignor::Uniform);
        group.check_that_all_is_given_out_once();
        group.check_that_no_move_evens_out();
    }

    #[test]
    fn range_gives_the_same_runs_of_topics_with_as_many_partitions(partitions in 0..20i32, members in 1..12usize, mut other in different_topics()) {
        let mut group = all_read(&[partitions, partitions, 7], members);
        group.assign(Assignor::Range);
        group.check_that_all_is_given_out_once();
        for member in &group.members {
            let run = member.target.of(topic_id(0));
            prop_assert_eq!(run, member.target.of(topic_id(1)));
            prop_assert!(run.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
        }
        other.assign(Assignor::Range);
        other.check_that_all_is_given_out_once();
    }
}
