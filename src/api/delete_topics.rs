//! DeleteTopics (key 20), versions 1–6: by name, and from version 6 also by id (KIP-516).

use std::rc::Rc;

use crate::base::TopicId;
use crate::metadata::controller::{DeleteError, DeleteTarget, DeletedTopic};
use crate::partition::Refusal;
use crate::shard::{Shard, TimeSlice};
use crate::wire::messages::delete_topics_request::DeleteTopicsRequest;
use crate::wire::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request, asked};

/// Before this version there was no TOPIC_DELETION_DISABLED.
const FIRST_VERSION_WITH_DISABLED: i16 = 3;

/// Answers a DeleteTopics request; when it does, no core of the node serves the topics any more.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let (targets, timeout_ms) = {
        let body: DeleteTopicsRequest<'_> = match request.body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        (targets(&body, &mut slice).await, body.timeout_ms)
    };
    let mut responses = Vec::new();
    let deleted = match asked::fits_one_change(targets.len()) {
        // Kafka looks at the time before the targets: each, the same one twice too, is answered for itself.
        Ok(()) if timeout_ms <= 0 => Err(ErrorCode::REQUEST_TIMED_OUT.into()),
        Ok(()) => shard.delete_topics(targets.clone()).await,
        Err(refusal) => Err(refusal),
    };
    match deleted {
        Ok(answers) => {
            let answer = |(target, answer)| responses.push(result(request.version, target, answer));
            slice.each(answers, answer).await;
        }
        Err(Refusal { code, message, .. }) => {
            let refuse = |target| responses.push(refused(target, code, message.clone()));
            slice.each(targets, refuse).await;
        }
    }
    request.reply(&DeleteTopicsResponse {
        responses: responses.into(),
        ..Default::default()
    })
}

async fn targets(body: &DeleteTopicsRequest<'_>, slice: &mut TimeSlice) -> Vec<DeleteTarget> {
    let by_name = body.topic_names.iter().map(|name| DeleteTarget {
        name: Some(name.into_owned()),
        id: TopicId::ZERO,
    });
    let by_either = body.topics.iter().map(|topic| DeleteTarget {
        name: topic.name.map(|name| name.into_owned()),
        id: topic.topic_id,
    });
    let mut targets = Vec::new();
    slice
        .each(by_name.chain(by_either), |target| targets.push(target))
        .await;
    targets
}

fn result<'a>(
    version: i16,
    target: DeleteTarget,
    answer: Result<DeletedTopic, DeleteError>,
) -> DeletableTopicResult<'a> {
    match answer {
        Ok(deleted) => DeletableTopicResult {
            name: Some(Str::from(deleted.name)),
            topic_id: deleted.id,
            error_message: None,
            ..Default::default()
        },
        Err(DeleteError::Disabled) if version < FIRST_VERSION_WITH_DISABLED => {
            refused(target, ErrorCode::INVALID_REQUEST, None)
        }
        Err(error) => refused(target, error.code(), Some(error.to_string())),
    }
}

fn refused<'a>(target: DeleteTarget, code: ErrorCode, message: Option<String>) -> DeletableTopicResult<'a> {
    DeletableTopicResult {
        name: target.name.map(Str::from),
        topic_id: target.id,
        error_code: code.0,
        error_message: message.map(Str::from),
    }
}
