//! CreatePartitions (key 37), versions 0–3. What may be added, and how a refusal reads, is decided by
//! `metadata::controller`.

use std::rc::Rc;

use crate::metadata::controller::GrowError;
use crate::partition::Refusal;
use crate::shard::{Shard, TimeSlice};
use crate::wire::Str;
use crate::wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};

use super::{Reply, Request, asked};

/// Answers a CreatePartitions request; when it does, every core of the node knows the new partitions.
pub async fn serve(shard: Rc<Shard>, mut request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let mut names = Vec::new();
    match request.body::<CreatePartitionsRequest<'_>>() {
        Ok(body) => {
            let add = |topic: CreatePartitionsTopic<'_>| names.push(topic.name.into_owned());
            slice.each(body.topics.iter(), add).await;
        }
        Err(error) => return request.malformed(error),
    }
    let grown = match asked::fits_one_change(names.len()) {
        Ok(()) => shard.create_partitions(request.hand_over()).await,
        Err(refusal) => Err(refusal),
    };
    let mut results = Vec::new();
    match grown {
        Ok(answers) => {
            let answer = |(name, answer): (String, Result<(), GrowError>)| {
                results.push(match answer {
                    Ok(()) => result(name, 0, None),
                    Err(error) => result(name, error.code().0, error.message()),
                });
            };
            slice.each(answers, answer).await;
        }
        Err(Refusal { code, message, .. }) => {
            let refuse = |name| results.push(result(name, code.0, message.clone()));
            slice.each(names, refuse).await;
        }
    }
    request.reply(&CreatePartitionsResponse {
        results: results.into(),
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
