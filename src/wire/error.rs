//! Kafka's error codes (`org.apache.kafka.common.protocol.Errors`).

use std::fmt;

/// What a response says went wrong; 0 is "nothing". Any number may come from a peer, also ones without a name.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

/// Defines the codes: a constant each, and the table of names and messages.
macro_rules! codes {
    ($($code:literal $name:ident $message:literal)*) => {
        impl ErrorCode {
            $(
                #[doc = $message]
                pub const $name: ErrorCode = ErrorCode($code);
            )*

            /// Every code that has a name.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];

            /// Kafka's name and our words for it; `None` for a code that Kafka does not have.
            const fn told(self) -> Option<(&'static str, &'static str)> {
                match self.0 {
                    $($code => Some((stringify!($name), $message)),)*
                    _ => None,
                }
            }
        }
    };
}

impl ErrorCode {
    /// Whether it says that nothing went wrong.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Kafka's name for it, or `"UNKNOWN"`.
    pub fn name(self) -> &'static str {
        self.told().map_or("UNKNOWN", |(name, _)| name)
    }

    /// What to tell people when there is nothing more precise to say.
    pub fn message(self) -> &'static str {
        self.told().map_or(
            "An error code that this version does not know.",
            |(_, message)| message,
        )
    }

    /// Whether the same request may succeed later or elsewhere (Kafka's `RetriableException`).
    pub fn is_retriable(self) -> bool {
        RETRIABLE.binary_search(&self.0).is_ok()
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> i16 {
        code.0
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> Self {
        ErrorCode(code)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.told() {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "UNKNOWN({})", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The codes that a client answers with another try, rising.
const RETRIABLE: &[i16] = &[
    2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100,
    103, 106, 122, 123, 133,
];

codes! {
    -1 UNKNOWN_SERVER_ERROR "The server failed in a way that has no code of its own."
    0 NONE "No error."
    1 OFFSET_OUT_OF_RANGE "The offset lies before the log's start or behind its end."
    2 CORRUPT_MESSAGE "The records fail their checksum or are damaged in another way."
    3 UNKNOWN_TOPIC_OR_PARTITION "This broker does not have the topic or partition."
    4 INVALID_FETCH_SIZE "The fetch size is not valid."
    5 LEADER_NOT_AVAILABLE "The partition has no leader at the moment."
    6 NOT_LEADER_OR_FOLLOWER "This broker does not lead the partition, or has no replica of it."
    7 REQUEST_TIMED_OUT "The time allowed for the request ran out."
    8 BROKER_NOT_AVAILABLE "The broker is not available."
    9 REPLICA_NOT_AVAILABLE "The replica is not available."
    10 MESSAGE_TOO_LARGE "The record batch is larger than the topic allows."
    11 STALE_CONTROLLER_EPOCH "Another controller has taken over."
    12 OFFSET_METADATA_TOO_LARGE "The metadata of an offset commit is too large."
    13 NETWORK_EXCEPTION "The connection ended before the answer came."
    14 COORDINATOR_LOAD_IN_PROGRESS "The coordinator is still loading its state."
    15 COORDINATOR_NOT_AVAILABLE "The coordinator is not available."
    16 NOT_COORDINATOR "This broker is not the coordinator asked for."
    17 INVALID_TOPIC_EXCEPTION "The topic's name is not valid, or the operation is not allowed on this topic."
    18 RECORD_LIST_TOO_LARGE "The record batch is larger than a segment may be."
    19 NOT_ENOUGH_REPLICAS "Fewer replicas are in sync than the topic demands."
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND "The records were written, but fewer replicas are in sync than the topic demands."
    21 INVALID_REQUIRED_ACKS "The value of acks is not valid."
    22 ILLEGAL_GENERATION "The group's generation is not the current one."
    23 INCONSISTENT_GROUP_PROTOCOL "The member's protocols do not fit those of the group."
    24 INVALID_GROUP_ID "The group's id is not valid."
    25 UNKNOWN_MEMBER_ID "The coordinator does not know the member."
    26 INVALID_SESSION_TIMEOUT "The session timeout lies outside what the broker allows."
    27 REBALANCE_IN_PROGRESS "The group is rebalancing; join again."
    28 INVALID_COMMIT_OFFSET_SIZE "The offset commit is too large."
    29 TOPIC_AUTHORIZATION_FAILED "Not authorized for the topic."
    30 GROUP_AUTHORIZATION_FAILED "Not authorized for the group."
    31 CLUSTER_AUTHORIZATION_FAILED "Not authorized for the cluster."
    32 INVALID_TIMESTAMP "The timestamp lies outside what the topic allows."
    33 UNSUPPORTED_SASL_MECHANISM "The SASL mechanism is not supported here."
    34 ILLEGAL_SASL_STATE "The request does not fit the connection's SASL state."
    35 UNSUPPORTED_VERSION "This version of the API is not supported."
    36 TOPIC_ALREADY_EXISTS "A topic of this name exists already."
    37 INVALID_PARTITIONS "A topic needs at least one partition."
    38 INVALID_REPLICATION_FACTOR "The replication factor is below 1 or above the number of brokers."
    39 INVALID_REPLICA_ASSIGNMENT "The replica assignment is not valid."
    40 INVALID_CONFIG "The configuration is not valid."
    41 NOT_CONTROLLER "This node is not the active controller."
    42 INVALID_REQUEST "The request is not well formed or not allowed as it stands."
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT "The log's message format does not support the request."
    44 POLICY_VIOLATION "The request breaks a policy of this cluster."
    45 OUT_OF_ORDER_SEQUENCE_NUMBER "The producer's sequence number is not the next one."
    46 DUPLICATE_SEQUENCE_NUMBER "The producer's sequence number was used before."
    47 INVALID_PRODUCER_EPOCH "The producer's epoch is old."
    48 INVALID_TXN_STATE "The transaction's state does not allow the operation."
    49 INVALID_PRODUCER_ID_MAPPING "The producer id does not belong to the transactional id."
    50 INVALID_TRANSACTION_TIMEOUT "The transaction timeout is longer than the broker allows."
    51 CONCURRENT_TRANSACTIONS "Another operation on the same transaction is under way."
    52 TRANSACTION_COORDINATOR_FENCED "The transaction coordinator that sent the markers has been replaced."
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED "Not authorized for the transactional id."
    54 SECURITY_DISABLED "Security features are switched off."
    55 OPERATION_NOT_ATTEMPTED "The operation was not attempted because another part of the request failed."
    56 KAFKA_STORAGE_ERROR "The disk failed."
    57 LOG_DIR_NOT_FOUND "The broker has no such log directory."
    58 SASL_AUTHENTICATION_FAILED "SASL authentication failed."
    59 UNKNOWN_PRODUCER_ID "The broker holds no state of this producer id."
    60 REASSIGNMENT_IN_PROGRESS "The partition is being reassigned."
    61 DELEGATION_TOKEN_AUTH_DISABLED "Delegation tokens are switched off."
    62 DELEGATION_TOKEN_NOT_FOUND "There is no such delegation token."
    63 DELEGATION_TOKEN_OWNER_MISMATCH "The principal neither owns the delegation token nor may renew it."
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED "Delegation token requests are not allowed on this kind of connection."
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED "Not authorized for the delegation token."
    66 DELEGATION_TOKEN_EXPIRED "The delegation token has expired."
    67 INVALID_PRINCIPAL_TYPE "The type of principal is not supported."
    68 NON_EMPTY_GROUP "The group still has members."
    69 GROUP_ID_NOT_FOUND "There is no such group."
    70 FETCH_SESSION_ID_NOT_FOUND "There is no such fetch session."
    71 INVALID_FETCH_SESSION_EPOCH "The fetch session's epoch is not the expected one."
    72 LISTENER_NOT_FOUND "The leader has no listener of the name through which this request came."
    73 TOPIC_DELETION_DISABLED "Deleting topics is switched off."
    74 FENCED_LEADER_EPOCH "The request's leader epoch is older than the broker's."
    75 UNKNOWN_LEADER_EPOCH "The request's leader epoch is newer than the broker's."
    76 UNSUPPORTED_COMPRESSION_TYPE "The client does not support the compression of the partition's records."
    77 STALE_BROKER_EPOCH "The broker's epoch has changed."
    78 OFFSET_NOT_AVAILABLE "The new leader does not know yet how far the log is committed."
    79 MEMBER_ID_REQUIRED "The member must join with the member id that it was just given."
    80 PREFERRED_LEADER_NOT_AVAILABLE "The preferred leader is not available."
    81 GROUP_MAX_SIZE_REACHED "The group has as many members as it may."
    82 FENCED_INSTANCE_ID "Another member with the same instance id has taken this one's place."
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE "None of the replicas that may lead is available."
    84 ELECTION_NOT_NEEDED "The election is not needed."
    85 NO_REASSIGNMENT_IN_PROGRESS "No reassignment of the partition is under way."
    86 GROUP_SUBSCRIBED_TO_TOPIC "The group is subscribed to the topic, so its offsets must stay."
    87 INVALID_RECORD "The broker's checks refused a record."
    88 UNSTABLE_OFFSET_COMMIT "Offsets of an open transaction are pending."
    89 THROTTLING_QUOTA_EXCEEDED "A quota is exceeded; try again later."
    90 PRODUCER_FENCED "A newer producer with the same transactional id has taken over."
    91 RESOURCE_NOT_FOUND "The request refers to something that does not exist."
    92 DUPLICATE_RESOURCE "The request names the same thing twice."
    93 UNACCEPTABLE_CREDENTIAL "The credential does not meet the requirements."
    94 INCONSISTENT_VOTER_SET "The sender or the receiver is not one of the voters."
    95 INVALID_UPDATE_VERSION "The version of the update is not valid."
    96 FEATURE_UPDATE_FAILED "The features could not be updated."
    97 PRINCIPAL_DESERIALIZATION_FAILURE "The principal in a forwarded request could not be read."
    98 SNAPSHOT_NOT_FOUND "There is no such snapshot."
    99 POSITION_OUT_OF_RANGE "The position lies outside the snapshot."
    100 UNKNOWN_TOPIC_ID "This broker has no topic of this id."
    101 DUPLICATE_BROKER_REGISTRATION "Another broker is registered under this id."
    102 BROKER_ID_NOT_REGISTERED "No broker is registered under this id."
    103 INCONSISTENT_TOPIC_ID "The log's topic id is another than the request's."
    104 INCONSISTENT_CLUSTER_ID "The cluster's id is another than the request's."
    105 TRANSACTIONAL_ID_NOT_FOUND "There is no such transactional id."
    106 FETCH_SESSION_TOPIC_ID_ERROR "The fetch session mixes requests with and without topic ids."
    107 INELIGIBLE_REPLICA "A replica of the new in-sync set may not be in it."
    108 NEW_LEADER_ELECTED "The partition was changed, and another broker leads it now."
    109 OFFSET_MOVED_TO_TIERED_STORAGE "The offset has moved to tiered storage."
    110 FENCED_MEMBER_EPOCH "The member's epoch is fenced; it must give up its partitions and join again."
    111 UNRELEASED_INSTANCE_ID "The instance id is still in use by another member."
    112 UNSUPPORTED_ASSIGNOR "The group does not support the assignor or its version."
    113 STALE_MEMBER_EPOCH "The member's epoch is old; try again with the new one."
    114 MISMATCHED_ENDPOINT_TYPE "The request came to the wrong kind of endpoint."
    115 UNSUPPORTED_ENDPOINT_TYPE "This kind of endpoint is not supported."
    116 UNKNOWN_CONTROLLER_ID "There is no such controller."
    117 UNKNOWN_SUBSCRIPTION_ID "The telemetry subscription is unknown or out of date."
    118 TELEMETRY_TOO_LARGE "The telemetry is larger than the broker accepts."
    119 INVALID_REGISTRATION "The controller refused the registration."
    120 TRANSACTION_ABORTABLE "The transaction can only be aborted; the transactional id stays usable."
    121 INVALID_RECORD_STATE "The record is not in a state that allows this acknowledgement."
    122 SHARE_SESSION_NOT_FOUND "There is no such share session."
    123 INVALID_SHARE_SESSION_EPOCH "The share session's epoch is not the expected one."
    124 FENCED_STATE_EPOCH "The epoch of the share group's state is another."
    125 INVALID_VOTER_KEY "The voter's key is another than the receiver's."
    126 DUPLICATE_VOTER "The voter belongs to the voters already."
    127 VOTER_NOT_FOUND "The voter is not one of the voters."
    128 INVALID_REGULAR_EXPRESSION "The regular expression is not valid."
    129 REBOOTSTRAP_REQUIRED "The client's metadata is out of date; it should bootstrap again."
    130 STREAMS_INVALID_TOPOLOGY "The topology is not valid."
    131 STREAMS_INVALID_TOPOLOGY_EPOCH "The topology's epoch is not valid."
    132 STREAMS_TOPOLOGY_FENCED "The topology's epoch is old."
    133 SHARE_SESSION_LIMIT_REACHED "There are as many share sessions as there may be."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_by_kafkas_names() {
        assert_eq!(ErrorCode(3).name(), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(ErrorCode(-1), ErrorCode::UNKNOWN_SERVER_ERROR);
        assert_eq!(ErrorCode(133).to_string(), "SHARE_SESSION_LIMIT_REACHED");
        assert_eq!(ErrorCode(9_999).to_string(), "UNKNOWN(9999)");
    }

    #[test]
    fn every_code_from_minus_one_up_has_a_name() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.0).collect();
        assert_eq!(codes, (-1..=133).collect::<Vec<_>>());
    }

    #[test]
    fn clients_retry_what_may_pass() {
        assert!(ErrorCode::NOT_LEADER_OR_FOLLOWER.is_retriable());
        assert!(!ErrorCode::MESSAGE_TOO_LARGE.is_retriable());
        assert!(RETRIABLE.is_sorted());
    }
}
