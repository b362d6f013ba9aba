//! A whole group: what members are told, what the log says, and that the two fit.

mod heartbeats;
mod property;
mod rebalance;
mod subscriptions;

use super::topics::{MadeUpTopics, made_up_id};
use super::*;
use crate::base::{PartitionIndex, Timestamp};
use crate::wire::ErrorCode;

/// A group, its log, and what is around it.
struct World {
    group: ConsumerGroup,
    log: Vec<Record>,
    topics: MadeUpTopics,
    settings: Settings,
    now_ms: i64,
    resolution: Option<Resolution>,
}

impl World {
    /// An assignment may follow the other at once.
    fn of(topics: &[(&str, i32)]) -> World {
        World {
            group: ConsumerGroup::default(),
            log: Vec::new(),
            topics: MadeUpTopics::of(topics),
            settings: Settings {
                assignment_interval_ms: 0,
                ..Settings::default()
            },
            now_ms: 100_000_000,
            resolution: None,
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: Instant(u64::try_from(self.now_ms).unwrap() * 1_000_000),
            wall: Timestamp(self.now_ms),
        }
    }

    /// Runs a step and replays its records; they are returned as well.
    fn step(&mut self, event: Event) -> (Vec<Record>, Option<Result<Answer, Refusal>>) {
        let around = Around {
            settings: &self.settings,
            topics: &self.topics,
        };
        let before = self.group.state.clone();
        let now = self.now();
        let outcome = self.group.step(now, event, around);
        assert_eq!(
            self.group.state, before,
            "a step alone changes nothing that is in the log"
        );
        for record in &outcome.records {
            self.group.replay(record.clone());
        }
        self.log.extend(outcome.records.iter().cloned());
        self.resolution = self.resolution.take().or(outcome.resolution);
        (outcome.records, outcome.answer)
    }

    fn send(&mut self, heartbeat: Heartbeat) -> Result<Answer, Refusal> {
        self.step(Event::Heartbeat(Box::new(heartbeat))).1.unwrap()
    }

    fn refused(&mut self, heartbeat: Heartbeat) -> ErrorCode {
        let state = self.group.state.clone();
        let refusal = self.send(heartbeat).unwrap_err();
        assert_eq!(self.group.state, state);
        assert!(!refusal.message.is_empty());
        refusal.code
    }

    /// Joins and has all it should have, if nobody else has it.
    fn join(&mut self, member: &str, topics: &[&str]) -> Answer {
        self.send(join(member, topics)).unwrap()
    }

    /// Lets the time pass, and with it the deadlines.
    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        while self
            .group
            .next_deadline()
            .is_some_and(|at| at <= self.now().monotonic)
        {
            self.step(Event::Deadline);
        }
    }

    fn topics_changed(&mut self, name: &str, partitions: i32) {
        self.topics.set(name, partitions);
        self.step(Event::TopicsChanged);
    }

    /// Finishes the resolution that is under way, if there is one.
    fn resolve(&mut self) -> Vec<Record> {
        let Some(mut resolution) = self.resolution.take() else {
            return Vec::new();
        };
        resolution.look_at(self.topics.names());
        let version = self.topics.newest_topic_version();
        let resolved = resolution.finish(version, Timestamp(self.now_ms));
        self.step(Event::ExpressionsResolved(Some(resolved))).0
    }

    fn member(&self, id: &str) -> &Member {
        &self.group.state.members[id]
    }

    /// What is true after each step.
    fn check(&self) {
        let state = &self.group.state;
        assert!(state.assignment_epoch <= state.epoch);
        assert!(
            state
                .resolved
                .keys()
                .all(|expression| state.readers_by(expression) > 0)
        );
        let mut owned = Partitions::default();
        let mut owners = 0;
        for member in state.members.values() {
            assert!(member.epoch <= state.assignment_epoch);
            for (topic, partition, _) in member.assigned.each().chain(member.revoking.each()) {
                owned.add(topic, [partition]);
                owners += 1;
                assert_eq!(state.owner(topic, partition), Some(&member.id));
            }
        }
        assert_eq!(owned.count(), owners, "no partition has two owners");
    }

    /// The log as it is and as it is compacted makes the same group.
    fn check_log(&self) {
        let loaded = |log: &[Record]| {
            let mut state = State::default();
            log.iter().for_each(|record| state.replay(record.clone()));
            state
        };
        assert_eq!(loaded(&self.log), self.group.state);
        assert_eq!(loaded(&compacted(&self.log)), self.group.state);
    }
}

/// The last record of each key, in order.
fn compacted(log: &[Record]) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<Record> = log
        .iter()
        .rev()
        .filter(|record| seen.insert(key(record)))
        .cloned()
        .collect();
    kept.reverse();
    kept
}

/// What a record is about, and whether it is a tombstone.
fn key(record: &Record) -> (u8, String) {
    match record {
        Record::MemberMetadata { member_id, .. } => (5, member_id.to_string()),
        Record::GroupMetadata(_) => (3, String::new()),
        Record::PartitionMetadata { .. } => (4, String::new()),
        Record::TargetAssignmentMember { member_id, .. } => (7, member_id.to_string()),
        Record::TargetAssignmentMetadata(_) => (6, String::new()),
        Record::CurrentMemberAssignment { member_id, .. } => (8, member_id.to_string()),
        Record::RegularExpression {
            regular_expression, ..
        } => (16, regular_expression.to_string()),
    }
}

/// The number of the kind of each record.
fn kinds(records: &[Record]) -> Vec<u8> {
    records.iter().map(|record| key(record).0).collect()
}

fn beat(member: &str, epoch: i32) -> Heartbeat {
    Heartbeat {
        version: 1,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        group_id: "group".to_owned(),
        member_id: member.to_owned(),
        member_epoch: Epoch(epoch),
        rebalance_timeout_ms: -1,
        ..Heartbeat::default()
    }
}

fn join(member: &str, topics: &[&str]) -> Heartbeat {
    Heartbeat {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|name| name.to_string()).collect()),
        topic_partitions: Some(Partitions::default()),
        ..beat(member, 0)
    }
}

fn join_static(member: &str, instance_id: &str, topics: &[&str]) -> Heartbeat {
    Heartbeat {
        instance_id: Some(instance_id.to_owned()),
        ..join(member, topics)
    }
}

fn join_by(member: &str, expression: &str) -> Heartbeat {
    Heartbeat {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(expression.to_owned()),
        ..join(member, &[])
    }
}

/// A heartbeat that says what the member has.
fn having(member: &str, epoch: i32, partitions: &Partitions) -> Heartbeat {
    Heartbeat {
        topic_partitions: Some(partitions.clone()),
        ..beat(member, epoch)
    }
}

fn of(topic: &str, partitions: impl IntoIterator<Item = i32>) -> Partitions {
    let mut all = Partitions::default();
    all.add(made_up_id(topic), partitions.into_iter().map(PartitionIndex));
    all
}

/// How long members have to be silent to be out, and a little more.
const SESSION_MS: i64 = 45_001;

#[test]
fn a_group_ends_when_it_is_empty_and_leaves_nothing() {
    let mut world = World::of(&[("t", 2)]);
    world.send(join_by("m", "t.*")).unwrap();
    world.resolve();
    assert_eq!(world.group.end().unwrap_err().code, ErrorCode::NON_EMPTY_GROUP);
    world.send(beat("m", -1)).unwrap();
    for record in world.group.end().unwrap() {
        world.group.replay(record.clone());
        world.log.push(record);
    }
    assert!(world.group.has_ended());
    let mut nothing = State::default();
    nothing.ended = true;
    assert_eq!(world.group.state, nothing);
    let last_words = compacted(&world.log);
    let tombstone = |record: &Record| match record {
        Record::MemberMetadata { value, .. } => value.is_none(),
        Record::GroupMetadata(value) => value.is_none(),
        Record::PartitionMetadata { present } => !present,
        Record::TargetAssignmentMember { value, .. } => value.is_none(),
        Record::TargetAssignmentMetadata(value) => value.is_none(),
        Record::CurrentMemberAssignment { value, .. } => value.is_none(),
        Record::RegularExpression { value, .. } => value.is_none(),
    };
    assert!(last_words.iter().all(tombstone), "{last_words:?}");
}

#[test]
fn a_loaded_group_gives_everybody_a_session_and_the_slow_their_rebalance_timeout() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    world.join("b", &["t"]);
    world.send(beat("a", 2)).unwrap();
    assert_eq!(world.member("a").state, MemberState::UnrevokedPartitions);
    let log = world.log.clone();
    world.group = ConsumerGroup::default();
    log.into_iter().for_each(|record| world.group.replay(record));
    assert_eq!(world.group.next_deadline(), None);
    world.step(Event::Loaded);
    world.pass(44_999);
    world.send(beat("a", 2)).unwrap();
    world.pass(1);
    assert!(
        world.group.members().all(|member| &*member.id == "a"),
        "b was silent"
    );
    world.pass(15_000);
    assert_eq!(world.group.members().count(), 0, "a gave nothing up within 60 s");
    world.check_log();
}
