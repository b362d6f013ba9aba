//! From a configuration to a broker that listens, and back.

#![expect(
    clippy::disallowed_types,
    reason = "the cores' threads take their parts here once, before any request"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::{Origin, Role};
use crate::base::{CoreId, Instant};
use crate::config::{self, Config, ListenerConfig};
use crate::io::mesh::{self, Port};
use crate::io::net::{Listener, Stream};

use crate::io::{self, Options, Signal, signal};
use crate::log::clean_start::CleanStart;
use crate::shard::{
    AddressIsFull, CONTROLLER_CORE, CleanStop, ConnectionLimits, DataDirs, Entrance, MAILBOX_MESSAGES,
    Message, Node, Shard, Visitor,
};

use super::connection::{self, Terms};
use super::connections::Connections;
use super::home::Home;
use super::listeners::{self, BoundListener};
use super::log_limit::LogLimit;

/// When the system has no more descriptors or memory for connections, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one core is handed at its start.
struct Part {
    port: Port<Message>,
    listeners: Vec<BoundListener>,
    clean_start: Arc<Vec<CleanStart>>,
}

/// Runs the broker until it is told to stop.
pub fn serve(config: Config) -> ExitCode {
    match Broker::start(config).and_then(Broker::join) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("ringlog: {message}");
            ExitCode::FAILURE
        }
    }
}

/// A broker whose cores run.
#[must_use = "a broker is joined, or it was never stopped cleanly"]
pub struct Broker {
    home: Home,
    cores: io::Running,
    /// Core 0's last word.
    outcome: Arc<Mutex<Result<CleanStop, String>>>,
}

impl Broker {
    /// Takes the data directory and the listeners' addresses, and starts the cores.
    ///
    /// # Errors
    /// A text that names the setting, the limit or the file that is in the way.
    pub fn start(config: Config) -> Result<Broker, String> {
        let started = io::now();
        signal::block_in_process();
        let mut home = Home::open(&config)?;
        let cpus = config
            .ringlog_cores()
            .choose(&io::allowed_cpus().map_err(|error| error.to_string())?)?;
        let cores =
            u16::try_from(cpus.len()).map_err(|_| format!("ringlog.cores: {} are too many", cpus.len()))?;
        let bound = listeners::bind(&config, cpus.len())?;
        let ports = mesh::build(cpus.len(), MAILBOX_MESSAGES);
        let clean_start = Arc::new(home.take_clean_starts());
        let part = |(port, listeners)| Part {
            port,
            listeners,
            clean_start: clean_start.clone(),
        };
        let parts = ports.into_iter().zip(bound.by_core).map(part).map(Some);
        let parts: Arc<Mutex<Vec<Option<Part>>>> = Arc::new(Mutex::new(parts.collect()));
        let options = Options {
            cores: cpus,
            profile: io_profile(config.profile()),
            stall_limit: config.stall_limit(),
            pin: config.pin(),
        };
        let connection_limits = ConnectionLimits::new(&config)?;
        let node = Arc::new(Node {
            config,
            connection_limits,
            advertised: bound.advertised,
            controllers: bound.controllers,
            cores,
            cluster_id: home.cluster_id().to_owned(),
            metadata_dir: home.metadata_dir(),
            dirs: DataDirs::new(home.data_dirs()),
        });
        let outcome: Arc<Mutex<Result<CleanStop, String>>> =
            Arc::new(Mutex::new(Err("core 0 did not end".to_string())));
        let main = {
            let outcome = outcome.clone();
            move |core: CoreId| {
                let part = take_part(&parts, core);
                let (node, outcome) = (node.clone(), outcome.clone());
                async move {
                    let shard = Shard::start(node, part.port, part.clean_start);
                    if core == CONTROLLER_CORE {
                        *unpoisoned(&outcome) = lead(shard, part.listeners, started).await;
                    } else {
                        follow(shard, part.listeners).await;
                    }
                }
            }
        };
        Ok(Broker {
            home,
            cores: io::start(options, main).map_err(|error| error.to_string())?,
            outcome,
        })
    }

    /// Waits until every core has ended, and marks the stop as a clean one if it was.
    ///
    /// # Errors
    /// A text that says what could not be opened, or what was not closed cleanly.
    pub fn join(self) -> Result<(), String> {
        self.cores.join();
        let stop = std::mem::replace(&mut *unpoisoned(&self.outcome), Ok(CleanStop::default()))?;
        self.home.mark_clean_stop(stop)
    }

    /// The cores, for who watches them from outside.
    pub fn cores(&self) -> &io::Running {
        &self.cores
    }
}

fn io_profile(profile: config::Profile) -> io::Profile {
    match profile {
        config::Profile::Park => io::Profile::Park,
        config::Profile::Adaptive { spin } => io::Profile::Adaptive { spin },
        config::Profile::Busy => io::Profile::Busy,
    }
}

/// A lock that only ever guards plain assignments cannot be left half-done.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_part(parts: &Mutex<Vec<Option<Part>>>, core: CoreId) -> Part {
    unpoisoned(parts)[core.index()]
        .take()
        .expect("each core starts once")
}

/// Core 0: opens everything, tells the others, and waits for the signal to stop.
async fn lead(
    shard: Rc<Shard>,
    listeners: Vec<BoundListener>,
    started: Instant,
) -> Result<CleanStop, String> {
    let left_over = shard.find_deleted();
    let mut outcome = shard.open().await;
    if outcome.is_ok() {
        shard.start_checkpoints().await;
        outcome = accept_all(&shard, listeners);
    }
    if outcome.is_ok() {
        shard.let_all_listen().await;
        shard.start_retention();
        shard.start_closing_files();
        shard.start_flush_scheduler();
        shard.start_compaction();
        shard.start_snapshots();
        print_ready(shard.node(), started);
        // Of a topic with thousands of partitions it takes long, and nobody has to wait for it.
        io::spawn(left_over.run());
        // What has failed so is left as it is: a stop would write more.
        shard.unless_node_ends(wait_for_stop(&shard)).await?;
    }
    let stopped = shard.stop_all().await;
    println!("{}", io::counters());
    outcome.and(stopped)
}

/// Every other core: does what core 0 says.
async fn follow(shard: Rc<Shard>, listeners: Vec<BoundListener>) {
    if !shard.told_to_listen().await {
        return;
    }
    if let Err(error) = accept_all(&shard, listeners) {
        // The other cores accept on theirs; this one still serves its partitions.
        tracing::error!("core {}: {error}", shard.core());
    }
    shard.start_retention();
    shard.start_closing_files();
    shard.start_flush_scheduler();
    shard.start_compaction();
    shard.told_to_stop().await;
}

fn print_ready(node: &Node, started: Instant) {
    let shown: Vec<String> = node.advertised.iter().map(address).collect();
    println!(
        "ringlog is ready on {} with {} cores, data in {}, after {} ms. Next: ringlog topic create ticks --bootstrap {}",
        shown.join(", "),
        node.cores,
        data_dirs(node),
        io::now().since(started).as_millis(),
        shown.first().map_or("HOST:PORT", String::as_str),
    );
}

fn data_dirs(node: &Node) -> String {
    let paths = node.dirs.found().map(|(_, path, _)| path.display().to_string());
    paths.collect::<Vec<_>>().join(", ")
}

async fn wait_for_stop(shard: &Shard) {
    loop {
        match signal::next().await {
            Signal::Stop => return,
            Signal::Report => println!(
                "{}\npartitions on core {}: {}",
                io::counters(),
                shard.core(),
                shard.owned_count()
            ),
        }
    }
}

/// `HOST:PORT`, as the client commands take it.
fn address(listener: &ListenerConfig) -> String {
    let shown = listener.to_string();
    shown
        .split_once("://")
        .map_or(shown.clone(), |(_, address)| address.to_string())
}

/// Accepts on this core's socket of every listener, until the core ends.
fn accept_all(shard: &Rc<Shard>, listeners: Vec<BoundListener>) -> Result<(), String> {
    let limit = Rc::new(LogLimit::default());
    let connections = Rc::new(Connections::default());
    if let Some(idle_max) = shard.config().connections_idle_max() {
        io::spawn(connections.clone().sweep(idle_max));
    }
    shard.serves(connections.clone());
    // Kafka's rule: with several listeners, that of the brokers is never kept closed by the others' clients. Controllers' are counted apart.
    let of_broker = listeners.iter().filter(|listener| listener.role == Role::Broker);
    let protected = (of_broker.count() > 1).then(|| shard.config().inter_broker_listener().to_string());
    for BoundListener { name, role, bound } in listeners {
        let listener = Listener::new(bound).map_err(|error| format!("listeners: {name}: {error}"))?;
        let door = Door {
            shard: shard.clone(),
            connections: connections.clone(),
            is_protected: protected.as_ref() == Some(&name),
            role,
            name: Rc::from(name),
            limit: limit.clone(),
        };
        io::spawn(door.accept(listener));
    }
    Ok(())
}

/// One listener of one core.
struct Door {
    shard: Rc<Shard>,
    connections: Rc<Connections>,
    is_protected: bool,
    role: Role,
    name: Rc<str>,
    limit: Rc<LogLimit>,
}

impl Door {
    async fn accept(self, mut listener: Listener) {
        loop {
            let accepted = listener.accept().await;
            if self.connections.are_ending() {
                return;
            }
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer).await,
                Err(error) => {
                    self.limit.report(format_args!(
                        "listener {}: accepting a connection failed: {error}",
                        self.name
                    ));
                    // Any other failure is of one connection, which was gone before it was accepted.
                    if io::is_out_of_resources(&error) {
                        io::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Serves a connection once there is a place for it. Until then no other is accepted here, as in Kafka.
    async fn admit(&self, stream: Stream, peer: SocketAddr) {
        let visitor = Visitor {
            entrance: match self.role {
                Role::Broker => Entrance::Broker,
                Role::Controller => Entrance::Controller,
            },
            address: peer.ip().to_canonical(),
            is_protected: self.is_protected,
        };
        match self.shard.place(visitor).await {
            Ok(place) => {
                let origin = Origin {
                    role: self.role,
                    listener: self.name.clone(),
                    peer,
                };
                let terms = Terms {
                    activity: self.connections.enter(),
                    place,
                    is_protected: self.is_protected || self.role == Role::Controller,
                };
                let (shard, limit) = (self.shard.clone(), self.limit.clone());
                io::spawn(connection::serve(shard, stream, origin, terms, limit));
            }
            Err(AddressIsFull { connections_max }) => self.limit.report(format_args!(
                "closing the connection of {peer}: its address has the {connections_max} connections that it may have"
            )),
        }
    }
}
