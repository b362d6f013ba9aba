//! SaslHandshake (key 17), versions 0–1, and SaslAuthenticate (key 36), versions 0–2. No listener authenticates yet: both are answered with
//! ILLEGAL_SASL_STATE, as on Kafka's PLAINTEXT listeners.

use crate::wire::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use crate::wire::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use crate::wire::messages::sasl_handshake_request::SaslHandshakeRequest;
use crate::wire::messages::sasl_handshake_response::SaslHandshakeResponse;
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

const WHY: &str = "this listener does not authenticate";

/// Answers a SaslHandshake request.
pub async fn handshake(request: Request) -> Reply {
    if let Err(error) = request.body::<SaslHandshakeRequest<'_>>() {
        return request.malformed(error);
    }
    request.reply(&SaslHandshakeResponse {
        error_code: ErrorCode::ILLEGAL_SASL_STATE.0,
        ..Default::default()
    })
}

/// Answers a SaslAuthenticate request.
pub async fn authenticate(request: Request) -> Reply {
    if let Err(error) = request.body::<SaslAuthenticateRequest<'_>>() {
        return request.malformed(error);
    }
    request.reply(&SaslAuthenticateResponse {
        error_code: ErrorCode::ILLEGAL_SASL_STATE.0,
        error_message: Some(Str::from(WHY)),
        ..Default::default()
    })
}
