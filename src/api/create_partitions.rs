//! CreatePartitions (key 37), versions 0–3. What may be added, and how a refusal reads, is decided by
//! `metadata::controller`.

use std::rc::Rc;

use crate::shard::Shard;
use crate::wire::messages::create_partitions_request::CreatePartitionsRequest;
use crate::wire::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use crate::wire::{Array, Str};

use super::{Reply, Request};

/// Answers a CreatePartitions request; when it does, every core of the node knows the new partitions.
pub async fn serve(shard: Rc<Shard>, mut request: Request) -> Reply {
    let names: Vec<String> = match request.body::<CreatePartitionsRequest<'_>>() {
        Ok(body) => body.topics.iter().map(|topic| topic.name.into_owned()).collect(),
        Err(error) => return request.malformed(error),
    };
    let asked = request.hand_over();
    let results: Array<'_, CreatePartitionsTopicResult<'_>> = match shard.create_partitions(asked).await {
        Ok(answers) => answers
            .into_iter()
            .map(|(name, answer)| match answer {
                Ok(()) => result(name, 0, None),
                Err(error) => result(name, error.code().0, error.message()),
            })
            .collect(),
        Err(refusal) => names
            .into_iter()
            .map(|name| result(name, refusal.code.0, refusal.message.clone()))
            .collect(),
    };
    request.reply(&CreatePartitionsResponse {
        results,
        ..Default::default()
    })
}

fn result<'a>(name: String, error_code: i16, message: Option<String>) -> CreatePartitionsTopicResult<'a> {
    CreatePartitionsTopicResult {
        name: Str::from(name),
        error_code,
        error_message: message.map(Str::from),
    }
}
