//! What is done with a produced batch on the core of its connection, before the one that owns its partition appends it.
//!
//! That is what takes long: a compressed batch is looked into, and one that isn't in its topic's codec is put into that. Both in
//! turns with the other tasks of the core. All else is checked as the batch is appended, in one step with it.
//!
//! A batch is held to the settings that count when it arrives. A change of them that was acknowledged before counts: every core
//! has applied it by then.

use std::rc::Rc;

use bytes::BytesMut;

use crate::base::{LeaderEpoch, Offset, TopicPartition};
use crate::config::TopicConfig;
use crate::io;
use crate::partition::{AppendError, Isolation, Refusal, recoding, rules};
use crate::wire::batch::{Arrived, Depth, Unfit};
use crate::wire::compression::{Codec, Effort};

use super::{FindOffset, OffsetTarget, Shard};

impl Shard {
    /// Takes one partition's records of a produce request.
    ///
    /// # Errors
    /// What the producer did wrong, as far as it was looked at.
    pub async fn arrive(
        self: &Rc<Self>,
        partition: TopicPartition,
        records: BytesMut,
    ) -> Result<Arrived, Refusal> {
        let mut batch = Arrived::from(records);
        let Some((codec, config)) = batch.codec().zip(self.topic_config(partition.topic)) else {
            return Ok(batch);
        };
        let effort = recoding(&config, codec);
        if codec != Codec::None || effort.is_some() {
            let fitted = self.fit(&mut batch, &config, effort).await;
            if let Err(unfit) = fitted {
                return Err(self.refusal(partition, unfit.into()).await);
            }
        }
        Ok(batch)
    }

    /// How `error` is told, wherever the partition is.
    async fn refusal(self: &Rc<Self>, partition: TopicPartition, error: AppendError) -> Refusal {
        let tells_log_start = error.tells_log_start();
        let mut refusal = Refusal::from(error);
        if tells_log_start {
            let find = FindOffset {
                partition,
                current_epoch: LeaderEpoch::NONE,
                target: OffsetTarget::Earliest,
                isolation: Isolation::ReadUncommitted,
            };
            let found = self.find_offset(find).await;
            refusal.log_start_offset = found.map_or(Offset::UNKNOWN, |found| found.offset);
        }
        refusal
    }

    /// How `error` is told on the core that owns the partition.
    pub(super) fn refusal_here(&self, partition: TopicPartition, error: AppendError) -> Refusal {
        let tells_log_start = error.tells_log_start();
        let mut refusal = Refusal::from(error);
        if tells_log_start && let Some(replica) = self.owned.borrow().get(partition) {
            refusal.log_start_offset = replica.marks().start_offset;
        }
        refusal
    }

    /// Looks into a batch, and puts it into the codec that it is to have.
    async fn fit(
        &self,
        batch: &mut Arrived,
        config: &TopicConfig,
        effort: Option<Effort>,
    ) -> Result<(), Unfit> {
        let mut rules = rules(config, io::wall_now());
        let Some(effort) = effort else {
            return match rules.depth {
                Depth::Records => batch.check_in_turns(&rules, io::yield_now).await,
                Depth::Header => Ok(()),
            };
        };
        // What is unpacked anyway is looked at, also of those who trust headers.
        rules.depth = Depth::Records;
        batch.check_in_turns(&rules, io::yield_now).await?;
        let _alone = match batch.is_large() {
            true => Some(self.recoding.admit_large().await),
            false => None,
        };
        batch
            .recode_in_turns(effort, rules.size_bytes_max, io::yield_now)
            .await
    }
}
