//! What may be set on a broker, or on all, while it runs (Kafka's `DynamicBrokerConfig.validateConfigs`).

use super::broker::{Config, cordoned};
use super::listeners;
use super::setting::{Effect, UpdateMode};
use super::table::{broker_setting, family};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Broker settings that can't be set while the broker runs, for INVALID_REQUEST. The text is Kafka's, where Kafka has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfigError {
    message: String,
}

impl fmt::Display for BrokerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BrokerConfigError {}

/// Checks values that are to be set on one broker, or on all of them at once (`on_all`); the values as they are kept.
/// Kafka takes names that it doesn't know, for its plug-ins: they are kept as they are, and nothing here reads them.
pub fn validate_broker_configs(
    given: &BTreeMap<String, String>,
    on_all: bool,
) -> Result<BTreeMap<String, String>, BrokerConfigError> {
    let of_mode = |mode: UpdateMode| {
        let is_of_mode = |name: &&String| broker_setting(name).is_some_and(|setting| setting.update == mode);
        let names: Vec<&str> = given.keys().filter(is_of_mode).map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let refuse = |message| Err(BrokerConfigError { message });
    if let Some(names) = of_mode(UpdateMode::ReadOnly) {
        return refuse(format!("Cannot update these configs dynamically: [{names}]"));
    }
    if on_all && let Some(names) = of_mode(UpdateMode::PerBroker) {
        return refuse(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: [{names}]"
        ));
    }
    given
        .iter()
        .map(|(name, value)| check(name, value).map(|value| (name.clone(), value)))
        .collect()
}

/// Checks what a broker's settings come to, once `after` stands in the place of `before`, over the others of `config`.
pub fn validate_broker_configs_together(
    config: &Config,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Result<(), BrokerConfigError> {
    check_cordoned(config, before, after)?;
    const PER_ADDRESS: &str = "max.connections.per.ip";
    const OVERRIDES: &str = "max.connections.per.ip.overrides";
    let is_none_let_in = match after.get(PER_ADDRESS) {
        Some(value) => value.parse() == Ok(0),
        None => config.connections_per_address_max() == 0 && !before.contains_key(PER_ADDRESS),
    };
    let is_one_named = match after.get(OVERRIDES) {
        Some(value) => listeners::address_counts(value).is_some_and(|counts| !counts.is_empty()),
        None => !config.connections_per_address_overrides().is_empty() && !before.contains_key(OVERRIDES),
    };
    if is_none_let_in && !is_one_named {
        let message = format!(
            "requirement failed: {PER_ADDRESS} can be set to zero only if {OVERRIDES} property is set."
        );
        return Err(BrokerConfigError { message });
    }
    Ok(())
}

/// What is cordoned now is a directory of this broker. What was before need not be any more.
fn check_cordoned(
    config: &Config,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Result<(), BrokerConfigError> {
    const CORDONED: &str = "cordoned.log.dirs";
    match after.get(CORDONED) {
        Some(value) if before.get(CORDONED) != Some(value) => cordoned(value, config.log_dirs())
            .map(drop)
            .map_err(|message| BrokerConfigError { message }),
        _ => Ok(()),
    }
}

fn check(name: &str, value: &str) -> Result<String, BrokerConfigError> {
    let refuse = |message| Err(BrokerConfigError { message });
    let Some(setting) = broker_setting(name) else {
        return match family(name).map(|family| family.effect) {
            Some(Effect::Refused(why)) => refuse(format!("{name} can't be served: {why}")),
            _ => Ok(value.to_owned()),
        };
    };
    let checked = match setting.check(value) {
        Ok(checked) => checked,
        Err(wrong) => return refuse(wrong.kafka_message(name, value)),
    };
    match setting.effect {
        Effect::Only(_, why) | Effect::Refused(why) if !setting.serves(&checked) => {
            refuse(format!("{name} can't be served: {why}"))
        }
        // A core that serves doesn't wait for a name server.
        _ if name == "max.connections.per.ip.overrides" && !are_ip_address_counts(&checked) => refuse(
            format!("{name}={value}: expected IP addresses; names are looked up at the start only"),
        ),
        // Nobody could come in to take it back (`ListenerConnectionQuota.validateReconfiguration`).
        _ if name == "max.connections" && checked.parse() == Ok(0) => refuse(
            "Invalid value org.apache.kafka.common.config.ConfigException: Invalid max.connections 0 for configuration Invalid \
             dynamic configuration"
                .to_owned(),
        ),
        // Beyond its range: 0 would be neither a time nor "for ever".
        _ if name == "log.retention.ms" && checked.parse() == Ok(0) => refuse(
            "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1"
                .to_owned(),
        ),
        _ => Ok(checked),
    }
}

fn are_ip_address_counts(text: &str) -> bool {
    let counts = listeners::address_counts(text).unwrap_or_default();
    counts.iter().all(|(host, _)| host.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    type Case = (
        bool,
        &'static [(&'static str, &'static str)],
        Result<(), &'static str>,
    );

    fn judged(on_all: bool, given: &[(&str, &str)]) -> Result<(), String> {
        let given = owned(given);
        validate_broker_configs(&given, on_all)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn owned(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        given
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn what_may_be_set_while_the_broker_runs_is_said_in_kafkas_words() {
        let table: &[Case] = &[
            (true, &[("message.max.bytes", "5")], Ok(())),
            (false, &[("message.max.bytes", " 5 ")], Ok(())),
            (true, &[("unheard.of", "5")], Ok(())),
            (false, &[("ringlog.ack", "durable")], Ok(())),
            (false, &[("cordoned.log.dirs", "")], Ok(())),
            (
                true,
                &[("max.connections.per.ip.overrides", "10.0.0.1:5,[::1]:3")],
                Ok(()),
            ),
            (
                true,
                &[("max.connections.per.ip.overrides", "somewhere:5")],
                Err(
                    "max.connections.per.ip.overrides=somewhere:5: expected IP addresses; names are looked up at \
                     the start only",
                ),
            ),
            (
                false,
                &[("num.partitions", "3"), ("node.id", "3")],
                Err("Cannot update these configs dynamically: [node.id, num.partitions]"),
            ),
            (
                true,
                &[("cordoned.log.dirs", "")],
                Err(
                    "Cannot update these configs at default cluster level, broker id must be specified: \
                     [cordoned.log.dirs]",
                ),
            ),
            (
                false,
                &[("message.max.bytes", "abc")],
                Err("Invalid value abc for configuration message.max.bytes: Not a number of type INT"),
            ),
            (
                false,
                &[("message.max.bytes", "-4")],
                Err("Invalid value -4 for configuration message.max.bytes: Value must be at least 0"),
            ),
            (
                true,
                &[("log.retention.ms", "0")],
                Err(
                    "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
                ),
            ),
            (
                false,
                &[("listener.name.x.ssl.keystore.location", "/x")],
                Err(
                    "listener.name.x.ssl.keystore.location can't be served: settings of a single listener, mostly \
                     its TLS and SASL, are not there yet",
                ),
            ),
        ];
        for (on_all, given, expected) in table {
            let judged = judged(*on_all, given);
            assert_eq!(judged, expected.map_err(str::to_owned), "{given:?}");
        }
        assert!(judged(true, &[("min.insync.replicas", "2")]).is_err());
    }

    #[test]
    fn this_brokers_value_goes_before_all_brokers_before_the_file() {
        let (file, _) = Config::parse(Some("message.max.bytes=1\nlog.retention.hours=2"), &[]).unwrap();
        let bytes = |on_all: &[(&str, &str)], on_broker: &[(&str, &str)]| {
            let config = file.with_dynamic(&owned(on_all), &owned(on_broker));
            config.value_and_origin("message.max.bytes").0.map(str::to_owned)
        };
        let of = |value: &str| Some(value.to_owned());
        let (two, three) = (("message.max.bytes", "2"), ("message.max.bytes", "3"));
        assert_eq!(bytes(&[], &[]), of("1"));
        assert_eq!(bytes(&[two], &[]), of("2"));
        assert_eq!(bytes(&[two], &[three]), of("3"));
        assert_eq!(bytes(&[], &[three]), of("3"));
    }

    #[test]
    fn what_the_log_holds_and_cannot_be_used_counts_as_not_set() {
        let (file, _) = Config::parse(Some("message.max.bytes=1"), &[]).unwrap();
        let odd = [
            ("message.max.bytes", "x"),
            ("num.partitions", "9"),
            ("unheard.of", "1"),
            ("min.insync.replicas", "2"),
        ];
        let config = file.with_dynamic(&owned(&odd), &owned(&odd));
        assert_eq!(config.value_and_origin("message.max.bytes").0, Some("1"));
        assert_eq!(config.num_partitions(), 1);
        assert_eq!(config.value_and_origin("min.insync.replicas").0, Some("1"));
        assert_eq!(config.set_on_all().count(), 0);
        let own = owned(&[("cordoned.log.dirs", "/x")]);
        assert_eq!(
            file.with_dynamic(&own, &own)
                .value_and_origin("cordoned.log.dirs")
                .1,
            crate::config::Origin::SetOnBroker
        );
    }
}
