//! Settings: one table, and everything that reads it.
//!
//! [`BROKER_SECTIONS`] and [`TOPIC_SETTINGS`] name every setting with its type, default and what this broker does
//! with it. [`Config::parse`] reads a `server.properties` against it, and [`TopicConfig`] lays a topic's settings over
//! the broker's.
//!
//! Pure: text in, values out. Any core may read a [`Config`]; nothing changes one.

mod broker;
mod cores;
mod error;
mod listeners;
mod properties;
mod setting;
mod table;
mod topic;

pub use broker::{CONFIG_FILE_BYTES_MAX, Config, Origin, Profile};
pub use cores::Cores;
pub use error::{ConfigError, Warning};
pub use listeners::{LISTENERS_MAX, ListenerConfig, Protocol};
pub use setting::{Effect, Kind, Range, Setting, Synonym, ValueError};
pub use table::{
    BROKER_SECTIONS, FAMILIES, Family, Section, TOPIC_SETTINGS, broker_setting, broker_settings,
    topic_setting,
};
pub use topic::{
    CleanupPolicy, RinglogAck, TimestampType, TopicConfig, TopicConfigError, topic_setting_names,
    validate_topic_config, validate_topic_configs,
};
