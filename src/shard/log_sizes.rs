//! What lies in the log directories: each core is asked for its partitions.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::{CoreId, TopicPartition};
use crate::io::{self, Space};

use super::data_dirs::DirIndex;
use super::message::{Reply, Request};
use super::{Shard, TimeSlice, join_all};

/// One replica of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// Of which partition.
    pub partition: TopicPartition,
    /// Where it lies.
    pub dir: DirIndex,
    /// The bytes of its batches.
    pub size_bytes: u64,
    /// Of what is to take a replica's place once it has everything: how many offsets it is behind.
    pub future_lag: Option<i64>,
}

/// How a log directory is.
#[derive(Debug)]
pub enum DirCondition {
    /// In use.
    Online {
        /// How much its file system holds, and how much is free; or why that can't be told.
        space: std::io::Result<Space>,
        /// Whether it takes no new partition.
        is_cordoned: bool,
    },
    /// It could not be used at the start, or has failed since.
    Offline,
}

impl Shard {
    /// The sizes of this node's open replicas, of all partitions or of those that are `wanted`, in no order.
    pub async fn log_sizes(self: &Rc<Self>, wanted: Option<Vec<TopicPartition>>) -> Vec<LogSize> {
        let asked: BTreeMap<CoreId, Option<Vec<TopicPartition>>> = match wanted {
            None => (0..self.node.cores).map(|core| (CoreId(core), None)).collect(),
            Some(wanted) => {
                let mut by_owner: BTreeMap<CoreId, Vec<TopicPartition>> = BTreeMap::new();
                let mut slice = TimeSlice::default();
                let add = |partition| by_owner.entry(self.owner(partition)).or_default().push(partition);
                slice.each(wanted, add).await;
                by_owner
                    .into_iter()
                    .map(|(core, wanted)| (core, Some(wanted)))
                    .collect()
            }
        };
        let answers = asked
            .into_iter()
            .map(|(core, wanted)| self.log_sizes_on(core, wanted));
        join_all(answers).await.concat()
    }

    async fn log_sizes_on(
        self: &Rc<Self>,
        core: CoreId,
        wanted: Option<Vec<TopicPartition>>,
    ) -> Vec<LogSize> {
        if core == self.core {
            return self.log_sizes_here(wanted).await;
        }
        match self.link.ask(core, Request::LogSizes(wanted)).await {
            Reply::LogSizes(sizes) => sizes,
            _ => unreachable!("who is asked for sizes answers with them"),
        }
    }

    pub(super) async fn log_sizes_here(&self, wanted: Option<Vec<TopicPartition>>) -> Vec<LogSize> {
        let wanted = wanted.unwrap_or_else(|| self.owned.borrow().all());
        let mut sizes = Vec::new();
        let add = |partition| {
            let owned = self.owned.borrow();
            let open = owned.get(partition);
            let placed = open.and_then(|replica| Some((self.dir_here(replica)?, replica)));
            sizes.extend(placed.map(|(dir, replica)| LogSize {
                partition,
                dir,
                size_bytes: replica.log().size_bytes(),
                future_lag: None,
            }));
            let future =
                open.and_then(|replica| Some((self.future_of(partition)?, replica.log().end_offset())));
            sizes.extend(future.map(|(future, end)| LogSize {
                partition,
                dir: future.dir,
                size_bytes: future.size_bytes,
                future_lag: Some(end.0 - future.end.0),
            }));
        };
        TimeSlice::default().each(wanted, add).await;
        sizes
    }

    /// How a log directory is, as this core knows.
    pub fn dir_condition(&self, dir: DirIndex) -> DirCondition {
        if !self.online_dirs.contains(dir) {
            return DirCondition::Offline;
        }
        let config = self.config();
        let configured = self.node.config.log_dirs()[dir.0].as_path();
        DirCondition::Online {
            space: io::fs::space_now(&self.node.dirs.get(dir).path),
            is_cordoned: self.image().can_cordon() && config.cordoned_log_dirs().contains(&configured),
        }
    }
}
