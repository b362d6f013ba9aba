//! What can go wrong between us and a broker, sorted by who has to act.

use std::fmt;
use std::time::Duration;

use super::HostPort;
use crate::wire::error::ErrorCode;

/// Why a request wasn't answered as hoped. Its text is one line for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// No connection could be made.
    Connect {
        /// Where to.
        address: HostPort,
        /// The system's words.
        reason: String,
    },
    /// The connection broke while an answer was awaited. Whether the broker acted on the request is unknown.
    Lost {
        /// The broker.
        address: HostPort,
        /// The system's words.
        reason: String,
    },
    /// No answer came in time; the connection is closed, as its answers come in order.
    NoAnswer {
        /// The broker.
        address: HostPort,
        /// The request's name.
        api: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The broker and this client share no version of a request.
    Unsupported {
        /// The broker.
        address: HostPort,
        /// The request's name.
        api: &'static str,
    },
    /// The broker sent something that is no answer to what was asked.
    Malformed {
        /// The broker.
        address: HostPort,
        /// What was wrong.
        reason: String,
    },
    /// The broker answered with an error.
    Refused {
        /// What was asked for, as in `topic "ticks"`.
        about: String,
        /// Kafka's code for why not.
        code: ErrorCode,
        /// The broker's own words, where it gave some.
        message: Option<String>,
    },
    /// Tried again until the time was up; the last failure says why.
    GaveUp {
        /// How long was tried.
        after: Duration,
        /// The last failure.
        last: Box<ClientError>,
    },
    /// The request breaks a limit of this client.
    TooLarge {
        /// What it was, with its size and the limit.
        what: String,
    },
}

impl ClientError {
    /// The broker's refusal `code` of what `about` names.
    pub fn refused(about: impl Into<String>, code: ErrorCode, message: Option<&str>) -> ClientError {
        ClientError::Refused {
            about: about.into(),
            code,
            message: message.map(str::to_owned),
        }
    }

    /// Whether the same request may succeed later, perhaps on another connection or with fresh metadata.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Connect { .. } | ClientError::Lost { .. } | ClientError::NoAnswer { .. } => true,
            ClientError::Refused { code, .. } => is_retriable(*code),
            ClientError::Unsupported { .. }
            | ClientError::Malformed { .. }
            | ClientError::GaveUp { .. }
            | ClientError::TooLarge { .. } => false,
        }
    }
}

/// The codes after which Kafka's own clients try again (subclasses of its `RetriableException`), of those that the
/// requests here can meet.
pub fn is_retriable(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::REQUEST_TIMED_OUT
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::NETWORK_EXCEPTION
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | ErrorCode::NOT_CONTROLLER
            | ErrorCode::KAFKA_STORAGE_ERROR
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::OFFSET_NOT_AVAILABLE
            | ErrorCode::THROTTLING_QUOTA_EXCEEDED
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::INCONSISTENT_TOPIC_ID
    )
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Connect { address, reason } => write!(f, "cannot connect to {address}: {reason}"),
            ClientError::Lost { address, reason } => write!(f, "lost the connection to {address}: {reason}"),
            ClientError::NoAnswer { address, api, after } => {
                write!(f, "{address} did not answer {api} within {after:?}")
            }
            ClientError::Unsupported { address, api } => {
                write!(f, "{address} serves no version of {api} that this program knows")
            }
            ClientError::Malformed { address, reason } => {
                write!(f, "{address} does not speak Kafka's protocol: {reason}")
            }
            ClientError::Refused { about, code, message } => {
                let words = message
                    .as_deref()
                    .filter(|m| !m.is_empty())
                    .unwrap_or(code.message());
                write!(f, "{about}: {} ({words})", code.name())
            }
            ClientError::GaveUp { after, last } => write!(f, "gave up after {after:?}: {last}"),
            ClientError::TooLarge { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for ClientError {}
