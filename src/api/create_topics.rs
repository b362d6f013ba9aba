//! CreateTopics (key 19), versions 2–7. What may be created, and how a refusal reads, is decided by `metadata::controller`.

use std::rc::Rc;

use crate::metadata::controller::{CreateError, CreatedTopic};
use crate::partition::Refusal;
use crate::shard::{NewTopics, Shard, TimeSlice};
use crate::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use crate::wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use crate::wire::{Array, Str};

use super::describe_configs::created_topic_configs;
use super::{Reply, Request, asked};

/// Answers a CreateTopics request; when it does, every core of the node knows the topics.
pub async fn serve(shard: Rc<Shard>, mut request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let mut names = Vec::new();
    match request.body::<CreateTopicsRequest<'_>>() {
        Ok(body) => {
            let add = |topic: CreatableTopic<'_>| names.push(topic.name.into_owned());
            slice.each(body.topics.iter(), add).await;
        }
        Err(error) => return request.malformed(error),
    }
    let created = match asked::fits_one_change(names.len()) {
        Ok(()) => shard.create_topics(NewTopics::Asked(request.hand_over())).await,
        Err(refusal) => Err(refusal),
    };
    let mut topics = Vec::new();
    match created {
        Ok(answers) => {
            let answer = |(name, answer)| topics.push(result(&shard, name, answer));
            slice.each(answers, answer).await;
        }
        Err(Refusal { code, message, .. }) => {
            let refuse = |name| topics.push(refused(name, code.0, message.clone()));
            slice.each(names, refuse).await;
        }
    }
    request.reply(&CreateTopicsResponse {
        topics: topics.into(),
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
