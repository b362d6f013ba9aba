//! What must be looked after besides sending: the producer's id, who leads what, and batches whose time is up.

use std::rc::Rc;
use std::time::Duration;

use super::lane::Identity;
use super::{ProducerOptions, Shared};
use crate::base::{Instant, ProducerEpoch, ProducerId};
use crate::client::{ClientError, Cluster};
use crate::io;
use crate::wire::error::ErrorCode;
use crate::wire::messages::init_producer_id_request::InitProducerIdRequest;
use crate::wire::messages::init_producer_id_response::InitProducerIdResponse;

/// How often deadlines are looked at. Kafka's smallest sensible `delivery.timeout.ms` is far longer.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a topic may take to have leaders: one just created takes a moment, one that doesn't exist never has.
const TOPIC_PATIENCE: Duration = Duration::from_secs(15);

/// Tries until `attempt` succeeds, fails for good, or `patience` is over.
async fn persist<T>(
    patience: Duration,
    backoff: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let deadline = io::now() + patience;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if !error.is_retriable() => return Err(error),
            Err(error) if io::now() + backoff > deadline => {
                return Err(ClientError::GaveUp {
                    after: patience,
                    last: Box::new(error),
                });
            }
            Err(_) => io::sleep(backoff).await,
        }
    }
}

/// Asks for a producer id (KIP-98).
pub(super) async fn init_producer_id(
    cluster: &Cluster,
    options: &ProducerOptions,
) -> Result<Identity, ClientError> {
    persist(options.delivery_timeout, options.retry_backoff, async || {
        let request = InitProducerIdRequest {
            transactional_id: None,
            // Without a transactional id the broker doesn't look at it; Kafka's clients send this.
            transaction_timeout_ms: i32::MAX,
            ..Default::default()
        };
        let answer = cluster.any().await?.call(&request).await?;
        let response: InitProducerIdResponse = answer.decode()?;
        if response.error_code != ErrorCode::NONE.0 {
            return Err(ClientError::refused(
                "InitProducerId",
                ErrorCode(response.error_code),
                None,
            ));
        }
        Ok(Identity {
            id: ProducerId(response.producer_id),
            epoch: ProducerEpoch(response.producer_epoch),
        })
    })
    .await
}

/// How many partitions the topic has, once all of them have leaders.
pub(super) async fn find_topic(shared: &Shared, name: &str) -> Result<usize, ClientError> {
    persist(TOPIC_PATIENCE, shared.options.retry_backoff, async || {
        shared.cluster.refresh(&[name], true).await?;
        let topic = shared.cluster.topic(name);
        match topic.filter(|topic| {
            topic
                .partitions
                .iter()
                .all(|partition| partition.leader.is_some())
        }) {
            Some(topic) if !topic.partitions.is_empty() => Ok(topic.partitions.len()),
            _ => Err(ClientError::refused(
                format!("topic {name:?}"),
                ErrorCode::LEADER_NOT_AVAILABLE,
                None,
            )),
        }
    })
    .await
}

/// The keeper's task.
pub(super) async fn keep(shared: Rc<Shared>) {
    while !shared.is_stopped() {
        if let Some(failure) = overdue(&shared, io::now()) {
            shared.fail(failure);
            return;
        }
        let wanted = std::mem::take(&mut shared.state.borrow_mut().leaders_wanted);
        if wanted {
            find_leaders(&shared).await;
        }
        // Woken or not, the loop looks again.
        let _ = io::timeout(LOOK_EVERY, shared.keep.notified()).await;
    }
}

async fn find_leaders(shared: &Rc<Shared>) {
    let topics = shared.state.borrow().topics.clone();
    let names: Vec<&str> = topics.iter().map(|name| &**name).collect();
    let result = shared.cluster.refresh(&names, false).await;
    // What the broker refused to tell is asked again; what it told is used meanwhile.
    shared.assign_leaders();
    let missing = shared
        .state
        .borrow()
        .lanes
        .iter()
        .any(|lane| lane.leader.is_none() && lane.has_unsent());
    if result.is_err() || missing {
        shared.state.borrow_mut().leaders_wanted = true;
    }
    // Everyone whose request failed asks at once: one answer serves all, and a leaderless topic isn't hammered.
    io::sleep(shared.options.retry_backoff).await;
    if result.is_err() || missing {
        shared.keep.notify();
    }
}

/// The failure of the oldest record that has waited longer than it may.
fn overdue(shared: &Shared, now: Instant) -> Option<ClientError> {
    let state = shared.state.borrow();
    let after = shared.options.delivery_timeout;
    let lane = state
        .lanes
        .iter()
        .find(|lane| lane.oldest().is_some_and(|since| now > since + after))?;
    let about = format!("partition {} of {}", lane.partition, state.topics[lane.topic]);
    let last = ClientError::refused(about, ErrorCode::REQUEST_TIMED_OUT, Some("not acknowledged"));
    Some(ClientError::GaveUp {
        after,
        last: Box::new(last),
    })
}
