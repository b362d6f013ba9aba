//! CreateTopics (key 19), versions 2–7. What may be created, and how a refusal reads, is decided by `metadata::controller`.

use std::rc::Rc;

use crate::metadata::controller::{CreateError, CreatedTopic};
use crate::shard::{NewTopics, Shard};
use crate::wire::messages::create_topics_request::CreateTopicsRequest;
use crate::wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use crate::wire::{Array, Str};

use super::describe_configs::created_topic_configs;
use super::{Reply, Request};

/// Answers a CreateTopics request; when it does, every core of the node knows the topics.
pub async fn serve(shard: Rc<Shard>, mut request: Request) -> Reply {
    let names: Vec<String> = {
        let body: CreateTopicsRequest<'_> = match request.body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        body.topics.iter().map(|topic| topic.name.into_owned()).collect()
    };
    let asked = NewTopics::Asked(request.hand_over());
    let topics: Array<'_, CreatableTopicResult<'_>> = match shard.create_topics(asked).await {
        Ok(answers) => answers
            .into_iter()
            .map(|(name, answer)| result(&shard, name, answer))
            .collect(),
        Err(refusal) => names
            .into_iter()
            .map(|name| refused(name, refusal.code.0, refusal.message.clone()))
            .collect(),
    };
    request.reply(&CreateTopicsResponse {
        topics,
        ..Default::default()
    })
}

fn result<'a>(
    shard: &Shard,
    name: String,
    answer: Result<CreatedTopic, CreateError>,
) -> CreatableTopicResult<'a> {
    match answer {
        Err(error) => refused(name, error.code().0, error.message()),
        Ok(created) => CreatableTopicResult {
            name: Str::from(name),
            topic_id: created.id,
            error_message: None,
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: Some(created_topic_configs(shard, &created.configs)),
            ..Default::default()
        },
    }
}

fn refused<'a>(name: String, error_code: i16, message: Option<String>) -> CreatableTopicResult<'a> {
    CreatableTopicResult {
        name: Str::from(name),
        error_code,
        error_message: message.map(Str::from),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Array::default()),
        ..Default::default()
    }
}
