//! AlterConfigs (key 33), versions 0–2: what a topic or a broker has set is what the request says, and nothing else. Its heir is
//! `incremental_alter_configs`.

use std::rc::Rc;

use crate::metadata::controller::{ConfigChange, ConfigChangeError, ResourceChange};
use crate::partition::Refusal;
use crate::shard::{Altered, Shard, TimeSlice};
use crate::wire::Str;
use crate::wire::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use crate::wire::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

use super::{Reply, Request, asked};

/// Answers an AlterConfigs request; when it does, the settings count on every core of the node.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let (changes, validate_only) = match request.body::<AlterConfigsRequest<'_>>() {
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
    request.reply(&AlterConfigsResponse {
        responses: responses.into(),
        ..Default::default()
    })
}

async fn changes(body: &AlterConfigsRequest<'_>, slice: &mut TimeSlice) -> Vec<ResourceChange> {
    let mut changes = Vec::new();
    let add = |resource: AlterConfigsResource<'_>| {
        let all = resource.configs.iter().map(|config| {
            (
                config.name.into_owned(),
                config.value.map(|value| value.into_owned()),
            )
        });
        changes.push(ResourceChange {
            kind: resource.resource_type,
            change: ConfigChange::Replace(all.collect()),
            name: resource.resource_name.into_owned(),
        });
    };
    slice.each(body.resources.iter(), add).await;
    changes
}

/// Makes the changes, unless they are too many; what `answer` makes of each resource's outcome, in the order asked for.
pub async fn alter<R>(
    shard: &Rc<Shard>,
    changes: Vec<ResourceChange>,
    validate_only: bool,
    slice: &mut TimeSlice,
    answer: impl Fn(Outcome) -> R,
) -> Vec<R> {
    let altered = match asked::fits_one_change(changes.len()) {
        Ok(()) => shard.alter_configs(changes.clone(), validate_only).await,
        Err(refusal) => Err(refusal),
    };
    let mut answers = Vec::new();
    let add = |outcome| answers.push(answer(outcome));
    slice.each(outcomes(changes, altered), add).await;
    answers
}

/// What became of one resource, as both APIs tell it.
pub struct Outcome {
    pub code: i16,
    pub message: Option<String>,
    pub kind: i8,
    pub name: String,
}

/// The outcome of each resource, in the order asked for.
fn outcomes(changes: Vec<ResourceChange>, altered: Altered) -> impl Iterator<Item = Outcome> {
    let (answers, refusal) = match altered {
        Ok(answers) => (answers, None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    let mut answers = answers.into_iter();
    changes.into_iter().map(move |change| {
        let (code, message) = match &refusal {
            Some(Refusal { code, message, .. }) => (code.0, message.clone()),
            None => judged(answers.next().expect("each change was judged")),
        };
        Outcome {
            code,
            message,
            kind: change.kind,
            name: change.name,
        }
    })
}

fn judged(answer: Result<(), ConfigChangeError>) -> (i16, Option<String>) {
    match answer {
        Ok(()) => (0, None),
        Err(error) => (error.code().0, Some(error.to_string())),
    }
}
