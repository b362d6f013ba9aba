//! What a topic's settings say of the batches that come to it.

use crate::base::Timestamp;
use crate::config::{CompressionType, RinglogValidate, TimestampType, TopicConfig};
use crate::wire::batch::{Depth, Rules, Times};
use crate::wire::compression::{Codec, Effort};

/// What a batch that arrives `now` is held to.
pub fn rules(config: &TopicConfig, now: Timestamp) -> Rules {
    Rules {
        depth: match config.ringlog_validate {
            RinglogValidate::Full => Depth::Records,
            RinglogValidate::Header => Depth::Header,
        },
        size_bytes_max: config.max_message_bytes,
        needs_keys: config.cleanup_policy.compact,
        times: match config.timestamp_type {
            TimestampType::LogAppendTime => Times::Replaced,
            TimestampType::CreateTime => Times::Kept {
                earliest: Timestamp(now.0.saturating_sub(config.timestamp_before_max_ms)),
                latest: Timestamp(now.0.saturating_add(config.timestamp_after_max_ms)),
            },
        },
    }
}

/// What a batch in `codec` is to be put into; none where it stays as it is. As in Kafka a level alone changes nothing.
pub fn recoding(config: &TopicConfig, codec: Codec) -> Option<Effort> {
    let effort = match config.compression {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => Codec::None.into(),
        CompressionType::Snappy => Codec::Snappy.into(),
        CompressionType::Gzip { level } => with_level(Codec::Gzip, level),
        CompressionType::Lz4 { level } => with_level(Codec::Lz4, level),
        CompressionType::Zstd { level } => with_level(Codec::Zstd, level),
    };
    (effort.codec != codec).then_some(effort)
}

fn with_level(codec: Codec, level: i32) -> Effort {
    Effort { codec, level }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Config;

    fn config(pairs: &[(&str, &str)]) -> TopicConfig {
        let overrides: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        TopicConfig::new(&Config::parse(None, &[]).unwrap().0, &overrides)
    }

    #[test]
    fn only_another_codec_than_the_topics_is_put_into_that() {
        const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let asked = [
            ("producer", None),
            ("uncompressed", Some(Codec::None)),
            ("gzip", Some(Codec::Gzip)),
            ("snappy", Some(Codec::Snappy)),
            ("lz4", Some(Codec::Lz4)),
            ("zstd", Some(Codec::Zstd)),
        ];
        for (name, asked) in asked {
            let config = config(&[("compression.type", name)]);
            for codec in CODECS {
                let expected = asked.filter(|asked| *asked != codec).map(Effort::from);
                assert_eq!(recoding(&config, codec), expected, "{codec} for {name}");
            }
        }
    }

    #[test]
    fn the_level_is_that_of_the_codec() {
        for (codec, name, level) in [
            (Codec::Gzip, "gzip", 2),
            (Codec::Lz4, "lz4", 12),
            (Codec::Zstd, "zstd", -5),
        ] {
            let setting = format!("compression.{name}.level");
            let config = config(&[("compression.type", name), (&setting, &level.to_string())]);
            assert_eq!(recoding(&config, Codec::None), Some(Effort { codec, level }));
        }
    }

    #[test]
    fn times_far_off_do_not_wrap() {
        let config = config(&[("message.timestamp.after.max.ms", "9223372036854775807")]);
        let times = rules(&config, Timestamp(5)).times;
        let expected = Times::Kept {
            earliest: Timestamp(5 - i64::MAX),
            latest: Timestamp(i64::MAX),
        };
        assert_eq!(times, expected);
    }
}
