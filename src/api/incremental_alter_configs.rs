//! IncrementalAlterConfigs (key 44), versions 0–1: sets, deletes, adds to and takes from single settings of topics and brokers
//! (KIP-339).

use std::rc::Rc;

use crate::metadata::controller::{ConfigChange, ResourceChange};
use crate::shard::{Shard, TimeSlice};
use crate::wire::Str;
use crate::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, IncrementalAlterConfigsRequest,
};
use crate::wire::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use super::alter_configs::{Outcome, alter};
use super::{Reply, Request};

/// Answers an IncrementalAlterConfigs request; when it does, the settings count on every core of the node.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let (changes, validate_only) = match request.body::<IncrementalAlterConfigsRequest<'_>>() {
        Ok(body) => (changes(&body, &mut slice).await, body.validate_only),
        Err(error) => return request.malformed(error),
    };
    let answer = |outcome: Outcome| AlterConfigsResourceResponse {
        error_code: outcome.code,
        error_message: outcome.message.map(Str::from),
        resource_type: outcome.kind,
        resource_name: Str::from(outcome.name),
    };
    let responses = alter(&shard, changes, validate_only, &mut slice, answer).await;
    request.reply(&IncrementalAlterConfigsResponse {
        responses: responses.into(),
        ..Default::default()
    })
}

async fn changes(body: &IncrementalAlterConfigsRequest<'_>, slice: &mut TimeSlice) -> Vec<ResourceChange> {
    let mut changes = Vec::new();
    let add = |resource: AlterConfigsResource<'_>| {
        let each = resource.configs.iter().map(|config| {
            let value = config.value.map(|value| value.into_owned());
            (config.name.into_owned(), config.config_operation, value)
        });
        changes.push(ResourceChange {
            kind: resource.resource_type,
            change: ConfigChange::Each(each.collect()),
            name: resource.resource_name.into_owned(),
        });
    };
    slice.each(body.resources.iter(), add).await;
    changes
}
