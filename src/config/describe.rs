//! The answers to DescribeConfigs (KIP-226, KIP-569): effective values with where they come from.
//!
//! What a client sees is Kafka's view: a broker setting's synonyms are listed from the setting's own name on, and a topic
//! setting names only its first broker synonym. So a retention that comes from `log.retention.hours` shows its value
//! with DEFAULT_CONFIG as the source, as Kafka 4.3 does.

use super::broker::{Config, Origin};
use super::setting::{Effect, Kind, Setting, UpdateMode};
use super::table::{TOPIC_SETTINGS, broker_setting, broker_settings};
use std::collections::BTreeMap;

/// Broker settings that are one thing in several units, the one that counts first (Kafka's `brokerConfigSynonyms`).
const SYNONYMS: &[&[&str]] = &[
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];

/// Where a value comes from; the discriminant is Kafka's `ConfigSource` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic = 1,
    /// Set on the broker while it ran.
    DynamicBroker = 2,
    /// Set on all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// Set in the broker's file or on its command line.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
}

/// One value that a setting has, had it not another that goes before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The setting that it is a value of.
    pub name: &'static str,
    /// The value; `None` when it must not be shown.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// One setting of a resource.
#[derive(Clone, Debug)]
pub struct ConfigRow {
    /// The row of the table.
    pub setting: &'static Setting,
    /// The effective value; `None` is Kafka's null, or a value that must not be shown.
    pub value: Option<String>,
    /// Where DescribeConfigs says it comes from: the first of `synonyms`.
    pub source: ConfigSource,
    /// Where it comes from, also where none of `synonyms` is that; CreateTopics says this.
    pub effective_source: ConfigSource,
    /// All its values, the effective one first.
    pub synonyms: Vec<ConfigSynonym>,
    /// Whether it can't be changed while the broker runs.
    pub read_only: bool,
}

impl ConfigRow {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.setting.name
    }

    /// Whether its value must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.setting.sensitive
    }

    /// Kafka's `ConfigType` on the wire.
    pub fn config_type(&self) -> i8 {
        match self.setting.kind {
            Kind::Bool => 1,
            Kind::Text | Kind::OneOf(_) | Kind::Checked { .. } => 2,
            Kind::Int(_) | Kind::IntOr(..) => 3,
            Kind::Short(_) => 4,
            Kind::Long(_) => 5,
            Kind::Double(..) => 6,
            Kind::List | Kind::ListOf(_) | Kind::ReplicaList => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }

    /// What it is for, and what it doesn't do here.
    pub fn documentation(&self) -> String {
        match self.setting.effect {
            Effect::Acted => self.setting.doc.to_owned(),
            Effect::WithoutEffect(why) => format!("{} No effect here: {why}.", self.setting.doc),
            Effect::Only(_, why) | Effect::Refused(why) => {
                format!(
                    "{} Limited here: {}.",
                    self.setting.doc,
                    why.trim_end_matches('.')
                )
            }
        }
    }
}

/// The settings of this broker, by name.
pub fn describe_broker(config: &Config) -> Vec<ConfigRow> {
    let row = |setting: &'static Setting| {
        let synonyms = broker_values(config, setting);
        let (value, origin) = config.value_and_origin(setting.name);
        ConfigRow {
            setting,
            value: shown(setting, value),
            source: first_source(&synonyms),
            effective_source: source_of(origin),
            synonyms,
            read_only: setting.update == UpdateMode::ReadOnly,
        }
    };
    broker_settings().iter().copied().map(row).collect()
}

/// What was set on all brokers while they ran, by name.
pub fn describe_all_brokers(config: &Config) -> Vec<ConfigRow> {
    let row = |(name, value)| {
        let setting = broker_setting(name)?;
        let (value, source) = (shown(setting, Some(value)), ConfigSource::DynamicDefaultBroker);
        Some(ConfigRow {
            setting,
            value: value.clone(),
            source,
            effective_source: source,
            synonyms: vec![ConfigSynonym { name, value, source }],
            read_only: false,
        })
    };
    config.set_on_all().filter_map(row).collect()
}

/// The settings of a topic, by name; `overrides` is what is set on it.
pub fn describe_topic(config: &Config, overrides: &BTreeMap<String, String>) -> Vec<ConfigRow> {
    let row = |setting: &'static Setting| {
        let own = overrides.get(setting.name).map(|value| ConfigSynonym {
            name: setting.name,
            value: shown(setting, Some(value)),
            source: ConfigSource::DynamicTopic,
        });
        let first = setting
            .broker_synonyms
            .first()
            .and_then(|s| broker_setting(s.name));
        let of_broker = first.into_iter().flat_map(|broker| broker_values(config, broker));
        let synonyms: Vec<_> = own.into_iter().chain(of_broker).collect();
        let (value, effective_source) = match overrides.get(setting.name) {
            Some(value) => (Some(value.clone()), ConfigSource::DynamicTopic),
            None => {
                let (value, origin) = config.topic_default(setting);
                (value, source_of(origin))
            }
        };
        ConfigRow {
            setting,
            value: shown(setting, value.as_deref()),
            source: first_source(&synonyms),
            effective_source,
            synonyms,
            read_only: false,
        }
    };
    TOPIC_SETTINGS.iter().map(row).collect()
}

/// The values of a broker setting and of its synonyms, layer by layer, from the first of its own on.
fn broker_values(config: &Config, setting: &'static Setting) -> Vec<ConfigSynonym> {
    let own = [setting.name];
    let group = SYNONYMS.iter().find(|group| group.contains(&setting.name));
    let settings = group
        .copied()
        .unwrap_or(&own)
        .iter()
        .filter_map(|name| broker_setting(name));
    let values = settings.flat_map(|setting| config.values(setting.name).map(move |value| (setting, value)));
    let mut values: Vec<_> = values.collect();
    values.sort_by_key(|(_, (_, origin))| *origin);
    let synonym = |(setting, (value, origin)): (&'static Setting, (&str, Origin))| ConfigSynonym {
        name: setting.name,
        value: shown(setting, Some(value)),
        source: source_of(origin),
    };
    values
        .into_iter()
        .skip_while(|(found, _)| found.name != setting.name)
        .map(synonym)
        .collect()
}

fn first_source(synonyms: &[ConfigSynonym]) -> ConfigSource {
    synonyms
        .first()
        .map_or(ConfigSource::Default, |first| first.source)
}

fn source_of(origin: Origin) -> ConfigSource {
    match origin {
        Origin::SetOnBroker => ConfigSource::DynamicBroker,
        Origin::SetOnAll => ConfigSource::DynamicDefaultBroker,
        Origin::Set => ConfigSource::StaticBroker,
        Origin::Default => ConfigSource::Default,
    }
}

fn shown(setting: &Setting, value: Option<&str>) -> Option<String> {
    if setting.sensitive {
        None
    } else {
        value.map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(file: &str) -> Config {
        Config::parse(Some(file), &[]).unwrap().0
    }

    fn told(rows: &[ConfigRow], name: &str) -> String {
        let row = rows.iter().find(|r| r.name() == name).unwrap();
        let value = |v: &Option<String>| v.clone().unwrap_or_else(|| "null".to_owned());
        let synonym = |s: &ConfigSynonym| format!("{}={}:{}", s.name, value(&s.value), s.source as i8);
        let synonyms: Vec<_> = row.synonyms.iter().map(synonym).collect();
        format!(
            "{} {} [{}]",
            value(&row.value),
            row.source as i8,
            synonyms.join(", ")
        )
    }

    #[test]
    fn broker_rows_tell_what_kafka_tells() {
        let rows = describe_broker(&config("log.retention.hours=5\nnum.partitions=3"));
        let table = [
            (
                "log.retention.hours",
                "5 4 [log.retention.hours=5:4, log.retention.hours=168:5]",
            ),
            ("num.partitions", "3 4 [num.partitions=3:4, num.partitions=1:5]"),
            ("log.retention.ms", "null 5 []"),
            (
                "log.segment.bytes",
                "1073741824 5 [log.segment.bytes=1073741824:5]",
            ),
            ("authorizer.class.name", " 5 [authorizer.class.name=:5]"),
        ];
        for (name, expected) in table {
            assert_eq!(told(&rows, name), expected, "{name}");
        }
        let read_only = |name: &str| rows.iter().find(|r| r.name() == name).unwrap().read_only;
        assert!(read_only("num.partitions"));
        assert!(!read_only("message.max.bytes"));
    }

    #[test]
    fn topic_rows_tell_what_kafka_tells() {
        let file =
            "log.retention.hours=5\nlog.roll.hours=7\nlog.cleanup.policy=compact,delete\nmessage.max.bytes=5";
        let overrides = BTreeMap::from([
            ("retention.ms".to_owned(), "1000".to_owned()),
            ("max.message.bytes".to_owned(), "9".to_owned()),
        ]);
        let rows = describe_topic(&config(file), &overrides);
        let table = [
            ("retention.ms", "1000 1 [retention.ms=1000:1]"),
            (
                "max.message.bytes",
                "9 1 [max.message.bytes=9:1, message.max.bytes=5:4, message.max.bytes=1048588:5]",
            ),
            ("segment.ms", "25200000 5 []"),
            (
                "cleanup.policy",
                "compact,delete 4 [log.cleanup.policy=compact,delete:4, log.cleanup.policy=delete:5]",
            ),
            ("segment.bytes", "1073741824 5 [log.segment.bytes=1073741824:5]"),
            ("flush.ms", "9223372036854775807 5 []"),
            ("remote.storage.enable", "false 5 []"),
        ];
        for (name, expected) in table {
            assert_eq!(told(&rows, name), expected, "{name}");
        }
        assert!(rows.iter().all(|r| !r.read_only));
    }

    #[test]
    fn what_was_set_while_the_broker_ran_is_told_as_kafka_tells_it() {
        let of = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            owned.collect::<BTreeMap<_, _>>()
        };
        let on_all = of(&[("message.max.bytes", "2000000"), ("log.retention.ms", "5000000")]);
        let on_broker = of(&[("message.max.bytes", "3000000")]);
        let config = config("log.retention.hours=168").with_dynamic(&on_all, &on_broker);
        let broker = describe_broker(&config);
        let bytes = "[message.max.bytes=3000000:2, message.max.bytes=2000000:3, message.max.bytes=1048588:5]";
        let retention = "[log.retention.ms=5000000:3, log.retention.hours=168:4, log.retention.hours=168:5]";
        let table = [
            ("message.max.bytes", format!("3000000 2 {bytes}")),
            ("log.retention.ms", format!("5000000 3 {retention}")),
            (
                "log.retention.hours",
                "168 4 [log.retention.hours=168:4, log.retention.hours=168:5]".to_owned(),
            ),
            ("log.retention.minutes", "null 5 []".to_owned()),
        ];
        for (name, expected) in table {
            assert_eq!(told(&broker, name), expected, "{name}");
        }
        let topic = describe_topic(&config, &BTreeMap::new());
        assert_eq!(told(&topic, "retention.ms"), format!("5000000 3 {retention}"));
        assert_eq!(told(&topic, "max.message.bytes"), format!("3000000 2 {bytes}"));
        let all = describe_all_brokers(&config);
        let names: Vec<_> = all.iter().map(ConfigRow::name).collect();
        assert_eq!(names, ["log.retention.ms", "message.max.bytes"]);
        assert_eq!(
            told(&all, "message.max.bytes"),
            "2000000 3 [message.max.bytes=2000000:3]"
        );
    }

    #[test]
    fn a_new_topic_is_told_the_true_source_of_its_retention() {
        let rows = describe_topic(&config("log.retention.hours=168"), &BTreeMap::new());
        let row = rows.iter().find(|row| row.name() == "retention.ms").unwrap();
        assert_eq!(
            (row.source, row.effective_source),
            (ConfigSource::Default, ConfigSource::StaticBroker)
        );
    }

    #[test]
    fn documentation_says_what_has_no_effect() {
        let rows = describe_topic(&config(""), &BTreeMap::new());
        let doc = |name: &str| rows.iter().find(|r| r.name() == name).unwrap().documentation();
        assert!(doc("local.retention.ms").contains("No effect here"));
        assert!(!doc("segment.bytes").contains("No effect here"));
        assert!(doc("min.insync.replicas").contains("Limited here"));
    }
}
