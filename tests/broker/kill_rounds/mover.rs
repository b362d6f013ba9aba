//! Moves partitions between two directories as long as a broker lives.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ringlog::wire::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;

use super::TOPICS;
use super::producer::Load;
use crate::chance::Chance;
use crate::harness::Broker;
use crate::move_dirs::move_request;
use crate::raw::Connection;

const VERSION: i16 = 2;

/// See the module.
pub struct Mover {
    dirs: [PathBuf; 2],
    chance: Chance,
    /// In which of them each partition was found last.
    seen: BTreeMap<String, usize>,
    /// How often one was found in the other than before.
    pub moved: u64,
}

impl Mover {
    /// For a broker that is to have two directories from its start on.
    pub fn over_two_directories(broker: &mut Broker, seed: u64) -> Mover {
        let dirs = [broker.data(), broker.data().with_file_name("other")];
        broker.set(&[&format!("log.dirs={},{}", dirs[0].display(), dirs[1].display())]);
        Mover {
            dirs,
            chance: Chance(seed ^ 0x6d6f_7665),
            seen: BTreeMap::new(),
            moved: 0,
        }
    }

    /// Sends one after the other to where it isn't.
    pub fn run(&mut self, broker: SocketAddr, load: &Load) {
        let Ok(stream) = TcpStream::connect(broker) else {
            return;
        };
        let mut connection = Connection::over(stream);
        while !load.is_killed() {
            let topic = &TOPICS[self.chance.below(TOPICS.len() as u64) as usize];
            let partition = self.chance.below(topic.partitions as u64) as i32;
            let name = format!("{}-{partition}", topic.name);
            let to = usize::from(self.dirs[0].join(&name).exists());
            let request: AlterReplicaLogDirsRequest<'_> = move_request(topic.name, partition, &self.dirs[to]);
            let frame = connection.frame(VERSION, &request);
            if connection.try_write(&frame).is_err() || connection.try_read_frame().is_err() {
                return assert!(load.is_killed(), "a connection broke while the broker ran");
            }
            let was_in = self.seen.insert(name, 1 - to);
            self.moved += u64::from(was_in.is_some_and(|was_in| was_in == to));
            thread::sleep(Duration::from_millis(self.chance.below(10)));
        }
    }
}
