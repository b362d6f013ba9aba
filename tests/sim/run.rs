//! One run: clients at work, a world that gets worse in places, deaths of the broker, then calm, and the proof.

use std::time::Duration;

use ringlog::io::Planted;
use ringlog::io::sim::{Faults, HostId, Seen, Simulation};

use crate::clients::{self, PARTITIONS};
use crate::kit::{Setup, connect};
use crate::model::Model;
use crate::moves;

const PIPELINED: u32 = 5;
const STUBBORN: u32 = 2;
const PLAIN: u32 = 2;
/// One consumer without and one with fetch sessions for each.
const CONSUMERS_WAIT_MAX: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];
const DEATHS: u64 = 3;
/// Consumers that wait at the end of the log when all is calm.
const PARKED: usize = 8;
/// Clients that ask much when all is calm.
const ASKING: u32 = 8;
/// Virtual time in which an honest world must do what it is asked.
const PROMPT: Duration = Duration::from_secs(20);
/// Virtual time after which nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(900);

/// What is promised, and which deaths put it to the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Survives the death of the process.
    Written,
    /// Survives the loss of power too.
    Durable,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub promise: Promise,
    /// Sent by each of the pipelined producers; the others send a part of it.
    pub records: u32,
    pub planted: Option<Planted>,
    /// Whether partitions move between two directories all the time.
    pub moves: bool,
}

/// What a run came to.
pub struct Report {
    /// The same for the same run.
    pub trace: u64,
    pub operations: usize,
    pub retries_after_lost_acks: u64,
    pub seen: Seen,
    /// How often a partition was seen to have moved.
    pub moves: usize,
}

struct Run {
    setup: Setup,
    clients: HostId,
    model: Model,
    plan: Plan,
}

impl Plan {
    /// Lives through `seed`. Panics where a promise is broken.
    pub fn run(self, seed: u64) -> Report {
        let mut run = Run::new(seed, self);
        run.work_and_die();
        run.calm_down();
        run.expect_no_wake_up_is_lost();
        run.expect_every_request_is_answered();
        let logs = run.read_all();
        run.model.check(&logs);
        run.end(seed)
    }
}

impl Run {
    fn new(seed: u64, plan: Plan) -> Run {
        // Segments end every few moments, with time to settle or without, and are known to be flushed soon, so that deaths meet all that.
        let roll = ["log.roll.ms=400", "log.roll.ms=20", "log.roll.ms=3"][seed as usize % 3];
        let dirs = ["log.dirs=/data", "log.dirs=/data,/second"][usize::from(plan.moves || seed % 2 == 1)];
        let mut settings = vec![
            dirs,
            "log.index.interval.bytes=256",
            roll,
            "log.flush.offset.checkpoint.interval.ms=150",
        ];
        if plan.promise == Promise::Durable {
            settings.push("ringlog.ack=durable");
        }
        let mut setup = Setup::new(seed, Faults::rough(), &settings);
        if let Some(bug) = plan.planted {
            setup.sim.plant(bug);
        }
        setup.start();
        let clients = setup.sim.add_host(1);
        Run {
            setup,
            clients,
            model: Model::new(PARTITIONS),
            plan,
        }
    }

    fn work_and_die(&mut self) {
        let (sim, bootstrap) = (self.setup.sim.clone(), self.setup.bootstrap());
        let created = sim.run(self.clients, {
            let bootstrap = bootstrap.clone();
            move || clients::create(bootstrap)
        });
        assert!(sim.pass_until(PATIENCE, || created.has_ended()), "no topic");
        let producers = self.start_producers();
        for wait_max in CONSUMERS_WAIT_MAX {
            let (address, model) = (bootstrap.clone(), self.model.clone());
            sim.run(self.clients, move || clients::consume(address, wait_max, model));
            let (address, model) = (bootstrap.clone(), self.model.clone());
            sim.run(self.clients, move || {
                clients::consume_in_sessions(address, wait_max, model)
            });
        }
        if self.plan.moves {
            let (address, model) = (bootstrap.clone(), self.model.clone());
            sim.run(self.clients, move || moves::move_about(address, model));
        }
        let all = self.plan.records as usize * PIPELINED as usize;
        for death in 0..DEATHS {
            // At a fifth, two fifths, … of the work, so that every death meets clients at it.
            let enough = all * (death as usize + 1) / (DEATHS as usize + 2);
            self.work_until(enough);
            self.die();
        }
        let has_ended = || producers.iter().all(|producer| producer.has_ended());
        assert!(
            sim.pass_until(PATIENCE, has_ended),
            "the producers do not end; {}",
            sim.seen()
        );
        self.setup.expect_running();
    }

    fn start_producers(&self) -> Vec<ringlog::io::sim::Outcome<()>> {
        let records = self.plan.records;
        (0..PIPELINED + STUBBORN + PLAIN)
            .map(|client| {
                let (bootstrap, model) = (self.setup.bootstrap(), self.model.clone());
                match client {
                    0..PIPELINED => self.setup.sim.run(self.clients, move || {
                        clients::produce_pipelined(bootstrap, client, records, model)
                    }),
                    _ if client < PIPELINED + STUBBORN => self.setup.sim.run(self.clients, move || {
                        clients::produce_stubbornly(bootstrap, client, records / 4, model)
                    }),
                    _ => self.setup.sim.run(self.clients, move || {
                        clients::produce_plainly(bootstrap, client, records / 4, model)
                    }),
                }
            })
            .collect()
    }

    /// Lets the clients work until so much is acknowledged, with trouble now and then.
    fn work_until(&mut self, enough: usize) {
        let (sim, model) = (self.setup.sim.clone(), self.model.clone());
        let limit = sim.now() + PATIENCE;
        let bootstrap = self.setup.bootstrap();
        let is_up = sim.run(self.clients, move || async { drop(connect(bootstrap).await) });
        while model.acknowledged_count() < enough {
            assert!(
                sim.now() < limit,
                "{} of {enough} were acknowledged; {}",
                model.acknowledged_count(),
                sim.seen()
            );
            let until_trouble = Duration::from_millis(sim.chance(5..200));
            sim.pass_until(until_trouble, || model.acknowledged_count() >= enough);
            self.setup.expect_running();
            match sim.chance(0..24) {
                0 => self.be_cut_off(),
                // A broker that has not recovered yet needs room, and says so and ends.
                1 if is_up.has_ended() => self.be_full(),
                _ => {}
            }
        }
    }

    /// The network is cut: shorter, or longer than any client waits for an answer.
    fn be_cut_off(&self) {
        let sim = &self.setup.sim;
        let patient = sim.chance(0..8) > 0;
        let millis = if patient {
            sim.chance(1..400)
        } else {
            sim.chance(4_000..9_000)
        };
        sim.cut(self.clients, self.setup.host, true);
        sim.pass(Duration::from_millis(millis));
        sim.cut(self.clients, self.setup.host, false);
    }

    /// The disk has no room for a while.
    fn be_full(&self) {
        let sim = &self.setup.sim;
        let room = sim.chance(0..2_000);
        sim.set_faults(Faults {
            disk_bytes_max: sim.stored_bytes(self.setup.host) + room,
            ..Faults::rough()
        });
        sim.pass(Duration::from_millis(sim.chance(1..200)));
        sim.set_faults(Faults::rough());
    }

    /// The broker dies, sometimes after its disk began to fail, sometimes twice in a row.
    fn die(&mut self) {
        let sim = self.setup.sim.clone();
        self.setup.expect_running();
        let is_disk_bad = sim.chance(0..3) == 0;
        if is_disk_bad {
            sim.set_faults(Faults {
                disk_error: 0.05,
                short_write: 0.05,
                ..Faults::rough()
            });
            sim.pass(Duration::from_micros(sim.chance(0..30_000)));
        }
        sim.pass(Duration::from_micros(sim.chance(0..2_000)));
        sim.set_faults(Faults::rough());
        loop {
            self.end_broker(is_disk_bad);
            self.model.notes().era += 1;
            sim.pass(Duration::from_millis(sim.chance(1..300)));
            self.setup.start();
            if sim.chance(0..3) > 0 {
                return;
            }
            sim.pass(Duration::from_micros(sim.chance(0..20_000)));
        }
    }

    /// What a failed flush left in the page cache is not to be trusted, so a durable broker's host goes down with it.
    fn end_broker(&mut self, is_disk_bad: bool) {
        match self.plan.promise {
            Promise::Written => self.setup.kill(),
            Promise::Durable if !is_disk_bad && self.setup.sim.chance(0..3) == 0 => self.setup.kill(),
            Promise::Durable => self.setup.crash(),
        }
    }

    /// From here on nothing fails.
    fn calm_down(&mut self) {
        let sim = &self.setup.sim;
        sim.set_faults(Faults {
            mailbox_messages_max: Faults::rough().mailbox_messages_max,
            ..Faults::none()
        });
        sim.pass(Duration::from_secs(1));
    }

    fn read_all(&self) -> Vec<Vec<crate::model::Read>> {
        let (sim, bootstrap) = (&self.setup.sim, self.setup.bootstrap());
        let logs = sim.run(self.clients, move || clients::read_all(bootstrap));
        let has_ended = sim.pass_until(PROMPT, || logs.has_ended());
        assert!(has_ended, "the logs cannot be read");
        logs.take().expect("it ended")
    }

    /// Many wait at the logs' ends, on both cores; one record each wakes them all.
    fn expect_no_wake_up_is_lost(&self) {
        let (sim, bootstrap) = (&self.setup.sim, self.setup.bootstrap());
        let ends: Vec<i64> = self
            .read_all()
            .iter()
            .map(|log| log.last().map_or(0, |last| last.offset + 1))
            .collect();
        let parked: Vec<_> = (0..PARKED)
            .map(|index| {
                let (bootstrap, ends) = (bootstrap.clone(), ends.clone());
                match index % 2 {
                    0 => sim.run(self.clients, move || clients::await_one_each(bootstrap, ends)),
                    _ => sim.run(self.clients, move || {
                        clients::await_one_each_in_session(bootstrap, ends)
                    }),
                }
            })
            .collect();
        sim.pass(Duration::from_secs(2));
        let model = self.model.clone();
        sim.run(self.clients, move || {
            clients::produce_one_each(bootstrap, 1_000, model)
        });
        let awake = || parked.iter().filter(|parked| parked.has_ended()).count();
        sim.pass_until(PROMPT, || awake() == PARKED);
        assert_eq!(awake(), PARKED, "consumers that were woken");
    }

    fn expect_every_request_is_answered(&self) {
        let sim = &self.setup.sim;
        let asking: Vec<_> = (0..ASKING)
            .map(|client| {
                let (bootstrap, model) = (self.setup.bootstrap(), self.model.clone());
                sim.run(self.clients, move || {
                    clients::ask_much(bootstrap, 2_000 + client, model)
                })
            })
            .collect();
        let done = || asking.iter().all(|asking| asking.has_ended());
        assert!(sim.pass_until(PROMPT, done), "requests are not answered");
    }

    fn end(mut self, seed: u64) -> Report {
        self.setup.stop();
        let sim: &Simulation = &self.setup.sim;
        let notes = self.model.notes();
        if std::env::var_os("RINGLOG_SHOW").is_some() {
            let (operations, now) = (notes.operations, sim.now());
            eprintln!(
                "seed {seed}: {operations} operations, virtual {now:?}, {}",
                sim.seen()
            );
        }
        Report {
            trace: sim.trace(),
            operations: notes.operations,
            retries_after_lost_acks: notes.retries_after_lost_acks,
            seen: sim.seen(),
            moves: notes.moves,
        }
    }
}
