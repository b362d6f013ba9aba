//! DescribeConfigs (key 32), versions 1–4, for topics and this broker; the values come from `config`'s one table.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::base::NodeId;
use crate::config::{ConfigRow, ConfigSynonym, describe_all_brokers, describe_broker, describe_topic};
use crate::metadata::Configs;
use crate::metadata::controller::{BROKER_RESOURCE, TOPIC_RESOURCE};
use crate::metadata::names::validate_topic_name;
use crate::shard::{Shard, TimeSlice};
use crate::wire::messages::create_topics_response::CreatableTopicConfigs;
use crate::wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{Array, ErrorCode, Str};

use super::{Reply, Request};

/// What a client asked of one resource: these keys, or all when it names none.
struct Wanted<'a> {
    keys: Vec<Str<'a>>,
    synonyms: bool,
    documentation: bool,
}

/// Answers a DescribeConfigs request. A resource that is named twice is answered once: its answer is a thousand times as long as its
/// name.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let (body, elements): (DescribeConfigsRequest<'_>, usize) = match request.counted_body() {
        Ok(body) => body,
        Err(error) => return request.malformed(error),
    };
    let _admission = shard.large_requests().admit(elements).await;
    let mut slice = TimeSlice::default();
    let mut named_before = BTreeSet::new();
    let mut results = Vec::new();
    for resource in body.resources.iter() {
        if !named_before.insert((resource.resource_type, resource.resource_name.clone())) {
            continue;
        }
        let answer = || {
            let wanted = Wanted {
                keys: resource
                    .configuration_keys
                    .iter()
                    .flat_map(|keys| keys.iter())
                    .collect(),
                synonyms: body.include_synonyms,
                documentation: body.include_documentation,
            };
            match rows(&shard, &resource) {
                Ok(rows) => described(resource, rows, &wanted),
                Err((code, message)) => refused(resource, code, message),
            }
        };
        results.push(slice.spend(answer).await);
    }
    request.reply(&DescribeConfigsResponse {
        results: results.into(),
        ..Default::default()
    })
}

fn rows(
    shard: &Shard,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<ConfigRow>, (ErrorCode, String)> {
    let name = resource.resource_name.as_ref();
    let invalid = |message: String| (ErrorCode::INVALID_REQUEST, message);
    match resource.resource_type {
        TOPIC_RESOURCE => {
            validate_topic_name(name)
                .map_err(|error| (ErrorCode::INVALID_TOPIC_EXCEPTION, error.to_string()))?;
            let image = shard.image();
            if image.topic_by_name(name).is_none() {
                return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, String::new()));
            }
            Ok(describe_topic(&shard.config(), image.topic_configs(name)))
        }
        BROKER_RESOURCE if name.is_empty() => Ok(describe_all_brokers(&shard.config())),
        BROKER_RESOURCE => match name.parse() {
            Ok(id) if NodeId(id) == shard.node().id() => Ok(describe_broker(&shard.config())),
            Ok(id) => Err(invalid(format!(
                "Unexpected broker id, expected {} or empty string, but received {id}",
                shard.node().id()
            ))),
            Err(_) => Err(invalid(format!(
                "Broker id must be an integer, but it is: {name}"
            ))),
        },
        other => Err(invalid(format!("Unsupported resource type: {other}"))),
    }
}

fn described<'a>(
    resource: DescribeConfigsResource<'a>,
    rows: Vec<ConfigRow>,
    wanted: &Wanted<'_>,
) -> DescribeConfigsResult<'a> {
    let is_wanted =
        |row: &ConfigRow| wanted.keys.is_empty() || wanted.keys.iter().any(|key| key == row.name());
    DescribeConfigsResult {
        // Not null, as Kafka has it.
        error_message: Some(Str::default()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs: rows
            .into_iter()
            .filter(is_wanted)
            .map(|row| described_row(row, wanted))
            .collect(),
        ..Default::default()
    }
}

fn described_row<'a>(row: ConfigRow, wanted: &Wanted<'_>) -> DescribeConfigsResourceResult<'a> {
    let synonyms = if wanted.synonyms {
        row.synonyms.iter().map(synonym).collect()
    } else {
        Array::default()
    };
    DescribeConfigsResourceResult {
        name: Str::from(row.name()),
        read_only: row.read_only,
        config_source: row.source as i8,
        is_sensitive: row.is_sensitive(),
        synonyms,
        config_type: row.config_type(),
        documentation: wanted.documentation.then(|| Str::from(row.documentation())),
        value: row.value.map(Str::from),
    }
}

fn synonym<'a>(synonym: &ConfigSynonym) -> DescribeConfigsSynonym<'a> {
    DescribeConfigsSynonym {
        name: Str::from(synonym.name),
        value: synonym.value.clone().map(Str::from),
        source: synonym.source as i8,
    }
}

fn refused<'a>(
    resource: DescribeConfigsResource<'a>,
    code: ErrorCode,
    message: String,
) -> DescribeConfigsResult<'a> {
    DescribeConfigsResult {
        error_code: code.0,
        error_message: Some(Str::from(message)),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        ..Default::default()
    }
}

/// The settings of a topic that was just created, as CreateTopics tells them (KIP-525).
pub fn created_topic_configs<'a>(shard: &Shard, configs: &Configs) -> Array<'a, CreatableTopicConfigs<'a>> {
    let rows = describe_topic(&shard.config(), configs).into_iter();
    rows.map(|row| CreatableTopicConfigs {
        name: Str::from(row.name()),
        read_only: row.read_only,
        config_source: row.effective_source as i8,
        is_sensitive: row.is_sensitive(),
        value: row.value.map(Str::from),
    })
    .collect()
}
