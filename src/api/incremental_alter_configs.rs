//! IncrementalAlterConfigs (key 44), versions 0–1: sets, deletes, adds to and takes from single settings of topics and brokers
//! (KIP-339).

use std::rc::Rc;

use crate::metadata::controller::{ConfigChange, ResourceChange};
use crate::shard::Shard;
use crate::wire::Str;
use crate::wire::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use crate::wire::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use super::alter_configs::outcomes;
use super::{Reply, Request};

/// Answers an IncrementalAlterConfigs request; when it does, the settings count on every core of the node.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let (changes, validate_only) = match request.body::<IncrementalAlterConfigsRequest<'_>>() {
        Ok(body) => (changes(&body), body.validate_only),
        Err(error) => return request.malformed(error),
    };
    let altered = shard.alter_configs(changes.clone(), validate_only).await;
    let responses = outcomes(changes, altered).map(|outcome| AlterConfigsResourceResponse {
        error_code: outcome.code,
        error_message: outcome.message.map(Str::from),
        resource_type: outcome.kind,
        resource_name: Str::from(outcome.name),
    });
    request.reply(&IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        ..Default::default()
    })
}

fn changes(body: &IncrementalAlterConfigsRequest<'_>) -> Vec<ResourceChange> {
    let change = body.resources.iter().map(|resource| {
        let each = resource.configs.iter().map(|config| {
            let value = config.value.map(|value| value.into_owned());
            (config.name.into_owned(), config.config_operation, value)
        });
        ResourceChange {
            kind: resource.resource_type,
            change: ConfigChange::Each(each.collect()),
            name: resource.resource_name.into_owned(),
        }
    });
    change.collect()
}
