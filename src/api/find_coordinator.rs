//! FindCoordinator (key 10), versions 0–6. There is no coordinator yet: every key is answered with
//! COORDINATOR_NOT_AVAILABLE, which clients retry.

use crate::wire::messages::find_coordinator_request::FindCoordinatorRequest;
use crate::wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

/// The first version that asks for several keys at once (KIP-699).
const FIRST_BATCHED_VERSION: i16 = 4;

const WHY: &str = "this broker has no group, transaction or share coordinator yet";

/// Answers a FindCoordinator request.
pub async fn serve(request: Request) -> Reply {
    let body: FindCoordinatorRequest<'_> = match request.body() {
        Ok(body) => body,
        Err(error) => return request.malformed(error),
    };
    let error_code = ErrorCode::COORDINATOR_NOT_AVAILABLE.0;
    if request.version < FIRST_BATCHED_VERSION {
        return request.reply(&FindCoordinatorResponse {
            error_code,
            error_message: Some(Str::from(WHY)),
            node_id: -1,
            port: -1,
            ..Default::default()
        });
    }
    let coordinators = body.coordinator_keys.iter().map(|key| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code,
        error_message: Some(Str::from(WHY)),
        ..Default::default()
    });
    request.reply(&FindCoordinatorResponse {
        coordinators: coordinators.collect(),
        ..Default::default()
    })
}
