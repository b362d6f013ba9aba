//! Members that come, change, fall silent and return in any order, while appends take long and fail.

use proptest::prelude::*;

use super::*;

/// How long after the last sign of life nothing can be waited for any more: a new member's join, then the sessions and the
/// phases of those that came with it.
const ALL_TIMEOUTS_MS: u64 = 20 * 60_000;

/// How long living members may take to be one group: what the dead among them are waited for, phase by phase.
const QUIET_MS: u64 = 10 * 60_000;

#[derive(Clone, Debug)]
enum Op {
    /// The client goes on as a client would: joins, syncs, sends a heartbeat, takes its answer.
    Go(usize),
    /// It joins, whatever it is doing, and maybe with other protocols.
    Join(usize, bool),
    /// It leaves.
    Leave(usize),
    /// Its process dies and is started again: it remembers nothing but its name.
    Restart(usize),
    /// It sends a sync and a heartbeat of another generation than its own.
    Stale(usize, i32),
    /// It commits.
    Commit(usize),
    /// The oldest append ends.
    Settle(bool),
    /// An operator deletes the group.
    Delete,
    /// Time goes by.
    Pass(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let client = 0..CLIENTS;
    let op = prop_oneof![
        12 => client.clone().prop_map(Op::Go),
        3 => (client.clone(), any::<bool>()).prop_map(|(client, changes)| Op::Join(client, changes)),
        1 => client.clone().prop_map(Op::Leave),
        2 => client.clone().prop_map(Op::Restart),
        1 => (client.clone(), -2..3).prop_map(|(client, off)| Op::Stale(client, off)),
        1 => client.prop_map(Op::Commit),
        6 => prop_oneof![5 => Just(true), 1 => Just(false)].prop_map(Op::Settle),
        1 => Just(Op::Delete),
        4 => prop_oneof![0..100u64, 1_000..4_000u64, 4_000..70_000u64].prop_map(Op::Pass),
    ];
    prop::collection::vec(op, 1..120)
}

const CLIENTS: usize = 5;

/// A client of the group, as much of it as the group sees.
#[derive(Clone, Debug)]
struct Client {
    /// Its instance id, if it is static.
    instance_id: Option<InstanceId>,
    /// It has the version that asks new members to come back, and lets leaders skip.
    is_new: bool,
    protocols: Vec<Protocol>,
    id: MemberId,
    doing: Doing,
}

#[derive(Clone, Debug, PartialEq)]
enum Doing {
    /// It has to join.
    Nothing,
    /// It waits for this.
    Asking(Token),
    /// It has joined a generation; the leader with the members that it has to assign to.
    Joined(Generation, Vec<MemberId>),
    /// It has its share.
    Reading(Generation),
}

struct Run {
    world: World,
    clients: Vec<Client>,
    /// What each token asks for: of a sync the generation.
    syncs: BTreeMap<Token, Generation>,
    /// What every member of a generation was told, the group's count of deaths first.
    told: BTreeMap<(usize, Generation), super::super::answers::JoinAnswer>,
    deaths: usize,
}

impl Run {
    fn new(members_max: usize) -> Run {
        let mut world = World::new();
        world.holds_appends = true;
        world.limits.members_max = members_max;
        let clients = (0..CLIENTS).map(|i| Client {
            instance_id: (i % 2 == 1).then(|| InstanceId::from(format!("i{i}").as_str())),
            is_new: i % 3 != 0,
            protocols: protocols(i),
            id: MemberId::unknown(),
            doing: Doing::Nothing,
        });
        Run {
            clients: clients.collect(),
            world,
            syncs: BTreeMap::new(),
            told: BTreeMap::new(),
            deaths: 0,
        }
    }

    fn run(&mut self, op: Op) {
        let generation = self.world.group.generation();
        match op {
            Op::Go(client) => self.go(client),
            Op::Join(client, changes) => {
                if changes {
                    self.clients[client].protocols.reverse();
                }
                self.join(client);
            }
            Op::Leave(client) => {
                let Client { id, instance_id, .. } = self.clients[client].clone();
                self.world.leave(vec![Leaver {
                    member_id: id,
                    instance_id,
                    reason: None,
                }]);
                self.clients[client].doing = Doing::Nothing;
            }
            Op::Restart(client) => {
                self.clients[client].doing = Doing::Nothing;
                self.clients[client].id = MemberId::unknown();
            }
            Op::Stale(client, off) => {
                let (id, other) = (
                    self.clients[client].id.clone(),
                    Generation(generation.0.wrapping_add(off)),
                );
                let sync = self.world.sync(&id, other, &[]);
                self.syncs.insert(sync, other);
                self.world.heartbeat(&id, other);
            }
            Op::Commit(client) => self.world.step(Event::Committed(self.clients[client].id.clone())),
            Op::Settle(is_written) => {
                let result = is_written.then_some(()).ok_or(ErrorCode::NOT_ENOUGH_REPLICAS);
                if !self.world.under_way.is_empty() {
                    self.world.settle(result);
                }
            }
            Op::Delete => {
                self.world.ask(|token| Event::Delete(Some(token)));
            }
            Op::Pass(millis) => self.world.pass(millis),
        }
        assert!(
            self.world.group.generation() >= generation,
            "generations only rise"
        );
        self.look_at_answers();
        self.bury();
    }

    /// What was answered by this step.
    fn look_at_answers(&mut self) {
        for token in std::mem::take(&mut self.world.fresh) {
            let answer = &self.world.answers[&token];
            match answer {
                Answer::Join(answer) if answer.error.is_none() => {
                    let key = (self.deaths, answer.generation);
                    let told = self.told.entry(key).or_insert_with(|| answer.clone());
                    assert_eq!(told.protocol, answer.protocol, "one protocol for a generation");
                    assert_eq!(told.protocol_type, answer.protocol_type);
                    assert!(answer.members.is_empty() || answer.leader == answer.member_id);
                }
                Answer::Sync(answer) if answer.error.is_none() && !answer.assignment.is_empty() => {
                    let asked = format!("{}", self.syncs[&token].0);
                    assert_eq!(answer.assignment, asked, "a share of the generation asked for");
                }
                Answer::Join(answer) => {
                    assert!(answer.members.is_empty() && answer.generation == Generation::NONE)
                }
                _ => {}
            }
        }
    }

    /// A group that is over is forgotten; the next join makes another.
    fn bury(&mut self) {
        if self.world.group.is_over() {
            assert!(
                self.world.waiting.is_empty(),
                "a dead group has answered everybody"
            );
            self.world.under_way.clear();
            self.world.group = ClassicGroup::for_members("g".into(), self.world.now);
            self.deaths += 1;
        }
    }

    /// The client takes its answer, if it waits for one that has come, and goes on.
    fn go(&mut self, client: usize) {
        if let Doing::Asking(token) = self.clients[client].doing {
            let Some(answer) = self.world.answers.get(&token).cloned() else {
                return;
            };
            let doing = self.take(client, token, answer);
            self.clients[client].doing = doing;
        }
        let Client {
            id,
            instance_id,
            doing,
            ..
        } = self.clients[client].clone();
        match doing {
            Doing::Nothing => self.join(client),
            Doing::Joined(generation, members) => self.sync(client, generation, &members),
            Doing::Reading(generation) => {
                let beat = HeartbeatRequest {
                    member_id: id,
                    instance_id,
                    generation,
                };
                let token = self.world.ask(|token| Event::Heartbeat(token, beat));
                if !self.world.heartbeat_answer(token).is_none() {
                    self.clients[client].doing = Doing::Nothing;
                }
            }
            Doing::Asking(_) => unreachable!("its answer was taken"),
        }
    }

    fn take(&mut self, client: usize, token: Token, answer: Answer) -> Doing {
        let error = match &answer {
            Answer::Join(answer) => answer.error,
            Answer::Sync(answer) => answer.error,
            other => panic!("a client does not wait for {other:?}"),
        };
        let id = &mut self.clients[client].id;
        match answer {
            Answer::Join(answer) if answer.error.is_none() => {
                *id = answer.member_id;
                let members = answer.members.into_iter().map(|member| member.member_id);
                return Doing::Joined(answer.generation, members.collect());
            }
            Answer::Sync(answer) if answer.error.is_none() => return Doing::Reading(self.syncs[&token]),
            Answer::Join(answer) if answer.error == ErrorCode::MEMBER_ID_REQUIRED => *id = answer.member_id,
            _ if error == ErrorCode::REBALANCE_IN_PROGRESS => {}
            _ => *id = MemberId::unknown(),
        }
        Doing::Nothing
    }

    fn join(&mut self, client: usize) {
        let it = self.clients[client].clone();
        let token = self.world.join(JoinRequest {
            member_id: it.id,
            instance_id: it.instance_id,
            protocols: it.protocols,
            rebalance_timeout_ms: 5_000 + 10_000 * client as i32,
            must_know_its_id: it.is_new,
            may_skip_assignment: it.is_new,
            ..request()
        });
        self.clients[client].doing = Doing::Asking(token);
    }

    fn sync(&mut self, client: usize, generation: Generation, members: &[MemberId]) {
        let it = self.clients[client].clone();
        let share = format!("{}", generation.0);
        let request = SyncRequest {
            instance_id: it.instance_id,
            assignments: members
                .iter()
                .map(|id| (id.clone(), Bytes::from(share.clone())))
                .collect(),
            ..sync_of(&it.id, generation)
        };
        let token = self.world.ask(|token| Event::Sync(token, request));
        self.syncs.insert(token, generation);
        self.clients[client].doing = Doing::Asking(token);
    }

    /// Nobody does anything any more; time alone answers everybody.
    fn fall_silent(&mut self) {
        self.world.settle_all(Ok(()));
        self.world.holds_appends = false;
        self.bury();
        self.world.pass(ALL_TIMEOUTS_MS);
        self.bury();
        assert_eq!(self.world.waiting, BTreeSet::new(), "everybody was answered");
        assert_eq!(self.world.group.state(), State::Empty);
        assert_eq!(self.world.wake_at, None, "an empty group waits for nothing");
    }

    /// The first `living` clients go on, undisturbed.
    fn live(&mut self, living: usize) {
        for _ in 0..QUIET_MS / 1_000 {
            for client in 0..living {
                self.run(Op::Go(client));
            }
            self.world.settle_all(Ok(()));
            self.run(Op::Pass(1_000));
        }
        if living == 0 {
            return assert_eq!(self.world.group.state(), State::Empty);
        }
        assert_eq!(self.world.group.state(), State::Stable);
        let generation = self.world.group.generation();
        let living = &self.clients[..living];
        for client in living {
            assert_eq!(client.doing, Doing::Reading(generation), "{client:?}");
        }
        let ids: BTreeSet<_> = living.iter().map(|client| client.id.clone()).collect();
        assert_eq!(ids, self.world.group.members.ids().into_iter().collect());
    }
}

/// What client `i` knows: everybody `range`.
fn protocols(i: usize) -> Vec<Protocol> {
    let others = [&["range", "sticky"][..], &["sticky", "range"], &["range"]];
    others[i % 3].iter().map(|name| protocol(name, name)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_waits_for_ever(ops in ops(), members_max in prop_oneof![Just(2usize), Just(1_000)]) {
        let mut run = Run::new(members_max);
        for op in ops {
            run.run(op);
        }
        run.fall_silent();
    }

    #[test]
    fn the_living_become_one_generation(ops in ops(), living in 0..=CLIENTS) {
        let mut run = Run::new(1_000);
        for op in ops {
            run.run(op);
        }
        run.live(living);
    }
}
