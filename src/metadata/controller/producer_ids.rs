//! Ids for idempotent producers, in blocks (KIP-730, Kafka's `ProducerIdControlManager`).

use super::Records;
use crate::base::{NodeId, ProducerId};
use crate::metadata::image::Image;
use crate::wire::messages::ProducerIdsRecord;

/// How many ids a block has (Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_IDS_PER_BLOCK: i64 = 1000;

/// Ids that only their holder gives out. To be used only once the record that claims them is committed: then no crash
/// brings one back, and at worst the rest of a block is never used.
#[derive(Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    next: i64,
    end: i64,
}

impl ProducerIdBlock {
    /// A block that is used up.
    pub fn empty() -> ProducerIdBlock {
        ProducerIdBlock { next: 0, end: 0 }
    }

    /// The next id; `None` when the block is used up.
    pub fn take(&mut self) -> Option<ProducerId> {
        let id = self.next;
        (id < self.end).then(|| {
            self.next += 1;
            ProducerId(id)
        })
    }

    /// How many are left.
    pub fn left(&self) -> i64 {
        self.end - self.next
    }
}

/// Claims the next block for a broker; `None` when all 2^63 are gone (Kafka's UNKNOWN_SERVER_ERROR).
pub fn allocate_producer_ids(
    image: &Image,
    node: NodeId,
    broker_epoch: i64,
) -> Option<(ProducerIdBlock, Records)> {
    let next = image.next_producer_id().0.max(0);
    let end = next.checked_add(PRODUCER_IDS_PER_BLOCK)?;
    let record = ProducerIdsRecord {
        broker_id: node.0,
        broker_epoch,
        next_producer_id: end,
    };
    Some((ProducerIdBlock { next, end }, vec![record.into()]))
}
