//! What a topic's settings say of the batches that come to it.

use crate::base::Timestamp;
use crate::config::{RinglogValidate, TimestampType, TopicConfig};
use crate::wire::batch::{Depth, Rules, Times};

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
