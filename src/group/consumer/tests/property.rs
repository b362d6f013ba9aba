//! Whatever members, networks and topics do: a partition has one owner, epochs don't go back, and after quiet all is given out.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// What happens next. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Act {
    /// A member calls; its answer may be lost, and it may be slow to give up what it has to.
    Beat {
        who: usize,
        lost: bool,
        slow: bool,
    },
    Join {
        topics: u8,
        is_static: bool,
    },
    JoinByExpression {
        prefix: usize,
    },
    Resubscribe {
        who: usize,
        topics: u8,
    },
    Leave {
        who: usize,
    },
    /// A static member is away, and may come back under another id.
    Away {
        who: usize,
        comes_back: bool,
    },
    Crash {
        who: usize,
    },
    Pass {
        ms: i64,
    },
    SetTopic {
        topic: usize,
        partitions: i32,
    },
    RemoveTopic {
        topic: usize,
    },
    Resolve,
    /// The coordinator is loaded anew from its log.
    Reload,
}

const TOPICS: [&str; 4] = ["a1", "a2", "b1", "b2"];

/// A consumer as it sees itself.
#[derive(Clone, Debug)]
struct Client {
    id: String,
    instance_id: Option<String>,
    epoch: i32,
    names: Vec<String>,
    expression: String,
    /// What it has, and what it was last told to have.
    has: Partitions,
    told: Partitions,
}

struct Fleet {
    world: World,
    clients: Vec<Client>,
    born: usize,
    /// The largest epoch of each member since it joined.
    seen: BTreeMap<String, Epoch>,
}

impl Client {
    fn heartbeat(&self) -> Heartbeat {
        let full = self.epoch == 0;
        Heartbeat {
            instance_id: self.instance_id.clone(),
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(self.names.clone()),
            subscribed_topic_regex: Some(self.expression.clone()),
            topic_partitions: Some(if full {
                Partitions::default()
            } else {
                self.has.clone()
            }),
            ..beat(&self.id, self.epoch)
        }
    }

    /// Gives up what it wasn't told to have.
    fn give_up(&mut self) {
        self.has = self
            .has
            .each()
            .filter(|(topic, p)| self.told.contains(*topic, *p))
            .collect();
    }

    fn abandon(&mut self) {
        self.epoch = 0;
        self.has = Partitions::default();
        self.told = Partitions::default();
    }

    fn take(&mut self, answer: Answer) {
        assert!(
            self.epoch <= 0 || answer.member_epoch.0 >= self.epoch,
            "a member's epoch doesn't go back"
        );
        self.epoch = answer.member_epoch.0;
        if let Some(assignment) = answer.assignment {
            self.told = assignment;
            for (topic, partition) in self.told.each().collect::<Vec<_>>() {
                self.has.add(topic, [partition]);
            }
        }
    }
}

impl Fleet {
    fn new() -> Fleet {
        Fleet {
            world: World::of(&[("a1", 3), ("b1", 2)]),
            clients: Vec::new(),
            born: 0,
            seen: BTreeMap::new(),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Beat { who, lost, slow } => self.on_client(who, |fleet, at| fleet.beat(at, lost, slow)),
            Act::Join { topics, is_static } => self.add(topics, String::new(), is_static),
            Act::JoinByExpression { prefix } => {
                self.add(0, ["a.*", "b.*", ".*1"][prefix % 3].to_owned(), false)
            }
            Act::Resubscribe { who, topics } => self.on_client(who, |fleet, at| {
                fleet.clients[at].names = some_of(topics);
                fleet.clients[at].expression.clear();
                fleet.beat(at, false, false);
            }),
            Act::Leave { who } => self.on_client(who, |fleet, at| {
                let client = fleet.clients.remove(at);
                let leaving = Heartbeat {
                    member_epoch: Epoch::LEAVE,
                    ..client.heartbeat()
                };
                let _ = fleet.world.send(leaving);
            }),
            Act::Away { who, comes_back } => self.on_client(who, |fleet, at| fleet.away(at, comes_back)),
            Act::Crash { who } => self.on_client(who, |fleet, at| drop(fleet.clients.remove(at))),
            Act::Pass { ms } => self.world.pass(ms),
            Act::SetTopic { topic, partitions } => {
                let name = TOPICS[topic % TOPICS.len()];
                let had = self
                    .world
                    .topics
                    .by_name(name)
                    .map_or(0, |shape| shape.partitions);
                self.world.topics_changed(name, partitions.max(had));
            }
            Act::RemoveTopic { topic } => {
                self.world.topics.remove(TOPICS[topic % TOPICS.len()]);
                self.world.step(Event::TopicsChanged);
            }
            Act::Resolve => drop(self.world.resolve()),
            Act::Reload => self.reload(),
        }
    }

    fn on_client(&mut self, who: usize, act: impl FnOnce(&mut Fleet, usize)) {
        if !self.clients.is_empty() {
            let at = who % self.clients.len();
            act(self, at);
        }
    }

    fn add(&mut self, topics: u8, expression: String, is_static: bool) {
        self.born += 1;
        self.clients.push(Client {
            id: format!("m{}", self.born),
            instance_id: is_static.then(|| format!("i{}", self.born)),
            epoch: 0,
            names: if expression.is_empty() {
                some_of(topics)
            } else {
                Vec::new()
            },
            expression,
            has: Partitions::default(),
            told: Partitions::default(),
        });
        self.beat(self.clients.len() - 1, false, false);
    }

    fn beat(&mut self, at: usize, lost: bool, slow: bool) {
        if !slow {
            self.clients[at].give_up();
        }
        let answer = self.world.send(self.clients[at].heartbeat());
        if lost {
            return;
        }
        match answer {
            Ok(answer) => self.clients[at].take(answer),
            // Fenced, unknown, or in the way of itself after a lost answer.
            Err(_) => self.clients[at].abandon(),
        }
    }

    fn away(&mut self, at: usize, comes_back: bool) {
        let Some(instance_id) = self.clients[at].instance_id.clone() else {
            return;
        };
        let mut client = self.clients.remove(at);
        let away = Heartbeat {
            member_epoch: Epoch::STATIC_LEAVE,
            ..client.heartbeat()
        };
        let left = self.world.send(away);
        if comes_back && left.is_ok() {
            self.born += 1;
            client.id = format!("m{}", self.born);
            client.instance_id = Some(instance_id);
            client.abandon();
            self.clients.push(client);
            self.beat(self.clients.len() - 1, false, false);
        }
    }

    fn reload(&mut self) {
        self.world.check_log();
        self.world.resolution = None;
        self.world.group = ConsumerGroup::default();
        for record in compacted(&self.world.log) {
            self.world.group.replay(record);
        }
        self.world.step(Event::Loaded);
    }

    fn check(&mut self, epoch_before: Epoch) {
        self.world.check();
        assert!(
            self.world.group.epoch() >= epoch_before,
            "the group's epoch doesn't go back"
        );
        self.check_member_epochs();
        let mut all = Partitions::default();
        let mut count = 0;
        for client in &self.clients {
            let Some(member) = self.world.group.state.members.get(client.id.as_str()) else {
                continue; // Out, and doesn't know yet: its commits are refused.
            };
            if client.epoch <= 0 || member.epoch < Epoch(client.epoch) {
                continue;
            }
            for (topic, partition) in client.has.each() {
                let is_its_own =
                    member.assigned.contains(topic, partition) || member.revoking.contains(topic, partition);
                assert!(
                    is_its_own,
                    "{} has {topic}-{partition}, and the group doesn't know",
                    client.id
                );
                all.add(topic, [partition]);
                count += 1;
            }
        }
        assert_eq!(all.count(), count, "no two have the same partition");
    }

    fn check_member_epochs(&mut self) {
        let members = &self.world.group.state.members;
        self.seen.retain(|id, _| {
            members
                .get(id.as_str())
                .is_some_and(|member| member.epoch > Epoch(0))
        });
        for member in members.values().filter(|member| member.epoch > Epoch(0)) {
            let seen = self.seen.entry(member.id.to_string()).or_insert(member.epoch);
            assert!(
                member.epoch >= *seen,
                "{}'s epoch went from {seen} to {}",
                member.id,
                member.epoch
            );
            *seen = member.epoch;
        }
    }

    /// Half a minute more than the longest timeout, with nothing but heartbeats.
    fn quiet(&mut self) {
        for _ in 0..20 {
            self.world.pass(5_000);
            self.world.resolve();
            for at in 0..self.clients.len() {
                let epoch = self.world.group.epoch();
                self.beat(at, false, false);
                self.check(epoch);
            }
        }
    }

    fn check_that_all_is_given_out(&self) {
        let group = &self.world.group;
        let expected = if self.clients.is_empty() {
            GroupState::Empty
        } else {
            GroupState::Stable
        };
        assert_eq!(group.state(), expected);
        assert_eq!(group.members().count(), self.clients.len(), "who crashed is out");
        for (name, shape) in self.world.topics.shapes() {
            let reads = |client: &Client| {
                let matched = group.state.resolved.get(client.expression.as_str());
                client.names.iter().any(|n| n == name) || matched.is_some_and(|m| m.topics.contains(name))
            };
            for partition in (0..shape.partitions).map(PartitionIndex) {
                let owners = self
                    .clients
                    .iter()
                    .filter(|client| client.has.contains(shape.id, partition));
                let expected = usize::from(self.clients.iter().any(reads));
                assert_eq!(owners.count(), expected, "{name}-{partition}");
            }
        }
    }
}

fn some_of(topics: u8) -> Vec<String> {
    let chosen = TOPICS
        .iter()
        .enumerate()
        .filter(|(index, _)| topics & (1 << index) != 0);
    chosen.map(|(_, name)| name.to_string()).collect()
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..100usize;
    prop_oneof![
        12 => (who.clone(), any::<bool>(), any::<bool>()).prop_map(|(who, lost, slow)| Act::Beat { who, lost, slow }),
        3 => (1..16u8, any::<bool>()).prop_map(|(topics, is_static)| Act::Join { topics, is_static }),
        1 => (0..3usize).prop_map(|prefix| Act::JoinByExpression { prefix }),
        2 => (who.clone(), 0..16u8).prop_map(|(who, topics)| Act::Resubscribe { who, topics }),
        1 => who.clone().prop_map(|who| Act::Leave { who }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, comes_back)| Act::Away { who, comes_back }),
        1 => who.prop_map(|who| Act::Crash { who }),
        3 => (0..40_000i64).prop_map(|ms| Act::Pass { ms }),
        2 => (0..4usize, 1..6i32).prop_map(|(topic, partitions)| Act::SetTopic { topic, partitions }),
        1 => (0..4usize).prop_map(|topic| Act::RemoveTopic { topic }),
        2 => Just(Act::Resolve),
        1 => Just(Act::Reload),
    ]
}

proptest! {
    #[test]
    fn one_owner_each_and_all_given_out_after_quiet(
        acts in vec(act(), 1..120),
        interval_ms in prop_oneof![Just(0), Just(1_000), Just(15_000)],
        assignors in prop_oneof![Just(vec![Assignor::Uniform]), Just(vec![Assignor::Range])],
    ) {
        let mut fleet = Fleet::new();
        fleet.world.settings.assignment_interval_ms = interval_ms;
        fleet.world.settings.assignors = assignors;
        for act in &acts {
            let epoch = fleet.world.group.epoch();
            fleet.act(act);
            fleet.check(epoch);
        }
        fleet.quiet();
        fleet.check_that_all_is_given_out();
        fleet.world.check_log();
    }
}
