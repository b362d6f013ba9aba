//! The classic group, rule by rule; `property` asks for what must always hold.

mod joins;
mod presence;
mod property;
mod records;
mod statics;
mod syncs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::answers::{Answer, JoinAnswer, LeaveAnswer, SyncAnswer};
use super::events::{Append, Event, HeartbeatRequest, JoinRequest, Leaver, Now, Protocol, SyncRequest};
use super::ids::{Generation, InstanceId, MemberId, Token};
use super::limits::Limits;
use super::{ClassicGroup, State};
use crate::base::{Instant, Timestamp};
use crate::wire::ErrorCode;
use bytes::Bytes;

/// The timeouts of who says nothing else, in milliseconds.
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
/// `group.initial.rebalance.delay.ms`.
const DELAY_MS: u64 = 3_000;

/// A group, its clock and its log.
struct World {
    group: ClassicGroup,
    limits: Limits,
    now: Now,
    wake_at: Option<Instant>,
    /// What was appended and is not committed; only while [`World::holds_appends`].
    under_way: VecDeque<Append>,
    holds_appends: bool,
    /// Every record that was to be appended.
    log: Vec<Option<super::GroupMetadata>>,
    asked: u64,
    waiting: BTreeSet<Token>,
    answers: BTreeMap<Token, Answer>,
    /// The newest of them, until somebody has looked.
    fresh: Vec<Token>,
}

impl World {
    fn new() -> World {
        let now = Now {
            at: Instant(0),
            wall: Timestamp(1_000_000),
        };
        World::of(ClassicGroup::for_members("g".into(), now), now)
    }

    fn of(group: ClassicGroup, now: Now) -> World {
        let limits = Limits {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            members_max: 1_000,
            initial_rebalance_delay: Duration::from_millis(DELAY_MS),
            metadata_bytes_max: 1 << 20,
            pending_members_max: 100,
        };
        World {
            group,
            limits,
            now,
            wake_at: None,
            under_way: VecDeque::new(),
            holds_appends: false,
            log: Vec::new(),
            asked: 0,
            waiting: BTreeSet::new(),
            answers: BTreeMap::new(),
            fresh: Vec::new(),
        }
    }

    /// One step, held against what every step owes.
    fn step(&mut self, event: Event) {
        let out = self.group.step(self.now, &self.limits, event);
        self.group.members.check();
        assert!(
            self.group.state() != State::Empty || self.group.members.is_empty(),
            "an empty group has no members"
        );
        for (token, answer) in out.answers {
            assert!(
                self.waiting.remove(&token),
                "{token:?} is answered once: {answer:?}"
            );
            self.answers.insert(token, answer);
            self.fresh.push(token);
        }
        self.wake_at = out.wake_at;
        self.log
            .extend(out.appends.iter().map(|append| append.value.clone()));
        self.under_way.extend(out.appends);
        if !self.holds_appends {
            self.settle_all(Ok(()));
        }
    }

    /// The oldest append that is under way ends so.
    fn settle(&mut self, result: Result<(), ErrorCode>) {
        let append = self.under_way.pop_front().expect("an append is under way");
        self.step(Event::Appended(append.id, result));
    }

    fn settle_all(&mut self, result: Result<(), ErrorCode>) {
        while !self.under_way.is_empty() {
            self.settle(result);
        }
    }

    /// Lets time go by; deadlines come in their time.
    fn pass(&mut self, millis: u64) {
        let end = self.now.at + Duration::from_millis(millis);
        while let Some(at) = self.wake_at.filter(|at| *at <= end) {
            self.go_to(at.max(self.now.at));
            self.step(Event::Timeout);
        }
        self.go_to(end);
    }

    /// Lets time go by, half a second at a time, until `token` is answered.
    fn pass_until_answered(&mut self, token: Token) {
        for _ in 0..10_000 {
            if !self.is_waiting(token) {
                return;
            }
            self.pass(500);
        }
        panic!("{token:?} is never answered");
    }

    fn go_to(&mut self, at: Instant) {
        let millis = i64::try_from(at.since(self.now.at).as_millis()).unwrap();
        self.now = Now {
            at,
            wall: Timestamp(self.now.wall.0 + millis),
        };
    }

    fn ask(&mut self, event: impl FnOnce(Token) -> Event) -> Token {
        self.asked += 1;
        let token = Token(self.asked);
        self.waiting.insert(token);
        self.step(event(token));
        token
    }

    fn join(&mut self, request: JoinRequest) -> Token {
        let request = JoinRequest {
            fresh_uuid: format!("uuid-{}", self.asked + 1).into(),
            ..request
        };
        self.ask(|token| Event::Join(token, Box::new(request)))
    }

    fn sync(&mut self, id: &MemberId, generation: Generation, assignments: &[(&MemberId, &str)]) -> Token {
        let request = SyncRequest {
            assignments: assignments
                .iter()
                .map(|(id, share)| ((*id).clone(), Bytes::copy_from_slice(share.as_bytes())))
                .collect(),
            ..sync_of(id, generation)
        };
        self.ask(|token| Event::Sync(token, request))
    }

    fn heartbeat(&mut self, id: &MemberId, generation: Generation) -> ErrorCode {
        let request = HeartbeatRequest {
            member_id: id.clone(),
            instance_id: None,
            generation,
        };
        let token = self.ask(|token| Event::Heartbeat(token, request));
        self.heartbeat_answer(token)
    }

    fn heartbeat_answer(&self, token: Token) -> ErrorCode {
        match &self.answers[&token] {
            Answer::Heartbeat(error) => *error,
            other => panic!("not to a heartbeat: {other:?}"),
        }
    }

    fn leave(&mut self, leavers: Vec<Leaver>) -> Token {
        self.ask(|token| Event::Leave(token, leavers))
    }

    fn is_waiting(&self, token: Token) -> bool {
        self.waiting.contains(&token)
    }

    fn join_answer(&self, token: Token) -> &JoinAnswer {
        match self.answers.get(&token) {
            Some(Answer::Join(answer)) => answer,
            other => panic!("no answer to a join: {other:?}"),
        }
    }

    fn sync_answer(&self, token: Token) -> &SyncAnswer {
        match self.answers.get(&token) {
            Some(Answer::Sync(answer)) => answer,
            other => panic!("no answer to a sync: {other:?}"),
        }
    }

    fn leave_answer(&self, token: Token) -> &LeaveAnswer {
        match self.answers.get(&token) {
            Some(Answer::Leave(answer)) => answer,
            other => panic!("no answer to a leave: {other:?}"),
        }
    }

    fn join_error(&self, token: Token) -> ErrorCode {
        self.join_answer(token).error
    }

    /// `count` dynamic members that have joined together and wait for nothing; the first leads.
    fn joined(&mut self, count: usize) -> Vec<MemberId> {
        let tokens: Vec<_> = (0..count).map(|_| self.join(request())).collect();
        tokens.iter().for_each(|token| self.pass_until_answered(*token));
        let ids: Vec<_> = tokens
            .iter()
            .map(|token| self.join_answer(*token).member_id.clone())
            .collect();
        self.with_leader_first(ids)
    }

    fn with_leader_first(&self, mut ids: Vec<MemberId>) -> Vec<MemberId> {
        ids.sort_by_key(|id| !self.group.members.is_leader(id));
        ids
    }

    /// All of `ids` sync, the first as the leader.
    fn synced(&mut self, ids: &[MemberId]) {
        let generation = self.group.generation();
        let shares: Vec<_> = ids.iter().map(|id| (id, "share")).collect();
        for id in &ids[1..] {
            self.sync(id, generation, &[]);
        }
        let last = self.sync(&ids[0], generation, &shares);
        assert_eq!(self.sync_answer(last).error, ErrorCode::NONE);
        assert_eq!(self.group.state(), State::Stable);
    }

    /// `count` dynamic members, stable; the first leads.
    fn stable(&mut self, count: usize) -> Vec<MemberId> {
        let ids = self.joined(count);
        self.synced(&ids);
        ids
    }
}

/// A join of a new dynamic member, of a version that needs no id.
fn request() -> JoinRequest {
    JoinRequest {
        member_id: MemberId::unknown(),
        instance_id: None,
        fresh_uuid: "".into(),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", "meta")],
        reason: None,
        must_know_its_id: false,
        may_skip_assignment: true,
    }
}

/// A join of a member that has an id.
fn request_of(id: &MemberId) -> JoinRequest {
    JoinRequest {
        member_id: id.clone(),
        ..request()
    }
}

/// A join of a static member that was just started.
fn request_of_instance(instance_id: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance_id.into()),
        ..request()
    }
}

fn with_protocols(request: JoinRequest, names: &[&str]) -> JoinRequest {
    JoinRequest {
        protocols: names.iter().map(|name| protocol(name, name)).collect(),
        ..request
    }
}

fn protocol(name: &str, metadata: &str) -> Protocol {
    Protocol {
        name: name.into(),
        metadata: Bytes::copy_from_slice(metadata.as_bytes()),
    }
}

fn sync_of(id: &MemberId, generation: Generation) -> SyncRequest {
    SyncRequest {
        member_id: id.clone(),
        instance_id: None,
        generation,
        protocol_type: None,
        protocol: None,
        assignments: Vec::new(),
    }
}

fn leaver(id: &MemberId) -> Leaver {
    Leaver {
        member_id: id.clone(),
        instance_id: None,
        reason: None,
    }
}

fn leaver_of_instance(id: &MemberId, instance_id: &str) -> Leaver {
    Leaver {
        instance_id: Some(InstanceId::from(instance_id)),
        ..leaver(id)
    }
}
