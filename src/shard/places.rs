//! Places for connections: `max.connections`, and how many of one address.
//!
//! Core 0 counts for the node. A core asks it for each connection that it accepts, and gives the place back when the connection
//! ends. All are counted, limited or not: a limit may be set while they are there.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use crate::base::CoreId;
use crate::config::Config;
use crate::io::local::{Receiver, Sender, oneshot};
use crate::io::{self, net};

use super::message::{Reply, Request};
use super::{CONTROLLER_CORE, Shard};

/// How many connections there may be.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// `max.connections`.
    pub all_max: usize,
    /// `max.connections.per.ip`.
    pub address_max: usize,
    /// `max.connections.per.ip.overrides`.
    pub overrides: BTreeMap<IpAddr, usize>,
}

/// What kind of listener a connection comes over. Kafka has a socket server for each, which counts its own: a node's clients can't keep
/// the controllers out, nor these the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// That of clients and brokers.
    Broker,
    /// The controller's own.
    Controller,
}

/// Who asks for a place.
#[derive(Clone, Copy, Debug)]
pub struct Visitor {
    /// Where it is counted.
    pub entrance: Entrance,
    /// The client's address.
    pub address: IpAddr,
    /// Whether it comes over the listener of the brokers, which is not kept out while clients have one of their own.
    pub is_protected: bool,
}

/// The address has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressIsFull {
    /// So many.
    pub connections_max: usize,
}

/// The right to have one connection; given back when dropped.
pub struct Place {
    shard: Rc<Shard>,
    visitor: Visitor,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.shard.core == CONTROLLER_CORE {
            self.shard.end_place_here(self.visitor);
        } else {
            self.shard.tell(CONTROLLER_CORE, Request::EndPlace(self.visitor));
        }
    }
}

/// The count, on core 0.
pub(super) struct Places {
    limits: ConnectionLimits,
    of_broker: Count,
    of_controller: Count,
}

/// Those of one entrance.
#[derive(Default)]
struct Count {
    taken: usize,
    by_address: BTreeMap<IpAddr, usize>,
    /// Who waits for a place, first come first served: at most one for each listener of each core.
    waiting: VecDeque<(IpAddr, Sender<()>)>,
}

/// What becomes of a visitor.
enum Answer {
    /// Comes in.
    In,
    /// Comes in, and another connection has to go.
    InForAnother,
    /// Comes in when this says so.
    Later(Receiver<()>),
    /// Stays out.
    Refused(AddressIsFull),
}

impl ConnectionLimits {
    /// Those that `config` sets. Names in `max.connections.per.ip.overrides` are looked up.
    ///
    /// # Errors
    /// A text that names the address that is none.
    pub fn new(config: &Config) -> Result<ConnectionLimits, String> {
        let mut overrides = BTreeMap::new();
        for (host, connections_max) in config.connections_per_address_overrides() {
            let addresses = net::resolve_now(host, 0)
                .map_err(|error| format!("max.connections.per.ip.overrides: {host}: {error}"))?;
            let addresses = addresses.iter().map(|address| address.ip().to_canonical());
            overrides.extend(addresses.map(|address| (address, connections_max)));
        }
        Ok(ConnectionLimits {
            all_max: config.connections_max(),
            address_max: config.connections_per_address_max(),
            overrides,
        })
    }

    /// With what `now` sets over the node's own settings, whose limits these are. No name is looked up: only `own` may have any, and
    /// a core that serves doesn't wait for a name server.
    pub(super) fn with_dynamic(&self, own: &Config, now: &Config) -> ConnectionLimits {
        let set = now.connections_per_address_overrides();
        let overrides = match set == own.connections_per_address_overrides() {
            true => self.overrides.clone(),
            false => set
                .into_iter()
                .filter_map(|(address, connections_max)| Some((address.parse().ok()?, connections_max)))
                .map(|(address, connections_max): (IpAddr, usize)| (address.to_canonical(), connections_max))
                .collect(),
        };
        ConnectionLimits {
            all_max: now.connections_max(),
            address_max: now.connections_per_address_max(),
            overrides,
        }
    }

    fn of(&self, address: IpAddr) -> usize {
        self.overrides.get(&address).copied().unwrap_or(self.address_max)
    }
}

impl Places {
    /// All free.
    pub(super) fn new(limits: ConnectionLimits) -> Places {
        Places {
            limits,
            of_broker: Count::default(),
            of_controller: Count::default(),
        }
    }

    /// From now on these count. Nobody who is there has to go.
    pub(super) fn take_limits(&mut self, limits: ConnectionLimits) {
        self.limits = limits;
        for count in [&mut self.of_broker, &mut self.of_controller] {
            count.admit_waiting(self.limits.all_max);
        }
    }

    fn ask(&mut self, visitor: Visitor) -> Answer {
        let (count, limits) = self.count(visitor.entrance);
        count.ask(visitor, limits)
    }

    /// A connection has ended: its place goes to whoever waits longest.
    fn end(&mut self, visitor: Visitor) {
        let (count, limits) = self.count(visitor.entrance);
        count.leave(visitor.address);
        count.taken -= 1;
        count.admit_waiting(limits.all_max);
    }

    fn count(&mut self, entrance: Entrance) -> (&mut Count, &ConnectionLimits) {
        let count = match entrance {
            Entrance::Broker => &mut self.of_broker,
            Entrance::Controller => &mut self.of_controller,
        };
        (count, &self.limits)
    }
}

impl Count {
    fn ask(&mut self, visitor: Visitor, limits: &ConnectionLimits) -> Answer {
        let there = self.by_address.entry(visitor.address).or_default();
        let connections_max = limits.of(visitor.address);
        if *there >= connections_max {
            self.forget_if_none(visitor.address);
            return Answer::Refused(AddressIsFull { connections_max });
        }
        // Who waits counts for its address already.
        *there += 1;
        if self.taken < limits.all_max {
            self.taken += 1;
            return Answer::In;
        }
        if visitor.is_protected {
            self.taken += 1;
            return Answer::InForAnother;
        }
        let (sender, receiver) = oneshot();
        self.waiting.push_back((visitor.address, sender));
        Answer::Later(receiver)
    }

    fn admit_waiting(&mut self, all_max: usize) {
        while self.taken < all_max
            && let Some((waiting, sender)) = self.waiting.pop_front()
        {
            match sender.send(()) {
                Ok(()) => self.taken += 1,
                Err(()) => self.leave(waiting),
            }
        }
    }

    fn leave(&mut self, address: IpAddr) {
        if let Some(there) = self.by_address.get_mut(&address) {
            *there -= 1;
        }
        self.forget_if_none(address);
    }

    fn forget_if_none(&mut self, address: IpAddr) {
        if self.by_address.get(&address) == Some(&0) {
            self.by_address.remove(&address);
        }
    }
}

impl Shard {
    /// A place for a connection, as soon as there is one.
    ///
    /// # Errors
    /// When the address has all that it may have.
    pub async fn place(self: &Rc<Self>, visitor: Visitor) -> Result<Place, AddressIsFull> {
        let outcome = match self.core {
            CONTROLLER_CORE => self.place_here(visitor).await,
            _ => match self.link.ask(CONTROLLER_CORE, Request::Place(visitor)).await {
                Reply::Place(outcome) => outcome,
                _ => unreachable!("who asks for a place is told of a place"),
            },
        };
        outcome.map(|()| Place {
            shard: self.clone(),
            visitor,
        })
    }

    pub(super) async fn place_here(self: &Rc<Self>, visitor: Visitor) -> Result<(), AddressIsFull> {
        let answer = self.places.borrow_mut().ask(visitor);
        match answer {
            Answer::In => {}
            Answer::InForAnother => {
                io::spawn(self.clone().close_one());
            }
            Answer::Later(turn) => {
                turn.await;
            }
            Answer::Refused(full) => return Err(full),
        }
        Ok(())
    }

    pub(super) fn end_place_here(&self, visitor: Visitor) {
        self.places.borrow_mut().end(visitor);
    }

    /// Closes one connection of some core, the least used that it has.
    async fn close_one(self: Rc<Self>) {
        for core in (0..self.node.cores).map(CoreId) {
            let closed = match core == self.core {
                true => self.close_one_here(),
                false => matches!(
                    self.link.ask(core, Request::CloseOne).await,
                    Reply::ClosedOne(true)
                ),
            };
            if closed {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn places(all_max: usize, address_max: usize) -> Places {
        Places::new(ConnectionLimits {
            all_max,
            address_max,
            overrides: [(THERE, 1)].into(),
        })
    }

    fn visitor(address: IpAddr) -> Visitor {
        Visitor {
            entrance: Entrance::Broker,
            address,
            is_protected: false,
        }
    }

    #[test]
    fn names_of_the_file_stay_as_they_were_found_and_what_is_set_later_goes_before_them() {
        let config = |text: &str| Config::parse(Some(text), &[]).unwrap().0;
        let own = config("max.connections.per.ip.overrides=somewhere.invalid:1");
        let found = places(100, 2).limits;
        let more = config("max.connections=7\nmax.connections.per.ip.overrides=somewhere.invalid:1");
        let limits = found.with_dynamic(&own, &more);
        assert_eq!((limits.all_max, &limits.overrides), (7, &found.overrides));
        let set = config("max.connections.per.ip.overrides=127.0.0.1:5");
        assert_eq!(found.with_dynamic(&own, &set).overrides, [(HERE, 5)].into());
    }

    #[test]
    fn a_limit_that_is_raised_lets_in_who_waits() {
        let mut places = places(1, 9);
        assert!(matches!(places.ask(visitor(HERE)), Answer::In));
        let Answer::Later(mut turn) = places.ask(visitor(HERE)) else {
            panic!("there is one place")
        };
        let limits = |all_max| ConnectionLimits {
            all_max,
            ..places.limits.clone()
        };
        let (raised, lowered) = (limits(2), limits(1));
        places.take_limits(raised);
        assert!(turn.try_take().is_some());
        places.take_limits(lowered);
        places.end(visitor(HERE));
        assert!(
            matches!(places.ask(visitor(HERE)), Answer::Later(_)),
            "one is still there"
        );
    }

    #[test]
    fn an_address_has_its_own_limit_and_is_told_it() {
        let mut places = places(100, 2);
        for (address, connections_max) in [(HERE, 2), (THERE, 1)] {
            for _ in 0..connections_max {
                assert!(matches!(places.ask(visitor(address)), Answer::In));
            }
            let answer = places.ask(visitor(address));
            assert!(matches!(answer, Answer::Refused(full) if full.connections_max == connections_max));
            places.end(visitor(address));
            assert!(matches!(places.ask(visitor(address)), Answer::In));
        }
    }

    #[test]
    fn who_finds_no_place_waits_in_line() {
        let mut places = places(1, 100);
        assert!(matches!(places.ask(visitor(HERE)), Answer::In));
        let line: Vec<_> = (0..3).map(|_| places.ask(visitor(HERE))).collect();
        let mut line: Vec<Receiver<()>> = line
            .into_iter()
            .map(|answer| match answer {
                Answer::Later(turn) => turn,
                _ => panic!("it waits"),
            })
            .collect();
        // The first one leaves the line.
        line.remove(0);
        places.end(visitor(HERE));
        assert_eq!(line[0].try_take(), Some(()));
        assert_eq!(line[1].try_take(), None);
        places.end(visitor(HERE));
        assert_eq!(line[1].try_take(), Some(()));
        places.end(visitor(HERE));
        assert_eq!(
            (places.of_broker.taken, places.of_broker.by_address.len()),
            (0, 0),
            "nothing is left behind"
        );
    }

    #[test]
    fn the_brokers_listener_comes_in_and_another_goes() {
        let mut places = places(1, 100);
        assert!(matches!(places.ask(visitor(HERE)), Answer::In));
        let broker = Visitor {
            is_protected: true,
            ..visitor(HERE)
        };
        assert!(matches!(places.ask(broker), Answer::InForAnother));
        let Answer::Later(mut turn) = places.ask(visitor(HERE)) else {
            panic!("it waits")
        };
        places.end(visitor(HERE));
        assert_eq!(turn.try_take(), None, "that was the one too many");
        places.end(visitor(HERE));
        assert_eq!(turn.try_take(), Some(()));
    }

    #[test]
    fn clients_and_controllers_are_counted_apart() {
        let mut places = places(1, 1);
        let controller = Visitor {
            entrance: Entrance::Controller,
            ..visitor(HERE)
        };
        for visitor in [visitor(HERE), controller] {
            assert!(matches!(places.ask(visitor), Answer::In));
        }
        for visitor in [visitor(HERE), controller] {
            assert!(matches!(places.ask(visitor), Answer::Refused(_)));
            places.end(visitor);
            assert!(matches!(places.ask(visitor), Answer::In));
        }
    }
}
