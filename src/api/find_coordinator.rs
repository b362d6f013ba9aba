//! FindCoordinator (key 10), versions 0–6. There is no coordinator yet: every key is answered with
//! COORDINATOR_NOT_AVAILABLE, which clients retry. A type of key that doesn't exist, or not in that version, is refused.

use crate::base::TopicId;
use crate::shard::TimeSlice;
use crate::wire::messages::find_coordinator_request::FindCoordinatorRequest;
use crate::wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

/// The first version that asks for several keys at once (KIP-699).
const FIRST_BATCHED_VERSION: i16 = 4;
/// The first version that knows keys of share groups (KIP-932).
const FIRST_SHARE_VERSION: i16 = 6;

/// `key_type` of a consumer group.
const GROUP: i8 = 0;
/// `key_type` of a transactional id.
const TRANSACTION: i8 = 1;
/// `key_type` of a share group's partition: `group:topic id:partition`.
const SHARE: i8 = 2;

const NOT_YET: &str = "this broker has no group, transaction or share coordinator yet";

/// Answers a FindCoordinator request.
pub async fn serve(request: Request) -> Reply {
    let body: FindCoordinatorRequest<'_> = match request.body() {
        Ok(body) => body,
        Err(error) => return request.malformed(error),
    };
    if request.version < FIRST_BATCHED_VERSION {
        let (code, why) = judge(request.version, body.key_type, &body.key);
        return request.reply(&FindCoordinatorResponse {
            error_code: code.0,
            error_message: Some(Str::from(why)),
            node_id: -1,
            port: -1,
            ..Default::default()
        });
    }
    let mut coordinators = Vec::new();
    let mut slice = TimeSlice::default();
    for key in body.coordinator_keys.iter() {
        let answer = || answer(request.version, body.key_type, key);
        coordinators.push(slice.spend(answer).await);
    }
    request.reply(&FindCoordinatorResponse {
        coordinators: coordinators.into(),
        ..Default::default()
    })
}

fn answer(version: i16, key_type: i8, key: Str<'_>) -> Coordinator<'_> {
    let (code, why) = judge(version, key_type, &key);
    Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.0,
        error_message: Some(Str::from(why)),
        ..Default::default()
    }
}

fn judge(version: i16, key_type: i8, key: &str) -> (ErrorCode, &'static str) {
    match key_type {
        GROUP | TRANSACTION => (ErrorCode::COORDINATOR_NOT_AVAILABLE, NOT_YET),
        SHARE if version < FIRST_SHARE_VERSION => (
            ErrorCode::INVALID_REQUEST,
            "share groups are known from version 6 on",
        ),
        SHARE if !is_share_key(key) => (
            ErrorCode::INVALID_REQUEST,
            "the key of a share group's partition is group:topic id:partition",
        ),
        SHARE => (ErrorCode::COORDINATOR_NOT_AVAILABLE, NOT_YET),
        _ => (ErrorCode::INVALID_REQUEST, "there is no such type of key"),
    }
}

/// Kafka's `SharePartitionKey.validate`.
fn is_share_key(key: &str) -> bool {
    let parts: Vec<&str> = key.split(':').collect();
    match parts.as_slice() {
        [group, topic, partition] => {
            !group.trim().is_empty() && TopicId::parse(topic).is_some() && partition.parse::<i32>().is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_keys_that_make_no_sense_are_refused() {
        let (later, invalid) = (ErrorCode::COORDINATOR_NOT_AVAILABLE, ErrorCode::INVALID_REQUEST);
        let table = [
            (6, GROUP, "g", later),
            (0, GROUP, "", later),
            (6, TRANSACTION, "t", later),
            (6, 3, "g", invalid),
            (6, -1, "g", invalid),
            (3, 7, "g", invalid),
            (6, SHARE, "g:AAAAAAAAAAAAAAAAAAAAAQ:0", later),
            (5, SHARE, "g:AAAAAAAAAAAAAAAAAAAAAQ:0", invalid),
            (6, SHARE, "g", invalid),
            (6, SHARE, ":AAAAAAAAAAAAAAAAAAAAAQ:0", invalid),
            (6, SHARE, "g:x:0", invalid),
            (6, SHARE, "g:AAAAAAAAAAAAAAAAAAAAAQ:x", invalid),
            (6, SHARE, "g:AAAAAAAAAAAAAAAAAAAAAQ:0:1", invalid),
        ];
        for (version, key_type, key, code) in table {
            assert_eq!(
                judge(version, key_type, key).0,
                code,
                "{version} {key_type} {key}"
            );
        }
    }
}
