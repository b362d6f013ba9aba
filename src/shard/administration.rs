//! What an administrator may change besides creating and deleting topics: decided and committed on core 0.

use std::rc::Rc;

use crate::metadata::controller::{self, ConfigChangeError, GrowError, ResourceChange};
use crate::partition::Refusal;
use crate::wire::ErrorCode;

use super::Shard;
use super::asked::AskedFrame;
use super::controller::CONTROLLER_CORE;
use super::message::{Reply, Request};

/// What became of each topic that should get more partitions, or why the request as a whole was refused.
pub type Grown = Result<Vec<(String, Result<(), GrowError>)>, Refusal>;

/// What became of each resource that should get other settings, or why the request as a whole was refused.
pub type Altered = Result<Vec<Result<(), ConfigChangeError>>, Refusal>;

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
        let turn = controller.turn().await;
        let request = asked
            .body()
            .map_err(|_| Refusal::from(ErrorCode::INVALID_REQUEST))?;
        let decision = controller::create_partitions(&self.image.borrow(), &request);
        self.commit(turn, decision.records).await?;
        Ok(decision.answers)
    }

    /// Gives topics and brokers other settings, or only says what would become of it; when this returns, they count on
    /// every core.
    pub async fn alter_configs(
        self: &Rc<Self>,
        changes: Vec<ResourceChange>,
        validate_only: bool,
    ) -> Altered {
        let Some(controller) = self.controller() else {
            let request = Request::AlterConfigs {
                changes,
                validate_only,
            };
            return match self.link.ask(CONTROLLER_CORE, request).await {
                Reply::Altered(altered) => altered,
                _ => unreachable!("settings to alter are answered with what became of them"),
            };
        };
        let turn = controller.turn().await;
        let decision = controller::alter_configs(
            &self.image.borrow(),
            &changes,
            validate_only,
            self.node.id(),
            &self.config(),
        );
        self.commit(turn, decision.records).await?;
        self.tell_cordoned_dirs().await?;
        Ok(decision.answers)
    }
}
