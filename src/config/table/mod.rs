//! The one table of settings, by subject. The parser, CreateTopics, DescribeConfigs and the reference page in
//! `docs/configuration.md` all read it and nothing else.
//!
//! Names, types, defaults and ranges are Apache Kafka 4.3's; `ringlog.*` are this broker's own.

mod coordinators;
mod log;
mod network;
mod node;
mod topic;

use super::setting::{Effect, Setting};
use std::sync::LazyLock;

/// A group of broker settings under one heading of the reference page.
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

/// All broker settings by subject.
pub static BROKER_SECTIONS: &[Section] = &[
    Section {
        title: "This node and its cluster",
        settings: node::NODE,
    },
    Section {
        title: "Cores",
        settings: node::CORES,
    },
    Section {
        title: "Listeners and connections",
        settings: network::NETWORK,
    },
    Section {
        title: "Requests",
        settings: network::REQUESTS,
    },
    Section {
        title: "Security",
        settings: network::SECURITY,
    },
    Section {
        title: "Topics",
        settings: log::TOPICS,
    },
    Section {
        title: "Logs",
        settings: log::LOGS,
    },
    Section {
        title: "Producers and transactions",
        settings: coordinators::PRODUCERS,
    },
    Section {
        title: "Consumer groups",
        settings: coordinators::GROUPS,
    },
    Section {
        title: "Replication",
        settings: node::REPLICATION,
    },
    Section {
        title: "The metadata log",
        settings: node::METADATA,
    },
    Section {
        title: "Metrics, quotas and plug-ins",
        settings: node::REST,
    },
];

/// All topic settings, in the order of their names.
pub static TOPIC_SETTINGS: &[Setting] = topic::TOPIC;

/// Names that are one family: every key that starts so is treated alike.
pub struct Family {
    /// What the key starts with.
    pub prefix: &'static str,
    /// What this broker does with all of them.
    pub effect: Effect,
}

/// Families of settings that aren't listed one by one.
pub static FAMILIES: &[Family] = &[
    Family {
        prefix: "ssl.",
        effect: Effect::Refused(NO_TLS),
    },
    Family {
        prefix: "sasl.",
        effect: Effect::Refused(NO_SASL),
    },
    Family {
        prefix: "listener.name.",
        effect: Effect::Refused(NO_LISTENER_OVERRIDES),
    },
    Family {
        prefix: "delegation.token.",
        effect: Effect::Refused(NO_SASL),
    },
    Family {
        prefix: "remote.",
        effect: Effect::WithoutEffect("there is no tiered storage"),
    },
];

const NO_TLS: &str = "there is no TLS yet; only PLAINTEXT listeners are served";
const NO_SASL: &str = "there is no SASL yet; only PLAINTEXT listeners are served";
const NO_LISTENER_OVERRIDES: &str =
    "settings of a single listener, mostly its TLS and SASL, are not there yet";

static BROKER_BY_NAME: LazyLock<Vec<&'static Setting>> = LazyLock::new(|| {
    let mut all: Vec<_> = BROKER_SECTIONS.iter().flat_map(|s| s.settings).collect();
    all.sort_by_key(|s| s.name);
    all
});

/// Every broker setting, in the order of their names.
pub fn broker_settings() -> &'static [&'static Setting] {
    &BROKER_BY_NAME
}

/// The broker setting of this name.
pub fn broker_setting(name: &str) -> Option<&'static Setting> {
    BROKER_BY_NAME
        .binary_search_by_key(&name, |s| s.name)
        .ok()
        .map(|at| BROKER_BY_NAME[at])
}

/// The topic setting of this name.
pub fn topic_setting(name: &str) -> Option<&'static Setting> {
    TOPIC_SETTINGS
        .binary_search_by_key(&name, |s| s.name)
        .ok()
        .map(|at| &TOPIC_SETTINGS[at])
}

/// The family that `name` belongs to, when it isn't listed itself.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|f| name.starts_with(f.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::Kind;

    fn all() -> impl Iterator<Item = &'static Setting> {
        broker_settings().iter().copied().chain(TOPIC_SETTINGS)
    }

    #[test]
    fn names_are_listed_once_and_topic_names_in_order() {
        assert!(broker_settings().is_sorted_by(|a, b| a.name < b.name));
        assert!(TOPIC_SETTINGS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for setting in all() {
            if let Some(default) = setting.default {
                assert_eq!(setting.check(default).as_deref(), Ok(default), "{}", setting.name);
            }
        }
    }

    #[test]
    fn topic_settings_fall_back_to_broker_settings_that_exist() {
        for setting in TOPIC_SETTINGS {
            for synonym in setting.broker_synonyms {
                assert!(
                    broker_setting(synonym.name).is_some(),
                    "{} → {}",
                    setting.name,
                    synonym.name
                );
            }
        }
    }

    #[test]
    fn passwords_are_sensitive() {
        for setting in all() {
            assert_eq!(
                matches!(setting.kind, Kind::Password),
                setting.sensitive,
                "{}",
                setting.name
            );
        }
    }

    #[test]
    fn what_is_listed_is_not_hidden_by_a_family() {
        for setting in broker_settings() {
            assert!(family(setting.name).is_none(), "{}", setting.name);
        }
    }
}
