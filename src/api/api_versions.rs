//! ApiVersions (key 18), versions 0–4: the APIs of [`super::table`] that the listener serves, and the cluster's features (KIP-35, KIP-511, KIP-584).
//!
//! A version that is not served gets the version 0 body with UNSUPPORTED_VERSION, so that any client can read what is.
//! The answer's header is always version 0.

use std::rc::Rc;

use crate::metadata::features::SUPPORTED_FEATURES;
use crate::shard::Shard;
use crate::wire::messages::api_versions_request::ApiVersionsRequest;
use crate::wire::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::wire::{ErrorCode, Str};

use super::table::{self, APIS};
use super::{Pending, Reply, Request};

const KEY: i16 = 18;

/// The first version whose request names the client's software.
const FIRST_VERSION_WITH_SOFTWARE: i16 = 3;

/// The first version whose answer may hold features that start at level 0; older clients refuse those (KAFKA-17011).
const FIRST_VERSION_WITH_LEVEL_ZERO: i16 = 4;

/// Answers an ApiVersions request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    {
        let body: ApiVersionsRequest<'_> = match request.body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        let names = [&body.client_software_name, &body.client_software_version];
        if request.version >= FIRST_VERSION_WITH_SOFTWARE && !names.iter().all(|name| is_software_word(name))
        {
            return request.reply(&ApiVersionsResponse {
                error_code: ErrorCode::INVALID_REQUEST.0,
                ..Default::default()
            });
        }
    }
    let image = shard.image();
    let supported = SUPPORTED_FEATURES
        .iter()
        .filter(|feature| feature.min > 0 || request.version >= FIRST_VERSION_WITH_LEVEL_ZERO)
        .map(|feature| SupportedFeatureKey {
            name: Str::from(feature.name),
            min_version: feature.min,
            max_version: feature.max,
        });
    let finalized = image
        .finalized_features()
        .map(|(name, level)| FinalizedFeatureKey {
            name: Str::from(name),
            max_version_level: level,
            min_version_level: level,
        });
    request.reply(&ApiVersionsResponse {
        api_keys: APIS
            .iter()
            .filter(|api| api.is_served_by(request.origin.role))
            .map(|api| ApiVersion {
                api_key: api.key,
                min_version: *api.versions.start(),
                max_version: *api.versions.end(),
            })
            .collect(),
        supported_features: supported.collect(),
        finalized_features_epoch: image.next_offset().0 - 1,
        finalized_features: finalized.collect(),
        ..Default::default()
    })
}

/// The answer to a version that is not served: Kafka closes the connection, but for ApiVersions itself.
pub fn refuse_version(request: Request) -> Pending {
    if request.key != KEY {
        let Request { key, version, .. } = request;
        return super::closed(format!("API {key} is not served in version {version}"));
    }
    let own = table::find(KEY, request.origin.role).map(|api| ApiVersion {
        api_key: KEY,
        min_version: *api.versions.start(),
        max_version: *api.versions.end(),
    });
    let answer = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION.0,
        api_keys: own.into_iter().collect(),
        ..Default::default()
    };
    Box::pin(std::future::ready(
        Request {
            version: 0,
            ..request
        }
        .reply(&answer),
    ))
}

/// Kafka's pattern for a client's software name and version: letters, digits, '-' and '.', the first and last
/// a letter or digit (`ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`).
fn is_software_word(word: &str) -> bool {
    let bytes = word.as_bytes();
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_software_word;

    #[test]
    fn software_words_follow_kafkas_pattern() {
        for (word, expected) in [
            ("apache-kafka-java", true),
            ("4.3.1", true),
            ("a", true),
            ("", false),
            ("-java", false),
            ("java-", false),
            ("ja va", false),
            ("jäva", false),
        ] {
            assert_eq!(is_software_word(word), expected, "{word:?}");
        }
    }
}
