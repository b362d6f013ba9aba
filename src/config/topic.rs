//! The settings of one topic: its own over the broker's over the defaults.

use super::broker::{Config, Origin};
use super::setting::{Effect, Kind, Setting};
use super::table::{TOPIC_SETTINGS, topic_setting};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Where a topic's batches get their timestamps from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's time stays.
    CreateTime,
    /// The broker writes its own.
    LogAppendTime,
}

/// What a topic's batches are stored in, with the level where the codec has one (KIP-390).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// What they come in.
    Producer,
    /// Nothing.
    Uncompressed,
    /// 1 to 9, or −1 for gzip's own choice.
    Gzip { level: i32 },
    /// Snappy has no levels.
    Snappy,
    /// 1 to 17.
    Lz4 { level: i32 },
    /// −131,072 to 22.
    Zstd { level: i32 },
}

/// What happens to a topic's old records. Neither: they stay for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Deleted by age and size.
    pub delete: bool,
    /// Only the newest record of each key stays.
    pub compact: bool,
}

/// When a batch counts as acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RinglogAck {
    /// Once it is in the page cache of the replicas that `acks` asks for.
    Written,
    /// Once it is on stable storage there.
    Durable,
}

/// How far a producer's batch is looked into before it is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RinglogValidate {
    /// Every record, also of compressed batches.
    Full,
    /// Of a compressed batch only the header.
    Header,
}

/// The effective settings of one topic, typed. Times in milliseconds, −1 for "no limit" where Kafka has it so.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: usize,
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: at most so much of `segment_ms` is taken off by chance.
    pub segment_jitter_ms: i64,
    /// `preallocate`.
    pub preallocate: bool,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `retention.ms`; −1 keeps for ever.
    pub retention_ms: i64,
    /// `retention.bytes` of each partition; −1 keeps all.
    pub retention_bytes: i64,
    /// `flush.messages`: records after which an append waits until all is flushed.
    pub flush_messages: i64,
    /// `flush.ms`: how long records may stay unflushed, as far as `log.flush.scheduler.interval.ms` looks at it.
    pub flush_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay: Duration,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`, and the level of it.
    pub compression: CompressionType,
    /// `min.cleanable.dirty.ratio`: 0 to 1.
    pub dirty_ratio_min: f64,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_min_ms: i64,
    /// `max.compaction.lag.ms`; `i64::MAX` for no limit.
    pub compaction_lag_max_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `ringlog.ack`.
    pub ringlog_ack: RinglogAck,
    /// `ringlog.validate`.
    pub ringlog_validate: RinglogValidate,
}

/// A topic setting that CreateTopics must refuse with INVALID_CONFIG. The text is Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfigError {
    message: String,
}

impl fmt::Display for TopicConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TopicConfigError {}

/// Checks one setting of a topic as CreateTopics carries it; the value as it is kept.
pub fn validate_topic_config(name: &str, value: &str) -> Result<String, TopicConfigError> {
    let refuse = |message| Err(TopicConfigError { message });
    let Some(setting) = topic_setting(name) else {
        return refuse(format!("Unknown topic config name: {name}"));
    };
    match setting.check(value) {
        Err(wrong) => refuse(wrong.kafka_message(name, value)),
        Ok(value) => match setting.effect {
            Effect::Only(_, why) if !setting.serves(&value) => refuse(why.to_owned()),
            _ => Ok(value),
        },
    }
}

/// Checks all settings of a new topic, also against each other and the broker's defaults; the values as they are kept.
pub fn validate_topic_configs(
    broker: &Config,
    given: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, TopicConfigError> {
    let mut kept = BTreeMap::new();
    for (name, value) in given {
        let value = validate_topic_config(&name, &value)?;
        kept.insert(name, value);
    }
    validate_topic_configs_together(broker, &kept)?;
    Ok(kept)
}

/// Checks what a topic sets, each value fine by itself, against each other and the broker's defaults.
pub fn validate_topic_configs_together(
    broker: &Config,
    overrides: &BTreeMap<String, String>,
) -> Result<(), TopicConfigError> {
    let values = Values { broker, overrides };
    let (min, max) = (
        values.number("min.compaction.lag.ms"),
        values.number("max.compaction.lag.ms"),
    );
    if min > max {
        let message = format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        );
        return Err(TopicConfigError { message });
    }
    Ok(())
}

impl TopicConfig {
    /// The effective settings. Values in `overrides` that no longer pass their check count as not set: an image may
    /// come from another version of the software.
    pub fn new(broker: &Config, overrides: &BTreeMap<String, String>) -> TopicConfig {
        let values = Values { broker, overrides };
        let policy = values.text("cleanup.policy");
        TopicConfig {
            max_message_bytes: values.number("max.message.bytes") as usize,
            segment_bytes: values.number("segment.bytes") as u64,
            segment_ms: values.number("segment.ms"),
            segment_jitter_ms: values.number("segment.jitter.ms"),
            preallocate: values.text("preallocate") == "true",
            segment_index_bytes: values.number("segment.index.bytes") as u32,
            index_interval_bytes: values.number("index.interval.bytes") as u32,
            retention_ms: values.number("retention.ms"),
            retention_bytes: values.number("retention.bytes"),
            flush_messages: values.number("flush.messages"),
            flush_ms: values.number("flush.ms"),
            file_delete_delay: Duration::from_millis(values.number("file.delete.delay.ms") as u64),
            cleanup_policy: CleanupPolicy {
                delete: policy.contains("delete"),
                compact: policy.contains("compact"),
            },
            compression: values.compression(),
            dirty_ratio_min: values.fraction("min.cleanable.dirty.ratio"),
            compaction_lag_min_ms: values.number("min.compaction.lag.ms"),
            compaction_lag_max_ms: values.number("max.compaction.lag.ms"),
            delete_retention_ms: values.number("delete.retention.ms"),
            timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
            min_insync_replicas: values.number("min.insync.replicas") as i32,
            ringlog_ack: match values.text("ringlog.ack").as_str() {
                "durable" => RinglogAck::Durable,
                _ => RinglogAck::Written,
            },
            ringlog_validate: match values.text("ringlog.validate").as_str() {
                "header" => RinglogValidate::Header,
                _ => RinglogValidate::Full,
            },
        }
    }
}

struct Values<'a> {
    broker: &'a Config,
    overrides: &'a BTreeMap<String, String>,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        let setting = topic_setting(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let own = self.overrides.get(name).and_then(|v| setting.check(v).ok());
        own.unwrap_or_else(|| self.broker.topic_default(setting).0.unwrap_or_default())
    }

    fn number(&self, name: &str) -> i64 {
        self.text(name)
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number by its check"))
    }

    fn compression(&self) -> CompressionType {
        let level = |name| self.number(name) as i32;
        match self.text("compression.type").as_str() {
            "uncompressed" => CompressionType::Uncompressed,
            "gzip" => CompressionType::Gzip {
                level: level("compression.gzip.level"),
            },
            "snappy" => CompressionType::Snappy,
            "lz4" => CompressionType::Lz4 {
                level: level("compression.lz4.level"),
            },
            "zstd" => CompressionType::Zstd {
                level: level("compression.zstd.level"),
            },
            _ => CompressionType::Producer,
        }
    }

    fn fraction(&self, name: &str) -> f64 {
        self.text(name)
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number by its check"))
    }
}

impl Config {
    /// The value that a topic has when it sets nothing itself, and where it comes from: that of the first broker synonym
    /// that was set, in the topic setting's unit, else the default.
    pub fn topic_default(&self, setting: &Setting) -> (Option<String>, Origin) {
        for synonym in setting.broker_synonyms {
            match self.value_and_origin(synonym.name) {
                (None, _) | (_, Origin::Default) => {}
                (Some(value), origin) => return (Some(convert(setting, value, synonym.factor)), origin),
            }
        }
        (setting.default.map(str::to_owned), Origin::Default)
    }
}

/// Multiplies into the topic setting's unit. Kafka takes any negative retention as "no limit".
fn convert(setting: &Setting, value: &str, factor: i64) -> String {
    match (setting.kind, value.parse::<i64>()) {
        (Kind::Int(_) | Kind::Long(_), Ok(number)) if factor != 1 || number < 0 => {
            let number = if setting.name == "retention.ms" && number < 0 {
                -1
            } else {
                number
            };
            let factor = if number < 0 { 1 } else { factor };
            number.saturating_mul(factor).to_string()
        }
        _ => value.to_owned(),
    }
}

/// The names of all topic settings, in order.
pub fn topic_setting_names() -> impl Iterator<Item = &'static str> {
    TOPIC_SETTINGS.iter().map(|s| s.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(file: &str, overrides: &[(&str, &str)]) -> TopicConfig {
        let (config, _) = Config::parse(Some(file), &[]).unwrap();
        let overrides = overrides
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        TopicConfig::new(&config, &overrides)
    }

    #[test]
    fn defaults_are_kafkas() {
        let expected = TopicConfig {
            max_message_bytes: 1_048_588,
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            preallocate: false,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            file_delete_delay: Duration::from_secs(60),
            cleanup_policy: CleanupPolicy {
                delete: true,
                compact: false,
            },
            compression: CompressionType::Producer,
            dirty_ratio_min: 0.5,
            compaction_lag_min_ms: 0,
            compaction_lag_max_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            min_insync_replicas: 1,
            ringlog_ack: RinglogAck::Written,
            ringlog_validate: RinglogValidate::Full,
        };
        assert_eq!(effective("", &[]), expected);
    }

    #[test]
    fn the_finest_unit_that_is_set_wins() {
        let retention = |file: &str| effective(file, &[]).retention_ms;
        assert_eq!(retention("log.retention.hours=2"), 7_200_000);
        assert_eq!(
            retention("log.retention.hours=2\nlog.retention.minutes=3"),
            180_000
        );
        assert_eq!(
            retention("log.retention.hours=2\nlog.retention.minutes=3\nlog.retention.ms=4"),
            4
        );
        assert_eq!(retention("log.retention.hours=-5"), -1);
        assert_eq!(retention("log.retention.ms=-5"), -1);
        assert_eq!(
            retention("log.retention.minutes=2147483647"),
            2_147_483_647 * 60_000
        );
        assert_eq!(effective("log.roll.hours=7", &[]).segment_ms, 25_200_000);
        assert_eq!(effective("log.roll.hours=7\nlog.roll.ms=5", &[]).segment_ms, 5);
    }

    #[test]
    fn the_topics_own_settings_go_before_the_brokers() {
        let file =
            "message.max.bytes=5\nlog.message.timestamp.type=LogAppendTime\nlog.cleanup.policy=compact";
        let broker = effective(file, &[]);
        assert_eq!(broker.max_message_bytes, 5);
        assert_eq!(broker.timestamp_type, TimestampType::LogAppendTime);
        assert_eq!(
            broker.cleanup_policy,
            CleanupPolicy {
                delete: false,
                compact: true
            }
        );
        let topic = effective(
            file,
            &[
                ("max.message.bytes", "6"),
                ("message.timestamp.type", "CreateTime"),
                ("cleanup.policy", ""),
            ],
        );
        assert_eq!(topic.max_message_bytes, 6);
        assert_eq!(topic.timestamp_type, TimestampType::CreateTime);
        assert_eq!(
            topic.cleanup_policy,
            CleanupPolicy {
                delete: false,
                compact: false
            }
        );
    }

    #[test]
    fn a_codec_has_the_level_that_is_set_for_it() {
        let compression = |file: &str, overrides: &[(&str, &str)]| effective(file, overrides).compression;
        let zstd = |level| CompressionType::Zstd { level };
        assert_eq!(
            compression("compression.gzip.level=5", &[]),
            CompressionType::Producer
        );
        assert_eq!(compression("compression.type=zstd", &[]), zstd(3));
        let file = "compression.type=zstd\ncompression.zstd.level=-7\ncompression.lz4.level=4";
        assert_eq!(compression(file, &[]), zstd(-7));
        assert_eq!(compression(file, &[("compression.zstd.level", "22")]), zstd(22));
        for (name, expected) in [
            ("producer", CompressionType::Producer),
            ("uncompressed", CompressionType::Uncompressed),
            ("gzip", CompressionType::Gzip { level: -1 }),
            ("snappy", CompressionType::Snappy),
            ("lz4", CompressionType::Lz4 { level: 4 }),
        ] {
            assert_eq!(compression(file, &[("compression.type", name)]), expected);
        }
    }

    #[test]
    fn settings_in_the_log_that_no_longer_pass_count_as_not_set() {
        assert_eq!(
            effective("", &[("segment.bytes", "5"), ("unheard.of", "1")]).segment_bytes,
            1 << 30
        );
    }

    #[test]
    fn what_a_topic_may_not_have_is_refused_in_kafkas_words() {
        let refused = |name, value| validate_topic_config(name, value).unwrap_err().to_string();
        assert_eq!(refused("nope", "1"), "Unknown topic config name: nope");
        assert_eq!(
            refused("remote.storage.enable", "true"),
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
        );
        assert!(refused("min.insync.replicas", "2").contains("can only be 1"));
        assert_eq!(
            validate_topic_config("ringlog.ack", "written").as_deref(),
            Ok("written")
        );
    }
}
