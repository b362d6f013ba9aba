//! AlterConfigs (key 33), versions 0–2: what a topic or a broker has set is what the request says, and nothing else. Its heir is
//! `incremental_alter_configs`.

use std::rc::Rc;

use crate::metadata::controller::{ConfigChange, ConfigChangeError, ResourceChange};
use crate::partition::Refusal;
use crate::shard::{Altered, Shard};
use crate::wire::Str;
use crate::wire::messages::alter_configs_request::AlterConfigsRequest;
use crate::wire::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

use super::{Reply, Request};

/// Answers an AlterConfigs request; when it does, the settings count on every core of the node.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let (changes, validate_only) = match request.body::<AlterConfigsRequest<'_>>() {
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
    request.reply(&AlterConfigsResponse {
        responses: responses.collect(),
        ..Default::default()
    })
}

fn changes(body: &AlterConfigsRequest<'_>) -> Vec<ResourceChange> {
    let change = body.resources.iter().map(|resource| {
        let all = resource.configs.iter().map(|config| {
            (
                config.name.into_owned(),
                config.value.map(|value| value.into_owned()),
            )
        });
        ResourceChange {
            kind: resource.resource_type,
            change: ConfigChange::Replace(all.collect()),
            name: resource.resource_name.into_owned(),
        }
    });
    change.collect()
}

/// What became of one resource, as both APIs tell it.
pub struct Outcome {
    pub code: i16,
    pub message: Option<String>,
    pub kind: i8,
    pub name: String,
}

/// The outcome of each resource, in the order asked for.
pub fn outcomes(changes: Vec<ResourceChange>, altered: Altered) -> impl Iterator<Item = Outcome> {
    let answers = match altered {
        Ok(answers) => answers.into_iter().map(judged).collect(),
        Err(Refusal { code, message }) => vec![(code.0, message); changes.len()],
    };
    let outcome = |(change, (code, message)): (ResourceChange, _)| Outcome {
        code,
        message,
        kind: change.kind,
        name: change.name,
    };
    changes.into_iter().zip(answers).map(outcome)
}

fn judged(answer: Result<(), ConfigChangeError>) -> (i16, Option<String>) {
    match answer {
        Ok(()) => (0, None),
        Err(error) => (error.code().0, Some(error.to_string())),
    }
}
