//! InitProducerId (key 22), versions 0–5, for idempotent producers (KIP-98).
//!
//! A producer without a transactional id gets the next id of this core's block and epoch 0, whatever id it had before. A
//! transactional id needs a coordinator, which there isn't yet.

use std::rc::Rc;

use crate::base::{ProducerEpoch, ProducerId};
use crate::shard::Shard;
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id_request::InitProducerIdRequest;
use crate::wire::messages::init_producer_id_response::InitProducerIdResponse;

use super::{Reply, Request};

/// Answers an InitProducerId request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let refusal = match request.body::<InitProducerIdRequest<'_>>() {
        Ok(body) => judge(&body, shard.config().transaction_timeout_max_ms()),
        Err(error) => return request.malformed(error),
    };
    let refused = |code: ErrorCode| {
        request.reply(&InitProducerIdResponse {
            error_code: code.0,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        })
    };
    if let Some(code) = refusal {
        return refused(code);
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

/// Why the request gets no id, if it doesn't.
fn judge(body: &InitProducerIdRequest<'_>, timeout_max_ms: i32) -> Option<ErrorCode> {
    let has_id = body.producer_id != ProducerId::NONE.0;
    let has_epoch = body.producer_epoch != ProducerEpoch::NONE.0;
    if has_id != has_epoch {
        return Some(ErrorCode::INVALID_REQUEST);
    }
    match body.transactional_id.as_deref() {
        None => None,
        Some("") => Some(ErrorCode::INVALID_REQUEST),
        Some(_) if !(1..=timeout_max_ms).contains(&body.transaction_timeout_ms) => {
            Some(ErrorCode::INVALID_TRANSACTION_TIMEOUT)
        }
        Some(_) => Some(ErrorCode::COORDINATOR_NOT_AVAILABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_needs_its_epoch_and_a_transaction_a_time_that_it_may_take() {
        let table = [
            (None, 0, -1, -1, None),
            (None, -5, 5, 3, None),
            (None, 1, 5, -1, Some(ErrorCode::INVALID_REQUEST)),
            (None, 1, -1, 3, Some(ErrorCode::INVALID_REQUEST)),
            (Some(""), 1, -1, -1, Some(ErrorCode::INVALID_REQUEST)),
            (Some("x"), 1, 5, -1, Some(ErrorCode::INVALID_REQUEST)),
            (Some("x"), 0, -1, -1, Some(ErrorCode::INVALID_TRANSACTION_TIMEOUT)),
            (
                Some("x"),
                101,
                -1,
                -1,
                Some(ErrorCode::INVALID_TRANSACTION_TIMEOUT),
            ),
            (Some("x"), 100, -1, -1, Some(ErrorCode::COORDINATOR_NOT_AVAILABLE)),
        ];
        for (id, transaction_timeout_ms, producer_id, producer_epoch, expected) in table {
            let body = InitProducerIdRequest {
                transactional_id: id.map(Into::into),
                transaction_timeout_ms,
                producer_id,
                producer_epoch,
                ..Default::default()
            };
            assert_eq!(judge(&body, 100), expected, "{body:?}");
        }
    }
}
