//! What an administrator may change besides creating and deleting topics: decided and committed on core 0.

use std::rc::Rc;

use crate::metadata::controller::{self, GrowError};
use crate::partition::Refusal;
use crate::wire::ErrorCode;

use super::Shard;
use super::asked::AskedFrame;
use super::controller::CONTROLLER_CORE;
use super::message::{Reply, Request};

/// What became of each topic that should get more partitions, or why the request as a whole was refused.
pub type Grown = Result<Vec<(String, Result<(), GrowError>)>, Refusal>;

impl Shard {
    /// Adds partitions as a CreatePartitions request asks; when this returns, every core knows them.
    pub async fn create_partitions(self: &Rc<Self>, asked: AskedFrame) -> Grown {
        let Some(controller) = self.controller() else {
            return match self
                .link
                .ask(CONTROLLER_CORE, Request::CreatePartitions(asked))
                .await
            {
                Reply::Grown(grown) => grown,
                _ => unreachable!("topics to grow are answered with what became of them"),
            };
        };
        let _turn = controller.turn().await;
        let request = asked
            .body()
            .map_err(|_| Refusal::from(ErrorCode::INVALID_REQUEST))?;
        let decision = controller::create_partitions(&self.image.borrow(), &request);
        self.commit(&controller, decision.records).await?;
        Ok(decision.answers)
    }
}
