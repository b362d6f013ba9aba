//! Sessions against a plain world of partitions: what a client of a session sees is what full fetches would show it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::session::FetchSession;
use super::*;
use crate::base::{
    CoreId, FetchSessionId, Instant, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition,
};
use crate::partition::{Interest, Marks, ReadRange};
use crate::shard::message::WatchId;
use crate::shard::reading::{ReadAnswer, ReadOutcome};
use crate::wire::ErrorCode;

const START: Instant = Instant(1_000_000_000_000);
const TOPIC: FetchTopicName = FetchTopicName::Id(TopicId([1; 16]));

fn cache(slots: usize) -> FetchSessions {
    FetchSessions::new(CoreId(0), 1, slots)
}

fn partition(index: i32, offset: i64) -> SessionPartition {
    SessionPartition {
        topic: TOPIC,
        index: PartitionIndex(index),
        range: ReadRange {
            offset: Offset(offset),
            bytes_max: 1 << 20,
            at_least_one: true,
            current_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
        },
    }
}

fn request(id: FetchSessionId, epoch: i32, partitions: &[(i32, i64)]) -> SessionRequest {
    SessionRequest {
        opening: SessionOpening {
            id,
            epoch,
            by_id: true,
            is_follower: false,
        },
        partitions: partitions
            .iter()
            .map(|(index, offset)| partition(*index, *offset))
            .collect(),
        forgotten: Vec::new(),
    }
}

fn full(partitions: &[(i32, i64)]) -> SessionRequest {
    request(FetchSessionId::NONE, 0, partitions)
}

fn plan(session: &mut FetchSession, world: &World) -> Vec<Planned> {
    let places = session.begin_plan().into_iter();
    places
        .filter_map(|place| session.plan(place, |_, _, index| world.find(index)))
        .collect()
}

/// Logs of one topic by partition: start and end. What a read finds is a byte for each offset.
#[derive(Default)]
struct World {
    logs: BTreeMap<i32, (i64, i64)>,
    interests: BTreeMap<i32, BTreeSet<Interest>>,
    reads: Cell<usize>,
}

impl World {
    fn with(partitions: i32) -> World {
        World {
            logs: (0..partitions).map(|index| (index, (0, 0))).collect(),
            ..World::default()
        }
    }

    fn find(&self, index: PartitionIndex) -> Result<TopicPartition, ErrorCode> {
        let partition = TopicPartition {
            topic: TopicId([1; 16]),
            partition: index,
        };
        let known = self.logs.contains_key(&index.0).then_some(partition);
        known.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    fn marks(&self, index: i32) -> Option<Marks> {
        let (start, end) = *self.logs.get(&index)?;
        Some(Marks {
            high_watermark: Offset(end),
            last_stable_offset: Offset(end),
            start_offset: Offset(start),
        })
    }

    /// What a shard does with what was planned: reads in turn, and keeps the interest in what has nothing.
    fn read(&mut self, planned: &[Planned], bytes_max: usize) -> Vec<ReadAnswer> {
        let mut bytes_left = bytes_max;
        let mut answers = Vec::new();
        for planned in planned {
            self.reads.set(self.reads.get() + 1);
            let wanted = match planned.target {
                Ok(wanted) => wanted,
                Err(code) => {
                    answers.push(ReadAnswer::refused(code));
                    continue;
                }
            };
            let index = planned.index.0;
            let (start, end) = self.logs[&index];
            let offset = wanted.range.offset.0;
            if offset < start || offset > end {
                answers.push(ReadAnswer::refused(ErrorCode::OFFSET_OUT_OF_RANGE));
                continue;
            }
            let bytes = ((end - offset) as usize).min(bytes_left);
            bytes_left -= bytes;
            if offset == end
                && let Some(interest) = wanted.interest
            {
                self.interests.entry(index).or_default().insert(interest);
            }
            let segments = if bytes == 0 {
                Vec::new()
            } else {
                vec![Bytes::from(vec![7; bytes])]
            };
            answers.push(ReadAnswer {
                marks: self.marks(index),
                outcome: ReadOutcome::Read(segments),
                aborted: Vec::new(),
            });
        }
        answers
    }

    fn change(
        &mut self,
        index: i32,
        sessions: &FetchSessions,
        change: impl FnOnce(&mut (i64, i64)),
    ) -> Vec<WatchId> {
        self.logs.get_mut(&index).map(change);
        let told = self.interests.remove(&index).unwrap_or_default();
        told.into_iter()
            .filter_map(|interest| sessions.changed(interest))
            .collect()
    }

    fn append(&mut self, index: i32, sessions: &FetchSessions) -> Vec<WatchId> {
        self.change(index, sessions, |log| log.1 += 1)
    }
}

/// What an answer says of a partition: its marks, bytes of records, or the error.
type Said = BTreeMap<i32, Result<(Marks, usize), ErrorCode>>;

fn answer(
    sessions: &mut FetchSessions,
    world: &mut World,
    asked: SessionRequest,
    bytes_max: usize,
) -> (FetchSessionId, Said) {
    let id = asked.opening.id;
    let context = sessions.context(asked, START).expect("a good request");
    let mut said = Said::new();
    {
        let mut session = context.session.borrow_mut();
        let planned = plan(&mut session, world);
        let answers = world.read(&planned, bytes_max);
        for (planned, answer) in planned.iter().zip(&answers) {
            if session.settle(planned.place, answer) || !context.is_incremental() {
                said.insert(planned.index.0, shown(answer));
            }
        }
    }
    forget(sessions, world);
    match context.is_incremental() {
        true => (id, said),
        false => (sessions.keep(context, START, 17), said),
    }
}

fn shown(answer: &ReadAnswer) -> Result<(Marks, usize), ErrorCode> {
    match (&answer.outcome, answer.marks) {
        (ReadOutcome::Refused(code), _) => Err(*code),
        (ReadOutcome::Read(segments), Some(marks)) => Ok((marks, segments.iter().map(Bytes::len).sum())),
        _ => unreachable!("nothing diverges here"),
    }
}

/// Carries out what the sessions say of their ends.
fn forget(sessions: &mut FetchSessions, world: &mut World) {
    for ended in sessions.take_ended() {
        for (partition, interest) in ended.interests {
            world
                .interests
                .entry(partition.partition.0)
                .or_default()
                .remove(&interest);
        }
    }
}

#[test]
fn a_request_costs_what_changed_and_not_what_the_session_holds() {
    const PARTITIONS: i32 = 10_000;
    let (mut sessions, mut world) = (cache(10), World::with(PARTITIONS));
    let all: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    let (id, said) = answer(&mut sessions, &mut world, full(&all), 1 << 20);
    assert_eq!(said.len(), PARTITIONS as usize);
    // The first of the session reads all and finds all idle.
    let (_, said) = answer(&mut sessions, &mut world, request(id, 1, &[]), 1 << 20);
    assert!(said.is_empty(), "nothing has changed");
    world.reads.set(0);
    let (_, said) = answer(&mut sessions, &mut world, request(id, 2, &[]), 1 << 20);
    assert_eq!((said.len(), world.reads.get()), (0, 0));
    world.append(4_321, &sessions);
    let (_, said) = answer(&mut sessions, &mut world, request(id, 3, &[]), 1 << 20);
    assert_eq!(said.keys().collect::<Vec<_>>(), [&4_321]);
    assert_eq!(world.reads.get(), 1, "one changed, one was read");
    let (_, said) = answer(&mut sessions, &mut world, request(id, 4, &[(4_321, 1)]), 1 << 20);
    assert_eq!((said.len(), world.reads.get()), (0, 2), "its end was reached");
}

#[test]
fn records_that_the_client_did_not_take_come_again() {
    let (mut sessions, mut world) = (cache(10), World::with(1));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0)]), 100);
    world.append(0, &sessions);
    for epoch in 1..4 {
        let (_, said) = answer(&mut sessions, &mut world, request(id, epoch, &[]), 100);
        assert_eq!(said[&0].unwrap().1, 1, "epoch {epoch}");
    }
}

#[test]
fn an_error_is_answered_every_time_and_its_end_is_told() {
    let (mut sessions, mut world) = (cache(10), World::with(1));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0), (1, 0)]), 100);
    for epoch in 1..4 {
        let (_, said) = answer(&mut sessions, &mut world, request(id, epoch, &[]), 100);
        assert_eq!(
            said,
            Said::from([(1, Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))])
        );
    }
    world.logs.insert(1, (0, 0));
    let (_, said) = answer(&mut sessions, &mut world, request(id, 4, &[]), 100);
    assert!(said[&1].is_ok(), "it is there now");
    let (_, said) = answer(&mut sessions, &mut world, request(id, 5, &[]), 100);
    assert!(said.is_empty());
}

#[test]
fn with_more_records_than_an_answer_takes_every_partition_has_its_turn() {
    let (mut sessions, mut world) = (cache(10), World::with(6));
    let offsets: Vec<(i32, i64)> = (0..6).map(|index| (index, 0)).collect();
    let (id, _) = answer(&mut sessions, &mut world, full(&offsets), 100);
    for index in 0..6 {
        for _ in 0..10 {
            world.append(index, &sessions);
        }
    }
    let mut first_served = Vec::new();
    for epoch in 1..=6 {
        // The client takes nothing, so all of them have records all the time; 10 bytes are one partition's.
        let (_, said) = answer(&mut sessions, &mut world, request(id, epoch, &[]), 10);
        first_served.extend(
            said.iter()
                .filter(|(_, said)| said.unwrap().1 > 0)
                .map(|(index, _)| *index),
        );
    }
    assert_eq!(first_served, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn news_between_the_read_and_the_wait_are_not_slept_over() {
    let (mut sessions, mut world) = (cache(10), World::with(2));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0), (1, 0)]), 100);
    answer(&mut sessions, &mut world, request(id, 1, &[]), 100);
    let context = sessions.context(request(id, 2, &[]), START).unwrap();
    let planned = plan(&mut context.session.borrow_mut(), &world);
    assert!(planned.is_empty() && context.session.borrow().has_idle());
    assert!(context.session.borrow_mut().park(WatchId(5)), "quiet");
    assert_eq!(world.append(1, &sessions), [WatchId(5)], "the wait ends");
    assert!(
        !context.session.borrow_mut().park(WatchId(6)),
        "there is something to read"
    );
    let planned = plan(&mut context.session.borrow_mut(), &world);
    assert_eq!(planned.len(), 1);
    assert!(context.session.borrow_mut().park(WatchId(7)));
}

#[test]
fn a_session_that_ends_wakes_who_waits_and_leaves_no_interest() {
    let (mut sessions, mut world) = (cache(10), World::with(3));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0), (1, 0), (2, 0)]), 100);
    answer(&mut sessions, &mut world, request(id, 1, &[]), 100);
    let mut forgets = request(id, 2, &[]);
    forgets.forgotten = vec![(TOPIC, PartitionIndex(1))];
    answer(&mut sessions, &mut world, forgets, 100);
    assert!(world.interests[&1].is_empty(), "what was forgotten");
    let context = sessions.context(request(id, 3, &[]), START).unwrap();
    context.session.borrow_mut().park(WatchId(9));
    sessions.context(request(id, -1, &[]), START).unwrap();
    assert!(!context.may_wait());
    let ended = sessions.take_ended();
    let woken: Vec<WatchId> = ended.iter().filter_map(|ended| ended.parked).collect();
    assert_eq!(woken, [WatchId(9)]);
    assert_eq!(ended.iter().map(|ended| ended.interests.len()).sum::<usize>(), 2);
}

#[test]
fn ids_and_epochs_are_checked_as_kafka_does() {
    let (mut sessions, mut world) = (cache(10), World::with(1));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0)]), 100);
    let refused = |sessions: &mut FetchSessions, request| sessions.context(request, START).err();
    let unknown = FetchSessionId(id.0 + 1);
    let not_found = Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    let wrong_epoch = Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
    assert_eq!(refused(&mut sessions, request(unknown, 1, &[])), not_found);
    assert_eq!(
        refused(&mut sessions, request(FetchSessionId::NONE, 1, &[])),
        not_found
    );
    for epoch in [2, 7, -2, i32::MIN] {
        assert_eq!(refused(&mut sessions, request(id, epoch, &[])), wrong_epoch);
    }
    let mut by_name = request(id, 1, &[]);
    by_name.opening.by_id = false;
    assert_eq!(
        refused(&mut sessions, by_name),
        Some(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR)
    );
    // None of these counted.
    assert_eq!(refused(&mut sessions, request(id, 1, &[])), None);
    assert_eq!(
        refused(&mut sessions, request(id, 1, &[])),
        wrong_epoch,
        "it is 2 now"
    );
    // A full fetch ends the session that it names, whatever it is.
    let (again, _) = answer(&mut sessions, &mut world, request(id, 0, &[(0, 0)]), 100);
    assert_eq!(sessions.ids(), [again]);
    let (none, _) = answer(&mut sessions, &mut world, request(again, -1, &[(0, 0)]), 100);
    assert_eq!((none, sessions.ids().len()), (FetchSessionId::NONE, 0));
}

#[test]
fn the_epoch_after_the_largest_is_1() {
    let (mut sessions, mut world) = (cache(10), World::with(1));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0)]), 100);
    let context = sessions.context(request(id, 1, &[]), START).unwrap();
    context.session.borrow_mut().epoch = i32::MAX;
    assert!(sessions.context(request(id, i32::MAX, &[]), START).is_ok());
    assert!(sessions.context(request(id, 1, &[]), START).is_ok());
}

#[test]
fn a_session_without_partitions_ends() {
    let (mut sessions, mut world) = (cache(10), World::with(1));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0)]), 100);
    let mut forgets = request(id, 1, &[]);
    forgets.forgotten = vec![(TOPIC, PartitionIndex(0))];
    let context = sessions.context(forgets, START).unwrap();
    assert!(!context.is_incremental());
    assert_eq!(sessions.ids(), []);
}

#[test]
fn a_request_that_another_has_overtaken_is_outdated() {
    let (mut sessions, mut world) = (cache(10), World::with(1));
    let (id, _) = answer(&mut sessions, &mut world, full(&[(0, 0)]), 100);
    let first = sessions.context(request(id, 1, &[]), START).unwrap();
    assert!(!first.is_outdated());
    let second = sessions.context(request(id, 2, &[]), START).unwrap();
    assert!(first.is_outdated() && !first.may_wait());
    assert!(!second.is_outdated());
}

/// A kept session of so many partitions, made at `created` and used last at `used` (in seconds).
fn kept(
    sessions: &mut FetchSessions,
    len: i32,
    is_follower: bool,
    created: u64,
    used: u64,
) -> FetchSessionId {
    let at = |seconds| START + Duration::from_secs(seconds);
    let all: Vec<(i32, i64)> = (0..len).map(|index| (index, 0)).collect();
    let mut asked = full(&all);
    asked.opening.is_follower = is_follower;
    let context = sessions.context(asked, at(created)).unwrap();
    let id = sessions.keep(context, at(created), u64::from(created as u32) * 31);
    if used > created && id != FetchSessionId::NONE {
        sessions.context(request(id, 1, &[]), at(used)).unwrap();
    }
    id
}

#[test]
fn who_makes_room_for_whom() {
    // The one that is there (its size, follower, created, used), the new one (size, follower) and when, and whether it gets in.
    let cases = [
        ((5, false, 0, 0), (50, false, 10), false, "young ones stay"),
        (
            (5, false, 0, 0),
            (1, false, 121),
            true,
            "unused for longer than two minutes",
        ),
        ((5, false, 0, 0), (1, false, 120), false, "for two minutes"),
        (
            (5, false, 0, 130),
            (6, false, 131),
            true,
            "old, and smaller than the new one",
        ),
        ((5, false, 0, 130), (5, false, 131), false, "old, and as large"),
        (
            (5, false, 0, 0),
            (1, true, 10),
            true,
            "a follower's goes before a consumer's",
        ),
        ((5, true, 0, 0), (50, true, 10), false, "a young follower's stays"),
        (
            (5, true, 0, 130),
            (6, true, 131),
            true,
            "an old follower's does not, for a larger one",
        ),
        ((5, true, 0, 130), (50, false, 131), false, "nor for a consumer's"),
    ];
    for ((len, follower, created, used), (new_len, new_follower, now), gets_in, why) in cases {
        let mut sessions = cache(1);
        let there = kept(&mut sessions, len, follower, created, used);
        let new = kept(&mut sessions, new_len, new_follower, now, now);
        assert_eq!(new != FetchSessionId::NONE, gets_in, "{why}");
        assert_eq!(sessions.ids(), [if gets_in { new } else { there }], "{why}");
    }
}

#[test]
fn slots_are_shared_among_the_cores_and_ids_name_theirs() {
    for (slots, cores) in [(1000, 2), (1000, 3), (7, 4), (1, 2), (0, 2)] {
        let mut all = 0;
        for core in 0..cores {
            let mut sessions = FetchSessions::new(CoreId(core), cores, slots);
            for n in 0..=slots as u64 {
                let context = sessions.context(full(&[(0, 0)]), START).unwrap();
                // Ids that collide, the lowest and the highest too.
                let id = sessions.keep(context, START, [0, u64::MAX, n][n as usize % 3]);
                if id != FetchSessionId::NONE {
                    assert!(id.0 > 0);
                    assert_eq!(home(id, cores), CoreId(core));
                    all += 1;
                }
            }
        }
        assert_eq!(all, slots);
    }
}

#[test]
fn a_session_of_another_core_is_unknown_here_and_given_up_there() {
    let mut sessions = FetchSessions::new(CoreId(0), 2, 10);
    let elsewhere = FetchSessionId(i32::MAX - 5);
    assert_eq!(
        sessions.context(request(elsewhere, 1, &[]), START).err(),
        Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
    );
    sessions.context(request(elsewhere, 0, &[(0, 0)]), START).unwrap();
    let ended = sessions.take_ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].elsewhere, Some(elsewhere));
}

#[test]
fn memory_for_sessions_has_an_end() {
    let mut sessions = cache(1000);
    let all: Vec<(i32, i64)> = (0..50_000).map(|index| (index, 0)).collect();
    let mut kept = 0;
    for n in 0..20 {
        let context = sessions.context(full(&all), START).unwrap();
        kept += usize::from(sessions.keep(context, START, n) != FetchSessionId::NONE);
    }
    assert_eq!(kept, 4);
    // One that grows beyond it ends, and its client goes on without.
    let id = sessions.ids()[0];
    let more: Vec<(i32, i64)> = (50_000..70_000).map(|index| (index, 0)).collect();
    assert_eq!(
        sessions.context(request(id, 1, &more), START).err(),
        Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
    );
    assert_eq!(sessions.ids().len(), 3);
}

#[test]
fn a_topic_asked_for_twice_keeps_its_place_and_takes_the_last_offset() {
    let mut session = FetchSession::new(true, false, START);
    for asked in [partition(3, 1), partition(4, 1), partition(3, 9)] {
        session.want(asked);
    }
    let world = World::with(10);
    let planned = plan(&mut session, &world);
    let shown: Vec<(i32, i64)> = planned
        .iter()
        .map(|planned| (planned.index.0, planned.target.unwrap().range.offset.0))
        .collect();
    assert_eq!(shown, [(3, 9), (4, 1)]);
}

/// What happens between two fetches of a client.
#[derive(Clone, Debug)]
enum Step {
    Append(i32),
    Truncate(i32),
    Remove(i32),
    Restore(i32),
    Want(i32),
    Forget(i32),
    Fetch {
        bytes_max: usize,
    },
    /// The session is lost and begun anew.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..8i32;
    prop_oneof![
        4 => index.clone().prop_map(Step::Append),
        1 => index.clone().prop_map(Step::Truncate),
        1 => index.clone().prop_map(Step::Remove),
        1 => index.clone().prop_map(Step::Restore),
        1 => index.clone().prop_map(Step::Want),
        1 => index.prop_map(Step::Forget),
        6 => (0..6usize).prop_map(|bytes_max| Step::Fetch { bytes_max }),
        1 => Just(Step::Lose),
    ]
}

/// A client as KIP-227 describes one: it sends what differs from what the session has, and keeps what it was told.
#[derive(Default)]
struct Client {
    session: Option<(FetchSessionId, i32)>,
    /// Offsets wanted now, and those that the session knows.
    wanted: BTreeMap<i32, i64>,
    sent: BTreeMap<i32, i64>,
    told: BTreeMap<i32, Result<Marks, ErrorCode>>,
}

impl Client {
    fn fetch(&mut self, sessions: &mut FetchSessions, world: &mut World, bytes_max: usize) {
        let changed =
            |(index, offset): &(&i32, &i64)| self.session.is_none() || self.sent.get(index) != Some(offset);
        let partitions: Vec<(i32, i64)> = self
            .wanted
            .iter()
            .filter(changed)
            .map(|(index, offset)| (*index, *offset))
            .collect();
        let (id, epoch) = self.session.unwrap_or((FetchSessionId::NONE, 0));
        let mut asked = request(id, epoch, &partitions);
        let gone = self.sent.keys().filter(|index| !self.wanted.contains_key(index));
        asked.forgotten = gone.map(|index| (TOPIC, PartitionIndex(*index))).collect();
        self.sent = self.wanted.clone();
        let (id, said) = answer(sessions, world, asked, bytes_max);
        let ended = self.wanted.is_empty() || id == FetchSessionId::NONE;
        self.session = (!ended).then_some((id, epoch + 1));
        for (index, said) in said {
            let offset = self
                .wanted
                .get_mut(&index)
                .expect("only what was asked for is answered");
            if let Ok((_, bytes)) = said {
                *offset += bytes as i64;
            } else if said == Err(ErrorCode::OFFSET_OUT_OF_RANGE) {
                *offset = world.logs[&index].0;
            }
            self.told.insert(index, said.map(|(marks, _)| marks));
        }
        self.told.retain(|index, _| self.wanted.contains_key(index));
    }
}

proptest! {
    #[test]
    fn a_client_of_a_session_learns_what_full_fetches_show(steps in prop::collection::vec(step(), 1..120)) {
        let (mut sessions, mut world) = (cache(3), World::with(8));
        let mut client = Client { wanted: (0..4).map(|index| (index, 0)).collect(), ..Client::default() };
        for step in steps {
            match step {
                Step::Append(index) => { world.append(index, &sessions); }
                Step::Truncate(index) => { world.change(index, &sessions, |log| log.0 = log.1); }
                Step::Remove(index) => {
                    world.change(index, &sessions, |_| {});
                    world.logs.remove(&index);
                }
                Step::Restore(index) => { world.logs.entry(index).or_insert((0, 0)); }
                Step::Want(index) => { client.wanted.entry(index).or_insert(0); }
                Step::Forget(index) => { client.wanted.remove(&index); }
                Step::Fetch { bytes_max } => client.fetch(&mut sessions, &mut world, bytes_max),
                Step::Lose => { client.session = None; }
            }
        }
        // With nothing more happening a few fetches bring the client up to date.
        for _ in 0..200 {
            client.fetch(&mut sessions, &mut world, 3);
        }
        for (index, offset) in &client.wanted {
            let shown = world.marks(*index).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            prop_assert_eq!(client.told.get(index), Some(&shown), "partition {}", index);
            if let Ok(marks) = shown {
                prop_assert_eq!(*offset, marks.high_watermark.0, "partition {}", index);
            }
        }
        let held: usize = world.interests.values().map(BTreeSet::len).sum();
        prop_assert!(held <= 3 * 8, "{} interests are held", held);
    }
}

#[test]
fn a_name_is_shared_by_the_partitions_of_its_topic() {
    let name: Rc<str> = Rc::from("x".repeat(1_000));
    let mut session = FetchSession::new(false, false, START);
    for index in 0..100 {
        let topic = FetchTopicName::Name(name.clone());
        session.want(SessionPartition {
            topic,
            ..partition(index, 0)
        });
    }
    assert!(
        session.size_bytes() < 100 * 400 + 1_500,
        "{}",
        session.size_bytes()
    );
    for index in 0..100 {
        session.forget(&FetchTopicName::Name(name.clone()), PartitionIndex(index));
    }
    assert_eq!(session.size_bytes(), 0);
}
