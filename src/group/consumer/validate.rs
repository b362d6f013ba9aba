//! Which heartbeats are well formed (Kafka's `GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid`).

use super::{Assignor, Epoch, Heartbeat, Partitions, Refusal, Settings};
use crate::wire::ErrorCode;

/// The first version in which members name themselves (KIP-1082).
const VERSION_WITH_OWN_IDS: i16 = 1;

/// # Errors
///
/// INVALID_REQUEST; UNSUPPORTED_ASSIGNOR if the member asks for one that isn't in `group.consumer.assignors`.
pub(super) fn check(heartbeat: &Heartbeat, settings: &Settings) -> Result<(), Refusal> {
    let epoch = heartbeat.member_epoch;
    if heartbeat.version >= VERSION_WITH_OWN_IDS || epoch > Epoch::JOIN || epoch == Epoch::LEAVE {
        not_empty(Some(&heartbeat.member_id), "MemberId")?;
    }
    not_empty(Some(&heartbeat.group_id), "GroupId")?;
    not_empty(heartbeat.instance_id.as_ref(), "InstanceId")?;
    not_empty(heartbeat.rack_id.as_ref(), "RackId")?;
    match epoch {
        Epoch::JOIN => says_all_that_joining_needs(heartbeat)?,
        Epoch::STATIC_LEAVE if heartbeat.instance_id.is_none() => {
            return Err(invalid("InstanceId can't be null."));
        }
        epoch if epoch < Epoch::STATIC_LEAVE => return Err(invalid("MemberEpoch is invalid.")),
        _ => {}
    }
    match &heartbeat.server_assignor {
        Some(name) => is_configured(name, settings),
        None => Ok(()),
    }
}

fn not_empty(value: Option<&String>, what: &str) -> Result<(), Refusal> {
    match value {
        Some(value) if value.trim().is_empty() => Err(invalid(&format!("{what} can't be empty."))),
        _ => Ok(()),
    }
}

fn says_all_that_joining_needs(heartbeat: &Heartbeat) -> Result<(), Refusal> {
    if heartbeat.rebalance_timeout_ms == -1 {
        return Err(invalid("RebalanceTimeoutMs must be given by who joins."));
    }
    if !heartbeat
        .topic_partitions
        .as_ref()
        .is_some_and(Partitions::is_empty)
    {
        return Err(invalid("TopicPartitions must be empty for who joins."));
    }
    if heartbeat.subscribed_topic_names.is_none() && heartbeat.subscribed_topic_regex.is_none() {
        return Err(invalid(
            "SubscribedTopicNames or SubscribedTopicRegex must be given by who joins.",
        ));
    }
    Ok(())
}

fn is_configured(name: &str, settings: &Settings) -> Result<(), Refusal> {
    let supported: Vec<&str> = settings
        .assignors
        .iter()
        .map(|assignor: &Assignor| assignor.name())
        .collect();
    if supported.contains(&name) {
        return Ok(());
    }
    let message = format!(
        "ServerAssignor {name} is not supported; there are {}.",
        supported.join(", ")
    );
    Err(Refusal::new(ErrorCode::UNSUPPORTED_ASSIGNOR, message))
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(ErrorCode::INVALID_REQUEST, message)
}
