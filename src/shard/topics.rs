//! Keeping a core's partitions what the image says they are.

use std::io;
use std::rc::Rc;

use crate::base::{TopicId, TopicPartition};
use crate::config::TopicConfig;
use crate::io::wall_now;
use crate::log::{LogError, Opened};
use crate::metadata::{Change, Image};
use crate::wire::batch::BatchView;

use super::owned::Assigned;
use super::{Shard, join_all};

/// Logs that are flushed and closed at once at a stop; the device is the limit, not the core.
const CLOSING_AT_ONCE: usize = 32;

impl Shard {
    /// Takes the node's first image and opens this core's part of it.
    pub(super) fn open_image(&self, image: Image) -> Result<(), LogError> {
        *self.image.borrow_mut() = image;
        self.open_owned()
    }

    /// Opens every partition of the image that this core owns.
    pub(super) fn open_owned(&self) -> Result<(), LogError> {
        let topics: Vec<TopicId> = self.image.borrow().topics().map(|topic| topic.id).collect();
        topics
            .into_iter()
            .try_for_each(|topic| self.take_topic(topic, self.node.opened))
    }

    /// Applies a committed batch of metadata records: first to the image, then to the partitions it touched.
    ///
    /// # Panics
    /// When a committed batch does not apply: the image would no longer be the cluster's.
    pub(super) fn apply(&self, batch: &[u8]) {
        let applied = BatchView::first(batch)
            .map_err(|error| error.to_string())
            .and_then(|batch| {
                self.image
                    .borrow_mut()
                    .apply_batch(&batch)
                    .map_err(|error| error.to_string())
            });
        match applied {
            Ok(changes) => changes.into_iter().for_each(|change| self.follow(change)),
            Err(error) => panic!("a committed metadata batch does not apply: {error}"),
        }
    }

    fn follow(&self, change: Change) {
        let outcome = match &change {
            Change::Partition { topic, .. } => self.take_topic(*topic, Opened::AfterCleanStop),
            Change::TopicConfigs { name } => {
                let topic = self.image.borrow().topic_by_name(name).map(|topic| topic.id);
                topic.map_or(Ok(()), |topic| self.take_topic(topic, Opened::AfterCleanStop))
            }
            Change::TopicRemoved(topic) => self.owned.borrow_mut().delete_topic(topic.id),
            Change::BrokerConfigs | Change::Broker(_) | Change::Features | Change::All => Ok(()),
        };
        if let Err(error) = outcome {
            // That partition stays closed and answers NOT_LEADER_OR_FOLLOWER; the rest goes on.
            tracing::error!("{change:?}: {error}");
        }
    }

    /// Opens what is new of a topic's partitions on this core and takes over what changed of the others.
    fn take_topic(&self, topic: TopicId, opened: Opened) -> Result<(), LogError> {
        let image = self.image.borrow();
        let Some(described) = image.topic(topic) else {
            return Ok(());
        };
        let mut config = None;
        for (index, state) in &described.partitions {
            let partition = TopicPartition {
                topic,
                partition: *index,
            };
            if !self.owns(partition) || !state.replicas.contains(&self.node.id()) {
                continue;
            }
            let config = config.get_or_insert_with(|| {
                Rc::new(TopicConfig::new(
                    &self.node.config,
                    image.topic_configs(&described.name),
                ))
            });
            let assigned = Assigned {
                partition,
                topic_name: &described.name,
                leader_epoch: state.leader_epoch,
                config: config.clone(),
            };
            self.owned.borrow_mut().take(assigned, opened, wall_now())?;
        }
        Ok(())
    }

    /// Flushes and closes this core's partitions; the first error, after all were tried.
    pub(super) async fn close_owned(&self) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut open = self.owned.borrow_mut().take_all().into_iter().peekable();
        while open.peek().is_some() {
            let closing = open
                .by_ref()
                .take(CLOSING_AT_ONCE)
                .map(|(partition, replica)| async move {
                    let closed = replica.close().await;
                    if let Err(error) = &closed {
                        tracing::error!("{partition}: closing failed: {error}");
                    }
                    closed
                });
            for closed in join_all(closing.collect()).await {
                outcome = outcome.and(closed);
            }
        }
        outcome
    }

    /// How many partitions this core has open.
    pub fn owned_count(&self) -> usize {
        self.owned.borrow().len()
    }
}
