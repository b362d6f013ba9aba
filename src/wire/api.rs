//! Kafka's APIs by number: their names, their versions, and which headers go with them.

use std::fmt;
use std::ops::RangeInclusive;

/// Which API a request calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

/// What the schemas say of one API.
#[derive(Debug)]
pub struct ApiSchema {
    /// Its number.
    pub key: ApiKey,
    /// Kafka's name for it.
    pub name: &'static str,
    /// The versions of its schema that are final.
    pub versions: RangeInclusive<i16>,
    /// Whether Kafka's broker listeners serve it.
    pub on_broker: bool,
    /// Whether Kafka's controller listeners serve it.
    pub on_controller: bool,
    /// The first version with compact lengths and tagged fields (KIP-482).
    flexible_from: Option<i16>,
}

include!(concat!(env!("OUT_DIR"), "/api.rs"));

impl ApiKey {
    /// What the schemas say of it; `None` for a number that Kafka does not have.
    pub fn schema(self) -> Option<&'static ApiSchema> {
        APIS.binary_search_by_key(&self, |api| api.key)
            .ok()
            .map(|index| &APIS[index])
    }

    /// Kafka's name for it, or `"unknown"`.
    pub fn name(self) -> &'static str {
        self.schema().map_or("unknown", |api| api.name)
    }
}

impl From<i16> for ApiKey {
    fn from(key: i16) -> Self {
        ApiKey(key)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// Whether `version` of the API has compact lengths and tagged fields (KIP-482). Defined beyond the versions
/// that exist, so that the header of a request from a newer client can be read. `None` for an unknown API.
pub fn is_flexible(key: impl Into<ApiKey>, version: i16) -> Option<bool> {
    key.into()
        .schema()
        .map(|api| api.flexible_from.is_some_and(|from| version >= from))
}

/// The version of the header before a request's body; `None` for an unknown API.
pub fn request_header_version(key: impl Into<ApiKey>, version: i16) -> Option<i16> {
    is_flexible(key, version).map(|flexible| if flexible { 2 } else { 1 })
}

/// The version of the header before a response's body; `None` for an unknown API. Always 0 for ApiVersions, whose
/// answer a client must be able to read before it knows what the broker speaks (KIP-511).
pub fn response_header_version(key: impl Into<ApiKey>, version: i16) -> Option<i16> {
    let key = key.into();
    is_flexible(key, version).map(|flexible| i16::from(flexible && key != ApiKey::API_VERSIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apis_are_found_by_their_numbers() {
        assert!(APIS.is_sorted_by_key(|api| api.key));
        assert_eq!(ApiKey(0).to_string(), "Produce(0)");
        assert_eq!(ApiKey::DESCRIBE_SHARE_GROUP_OFFSETS, ApiKey(90));
        assert_eq!(
            ApiKey(4).schema().map(|api| api.name),
            None,
            "gone with ZooKeeper"
        );
        let vote = ApiKey::VOTE.schema().expect("known");
        assert_eq!(
            (vote.on_broker, vote.on_controller, vote.versions.clone()),
            (false, true, 0..=2)
        );
    }

    #[test]
    fn versions_that_are_not_final_are_left_out() {
        assert_eq!(ApiKey::INIT_PRODUCER_ID.schema().expect("known").versions, 0..=5);
    }

    #[test]
    fn headers_follow_the_flexible_versions() {
        assert_eq!(request_header_version(ApiKey::FETCH, 11), Some(1));
        assert_eq!(request_header_version(ApiKey::FETCH, 12), Some(2));
        assert_eq!(response_header_version(ApiKey::FETCH, 11), Some(0));
        assert_eq!(response_header_version(ApiKey::FETCH, 12), Some(1));
        assert_eq!(request_header_version(ApiKey::API_VERSIONS, 4), Some(2));
        assert_eq!(response_header_version(ApiKey::API_VERSIONS, 4), Some(0));
        assert_eq!(request_header_version(ApiKey::SASL_HANDSHAKE, 1), Some(1));
        assert_eq!(
            request_header_version(ApiKey::SASL_HANDSHAKE, 99),
            Some(1),
            "never flexible"
        );
        assert_eq!(request_header_version(9_999, 0), None);
    }
}
