//! What is done with a produced batch on the core of its connection, before the one that owns its partition appends it.
//!
//! That is what takes long: a compressed batch is looked into, in turns with the other tasks of the core. All else is checked as
//! the batch is appended, in one step with it.
//!
//! A batch is held to the settings that count when it arrives. A change of them that was acknowledged before counts: every core
//! has applied it by then.

use bytes::BytesMut;

use crate::base::TopicPartition;
use crate::io;
use crate::partition::{AppendError, Refusal, rules};
use crate::wire::batch::{Arrived, Depth};
use crate::wire::compression::Codec;

use super::Shard;

impl Shard {
    /// Takes one partition's records of a produce request.
    ///
    /// # Errors
    /// What the producer did wrong, as far as it was looked at.
    pub async fn arrive(&self, partition: TopicPartition, records: BytesMut) -> Result<Arrived, Refusal> {
        let mut batch = Arrived::from(records);
        let is_packed = batch.codec().is_some_and(|codec| codec != Codec::None);
        let Some(config) = self.topic_config(partition.topic).filter(|_| is_packed) else {
            return Ok(batch);
        };
        let rules = rules(&config, io::wall_now());
        if rules.depth == Depth::Records {
            let checked = batch.check_in_turns(&rules, io::yield_now).await;
            checked.map_err(|unfit| Refusal::from(AppendError::from(unfit)))?;
        }
        Ok(batch)
    }
}
