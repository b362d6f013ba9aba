//! Producer ids, from a block that belongs to this core.

use std::rc::Rc;

use crate::base::ProducerId;
use crate::partition::Refusal;

use super::Shard;

impl Shard {
    /// A producer id that was never issued before and never will be again. What is left of a block at a stop is lost.
    ///
    /// # Errors
    /// KAFKA_STORAGE_ERROR when a new block could not be committed.
    pub async fn next_producer_id(self: &Rc<Self>) -> Result<ProducerId, Refusal> {
        loop {
            if let Some(id) = self.producer_ids.borrow_mut().take() {
                return Ok(id);
            }
            // Two requests may ask at once; the block that comes second replaces the first, which costs ids and nothing else.
            let block = self.producer_id_block().await?;
            self.producer_ids.replace(block);
        }
    }
}
