//! InitProducerId (key 22), versions 0–5, for idempotent producers (KIP-98).
//!
//! A producer without a transactional id gets the next id of this core's block and epoch 0, whatever id it had before. A
//! transactional id needs a coordinator, which there isn't yet.

use std::rc::Rc;

use crate::shard::Shard;
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id_request::InitProducerIdRequest;
use crate::wire::messages::init_producer_id_response::InitProducerIdResponse;

use super::{Reply, Request};

/// Answers an InitProducerId request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let transactional_id = {
        let body: InitProducerIdRequest<'_> = match request.body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        body.transactional_id.map(|id| id.into_owned())
    };
    let refused = |code: ErrorCode| {
        request.reply(&InitProducerIdResponse {
            error_code: code.0,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        })
    };
    match transactional_id.as_deref() {
        Some("") => return refused(ErrorCode::INVALID_REQUEST),
        Some(_) => return refused(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        None => {}
    }
    match shard.next_producer_id().await {
        Ok(producer_id) => request.reply(&InitProducerIdResponse {
            producer_id: producer_id.0,
            producer_epoch: 0,
            ..Default::default()
        }),
        Err(refusal) => refused(refusal.code),
    }
}
