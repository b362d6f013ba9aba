//! Settings: one table, and everything that reads it.
//!
//! [`BROKER_SECTIONS`] and [`TOPIC_SETTINGS`] name every setting with its type, default and what this broker does
//! with it. [`Config::parse`] reads a `server.properties` against it, [`TopicConfig`] lays a topic's settings over the
//! broker's, [`describe_topic`] and [`describe_broker`] answer DescribeConfigs, and `reference` writes
//! `docs/configuration.md`.
//!
//! Pure: text in, values out. Nothing changes a [`Config`]: what is set while the broker runs makes a new one.

mod broker;
mod cores;
mod describe;
mod dynamic;
mod error;
mod listeners;
mod properties;
mod quorum;
#[cfg(test)]
mod reference;
mod setting;
mod table;
mod topic;

pub use broker::{CONFIG_FILE_BYTES_MAX, Config, Origin, Profile};
pub use cores::Cores;
pub use describe::{
    ConfigRow, ConfigSource, ConfigSynonym, describe_all_brokers, describe_broker, describe_topic,
};
pub use dynamic::{BrokerConfigError, validate_broker_configs, validate_broker_configs_together};
pub use error::{ConfigError, Warning};
pub use listeners::{LISTENERS_MAX, ListenerConfig, Protocol};
pub use setting::{Effect, Kind, Range, Setting, Synonym, UpdateMode, ValueError};
pub use table::{
    BROKER_SECTIONS, FAMILIES, Family, Section, TOPIC_SETTINGS, broker_setting, broker_settings,
    topic_setting,
};
pub use topic::{
    CleanupPolicy, CompressionType, RinglogAck, RinglogValidate, TimestampType, TopicConfig,
    TopicConfigError, topic_setting_names, validate_topic_config, validate_topic_configs,
    validate_topic_configs_together,
};
