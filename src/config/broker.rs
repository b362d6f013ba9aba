//! The broker's configuration: a file and overrides, read, checked and typed.

mod dirs;
mod groups;
mod logs;

use super::cores::Cores;
use super::listeners::{self, ListenerConfig, ListenerSettings, Listeners};
use super::quorum::QuorumSettings;
use super::setting::{Effect, Setting, UpdateMode};
use super::table::{broker_setting, broker_settings, family};
use super::{ConfigError, Warning, properties};
use crate::base::NodeId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(in crate::config) use dirs::cordoned;

/// The largest configuration file that is read, in bytes. Kafka's stock file has 7 KiB.
pub const CONFIG_FILE_BYTES_MAX: usize = 1 << 20;

/// What a start without a configuration file uses where it differs from Kafka's defaults.
const WITHOUT_FILE: &[(&str, &str)] = &[
    ("listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("group.initial.rebalance.delay.ms", "0"),
];

/// How cores wait for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Sleep in the kernel.
    Park,
    /// Spin this long, then sleep.
    Adaptive {
        /// How long to spin.
        spin: Duration,
    },
    /// Never sleep.
    Busy,
}

/// A broker's settings: checked and typed. What was set while the broker ran lies over them, see
/// [`with_dynamic`](Config::with_dynamic).
#[derive(Clone, Debug)]
pub struct Config {
    /// Set while the broker ran, for this broker; checked, as all that follow.
    set_on_broker: BTreeMap<&'static str, String>,
    /// Set while the broker ran, for all brokers.
    set_on_all: BTreeMap<&'static str, String>,
    /// Set in the file or on the command line, by name.
    set: BTreeMap<&'static str, String>,
    without_file: bool,
    node_id: NodeId,
    log_dirs: Vec<PathBuf>,
    listeners: Vec<ListenerConfig>,
    advertised: Vec<ListenerConfig>,
    inter_broker_listener: String,
    controllers: Vec<ListenerConfig>,
    advertised_controllers: Vec<ListenerConfig>,
    cores: Cores,
    profile: Profile,
}

impl Config {
    /// Reads a configuration file's text (`None`: a start without one) and then the `key=value` overrides, of which
    /// the last one of a key wins. What is odd but harmless comes back as warnings.
    pub fn parse(file: Option<&str>, overrides: &[String]) -> Result<(Config, Vec<Warning>), ConfigError> {
        let mut given: BTreeMap<String, String> = BTreeMap::new();
        if let Some(text) = file {
            let properties = properties::parse(text).map_err(ConfigError::file)?;
            given.extend(properties.into_iter().map(|p| (p.key, p.value)));
        }
        for text in overrides {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| ConfigError::override_form(text))?;
            given.insert(key.trim().to_owned(), value.to_owned());
        }
        // Empty is otherwise the same as not set; here it would put the data where nobody meant it to be.
        if given.get("log.dirs").is_some_and(|value| value.trim().is_empty()) {
            return Err(ConfigError::new("log.dirs", "", "directories"));
        }
        let mut warnings = Vec::new();
        let mut set = BTreeMap::new();
        for (key, value) in &given {
            if let Some((name, value)) = accept(key, value, &mut warnings)? {
                set.insert(name, value);
            }
        }
        let config = Config::typed(set, file.is_none())?;
        Ok((config, warnings))
    }

    fn typed(set: BTreeMap<&'static str, String>, without_file: bool) -> Result<Config, ConfigError> {
        let mut config = Config {
            set_on_broker: BTreeMap::new(),
            set_on_all: BTreeMap::new(),
            set,
            without_file,
            node_id: NodeId(0),
            log_dirs: Vec::new(),
            listeners: Vec::new(),
            advertised: Vec::new(),
            inter_broker_listener: String::new(),
            controllers: Vec::new(),
            advertised_controllers: Vec::new(),
            cores: Cores::All,
            profile: Profile::Park,
        };
        config.node_id = config.read_node_id()?;
        config.check_retention()?;
        config.check_connections()?;
        config.log_dirs = config.read_log_dirs()?;
        config.check_cordoned()?;
        config.cores = Cores::parse(config.text("ringlog.cores")).expect("the table's check has passed it");
        config.profile = match config.text("ringlog.profile") {
            "park" => Profile::Park,
            "busy" => Profile::Busy,
            _ => Profile::Adaptive {
                spin: Duration::from_micros(config.number("ringlog.adaptive.spin.us") as u64),
            },
        };
        let listeners = config.read_listeners()?;
        config.controllers = listeners.controllers;
        config.advertised_controllers = listeners.advertised_controllers;
        config.listeners = listeners.opened;
        config.advertised = listeners.advertised;
        config.inter_broker_listener = listeners.inter_broker;
        config.check_quorum()?;
        Ok(config)
    }

    fn read_node_id(&self) -> Result<NodeId, ConfigError> {
        match (self.set.get("node.id"), self.set.get("broker.id")) {
            (None, Some(old)) if old.starts_with('-') => {
                Err(ConfigError::new("broker.id", old, "a whole number of at least 0"))
            }
            (None, Some(_)) => Ok(NodeId(self.number("broker.id") as i32)),
            (Some(new), Some(old)) if new != old => Err(ConfigError::new(
                "broker.id",
                old,
                format!("the value of node.id, which is {new}"),
            )),
            _ => Ok(NodeId(self.number("node.id") as i32)),
        }
    }

    /// Kafka takes every negative retention as "for ever" and refuses 0.
    fn check_retention(&self) -> Result<(), ConfigError> {
        for key in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
            if let Some(value) = self.set.get(key)
                && self.number(key) == 0
            {
                return Err(ConfigError::new(
                    key,
                    value,
                    "-1 (for ever) or a whole number of at least 1",
                ));
            }
        }
        Ok(())
    }

    /// Kafka's rule: nobody may come in, but for those that are named.
    fn check_connections(&self) -> Result<(), ConfigError> {
        let key = "max.connections.per.ip";
        if self.number(key) == 0 && self.connections_per_address_overrides().is_empty() {
            let expected = "at least 1 without max.connections.per.ip.overrides";
            return Err(ConfigError::new(key, self.text(key), expected));
        }
        Ok(())
    }

    fn check_quorum(&self) -> Result<(), ConfigError> {
        QuorumSettings {
            node: self.node_id,
            voters: self.text("controller.quorum.voters"),
            bootstrap: self.text("controller.quorum.bootstrap.servers"),
            controllers: &self.controllers,
            advertised: &self.advertised_controllers,
        }
        .check()
    }

    fn read_listeners(&self) -> Result<Listeners, ConfigError> {
        let map = broker_setting("listener.security.protocol.map").expect("the table has it");
        ListenerSettings {
            listeners: self.text("listeners"),
            advertised: self.value("advertised.listeners").filter(|v| !v.is_empty()),
            protocol_map: self.set.get(map.name).map(String::as_str),
            protocol_map_default: map.default.unwrap_or_default(),
            controller_names: self.text("controller.listener.names"),
            inter_broker: self.value("inter.broker.listener.name").filter(|v| !v.is_empty()),
        }
        .resolve()
    }
}

/// Checks one given key; `None` for a key that is left out, with its warning.
fn accept(
    key: &str,
    value: &str,
    warnings: &mut Vec<Warning>,
) -> Result<Option<(&'static str, String)>, ConfigError> {
    let Some(setting) = broker_setting(key) else {
        return match family(key).map(|f| f.effect) {
            Some(Effect::Refused(why)) => Err(ConfigError::refused(key, value, why)),
            Some(Effect::WithoutEffect(why)) => {
                warnings.push(Warning::WithoutEffect {
                    key: key.to_owned(),
                    why,
                });
                Ok(None)
            }
            _ => {
                warnings.push(Warning::Unknown {
                    key: key.to_owned(),
                    nearest: nearest(key),
                });
                Ok(None)
            }
        };
    };
    // Nothing after the `=` leaves a setting alone where Kafka's default is "none".
    if value.trim().is_empty() && setting.default.is_none_or(str::is_empty) {
        return Ok(None);
    }
    let checked = setting
        .check(value)
        .map_err(|_| ConfigError::new(key, value.trim(), setting.expected()))?;
    match setting.effect {
        Effect::Refused(why) | Effect::Only(_, why) if !setting.serves(&checked) => {
            return Err(ConfigError::refused(key, value, why));
        }
        Effect::WithoutEffect(why) => warnings.push(Warning::WithoutEffect {
            key: key.to_owned(),
            why,
        }),
        Effect::Acted | Effect::Only(..) | Effect::Refused(_) => {}
    }
    Ok(Some((setting.name, checked)))
}

/// The known key that looks most like `key`, when any looks like it at all.
fn nearest(key: &str) -> Option<&'static str> {
    let distance = |s: &&'static Setting| strsim::damerau_levenshtein(key, s.name);
    let setting = broker_settings().iter().copied().min_by_key(distance)?;
    (distance(&setting) * 3 <= key.len().max(3)).then_some(setting.name)
}

/// How a setting came to its value, by what goes before what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Set while the broker ran, for this broker.
    SetOnBroker,
    /// Set while the broker ran, for all brokers.
    SetOnAll,
    /// From the file or an override.
    Set,
    /// The table's default.
    Default,
}

impl Config {
    /// The same with what the metadata log sets on all brokers and on this one over it, in place of what it set before.
    /// A value there that isn't known, may not change or no longer passes its check counts as not set.
    pub fn with_dynamic(
        &self,
        on_all: &BTreeMap<String, String>,
        on_broker: &BTreeMap<String, String>,
    ) -> Config {
        let layer = |values: &BTreeMap<String, String>, least: UpdateMode| {
            let usable = |(name, value): (&String, &String)| {
                let setting = broker_setting(name)?;
                let may_change = setting.update == UpdateMode::ClusterWide || setting.update == least;
                let value = setting.check(value).ok().filter(|value| setting.serves(value))?;
                may_change.then_some((setting.name, value))
            };
            values.iter().filter_map(usable).collect()
        };
        Config {
            set_on_all: layer(on_all, UpdateMode::ClusterWide),
            set_on_broker: layer(on_broker, UpdateMode::PerBroker),
            ..self.clone()
        }
    }

    /// The values of a broker setting with where they come from, the one that counts first.
    ///
    /// # Panics
    /// When the table has no such setting.
    pub fn values(&self, name: &str) -> impl Iterator<Item = (&str, Origin)> {
        let setting = broker_setting(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let without_file = || {
            WITHOUT_FILE
                .iter()
                .find(|(key, _)| self.without_file && *key == setting.name)
        };
        let default = without_file().map(|&(_, value)| value).or(setting.default);
        let layers = [
            (
                self.set_on_broker.get(setting.name).map(String::as_str),
                Origin::SetOnBroker,
            ),
            (
                self.set_on_all.get(setting.name).map(String::as_str),
                Origin::SetOnAll,
            ),
            (self.set.get(setting.name).map(String::as_str), Origin::Set),
            (default, Origin::Default),
        ];
        layers
            .into_iter()
            .filter_map(|(value, origin)| Some((value?, origin)))
    }

    /// The value of a broker setting that counts and where it comes from; `None` when it has none (Kafka's null).
    pub fn value_and_origin(&self, name: &str) -> (Option<&str>, Origin) {
        match self.values(name).next() {
            Some((value, origin)) => (Some(value), origin),
            None => (None, Origin::Default),
        }
    }

    /// The settings that all brokers were given while they ran, by name.
    pub fn set_on_all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.set_on_all
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.value_and_origin(name).0
    }

    fn text(&self, name: &str) -> &str {
        self.value(name).unwrap_or_default()
    }

    /// A number that the table has checked.
    fn number(&self, name: &str) -> i64 {
        self.text(name)
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number by its check"))
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn bytes(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or_else(|_| panic!("{name} is not negative by its check"))
    }
}

/// The settings by name. These read text: what is needed for each request is to be kept by who needs it.
impl Config {
    /// `node.id`.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// `listeners` without those of the controller; never empty.
    pub fn listeners(&self) -> &[ListenerConfig] {
        &self.listeners
    }

    /// What clients are told, by listener name; never empty. `host_name` stands in where a listener has no host.
    pub fn advertised_listeners(&self, host_name: &str) -> Vec<ListenerConfig> {
        with_hosts(&self.advertised, host_name)
    }

    /// Those of `listeners` that `controller.listener.names` names.
    pub fn controller_listeners(&self) -> &[ListenerConfig] {
        &self.controllers
    }

    /// What is told of them, as [`advertised_listeners`](Self::advertised_listeners) of the others.
    pub fn advertised_controllers(&self, host_name: &str) -> Vec<ListenerConfig> {
        with_hosts(&self.advertised_controllers, host_name)
    }

    /// The advertised listener that brokers use among themselves.
    pub fn inter_broker_listener(&self) -> &str {
        &self.inter_broker_listener
    }

    /// `broker.rack`.
    pub fn rack(&self) -> Option<&str> {
        self.value("broker.rack")
    }

    /// `ringlog.cores`.
    pub fn ringlog_cores(&self) -> &Cores {
        &self.cores
    }

    /// `ringlog.profile` with `ringlog.adaptive.spin.us`.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// `ringlog.pin`.
    pub fn pin(&self) -> bool {
        self.flag("ringlog.pin")
    }

    /// `ringlog.stall.limit.ms`.
    pub fn stall_limit(&self) -> Duration {
        Duration::from_millis(self.number("ringlog.stall.limit.ms") as u64)
    }

    /// `ringlog.tail.cache.bytes`, of each core.
    pub fn tail_cache_bytes(&self) -> usize {
        self.bytes("ringlog.tail.cache.bytes")
    }

    /// `num.partitions`; at least 1.
    pub fn num_partitions(&self) -> i32 {
        self.number("num.partitions") as i32
    }

    /// `default.replication.factor`.
    pub fn default_replication_factor(&self) -> i16 {
        self.number("default.replication.factor")
            .clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }

    /// `auto.create.topics.enable`.
    pub fn auto_create_topics(&self) -> bool {
        self.flag("auto.create.topics.enable")
    }

    /// `delete.topic.enable`.
    pub fn delete_topics(&self) -> bool {
        self.flag("delete.topic.enable")
    }

    /// `socket.request.max.bytes`; at least 1.
    pub fn request_bytes_max(&self) -> usize {
        self.bytes("socket.request.max.bytes")
    }

    /// `fetch.max.bytes`; at least 1024.
    pub fn fetch_bytes_max(&self) -> usize {
        self.bytes("fetch.max.bytes")
    }

    /// `max.incremental.fetch.session.cache.slots`, of the whole node.
    pub fn fetch_sessions_max(&self) -> usize {
        self.bytes("max.incremental.fetch.session.cache.slots")
    }

    /// `max.request.partition.size.limit`; at least 1.
    pub fn partitions_per_page_max(&self) -> i32 {
        self.number("max.request.partition.size.limit") as i32
    }

    /// `connections.max.idle.ms`; `None` when it is negative: never.
    pub fn connections_idle_max(&self) -> Option<Duration> {
        u64::try_from(self.number("connections.max.idle.ms"))
            .ok()
            .map(Duration::from_millis)
    }

    /// `max.connections`.
    pub fn connections_max(&self) -> usize {
        self.bytes("max.connections")
    }

    /// `max.connections.per.ip`.
    pub fn connections_per_address_max(&self) -> usize {
        self.bytes("max.connections.per.ip")
    }

    /// `max.connections.per.ip.overrides`: hosts and their numbers.
    pub fn connections_per_address_overrides(&self) -> Vec<(&str, usize)> {
        listeners::address_counts(self.text("max.connections.per.ip.overrides"))
            .expect("the table's check has passed it")
    }

    /// `producer.id.expiration.ms`.
    pub fn producer_id_expiration(&self) -> Duration {
        Duration::from_millis(self.number("producer.id.expiration.ms") as u64)
    }

    /// `transaction.max.timeout.ms`; at least 1.
    pub fn transaction_timeout_max_ms(&self) -> i32 {
        self.number("transaction.max.timeout.ms") as i32
    }

    /// `metadata.log.segment.bytes`.
    pub fn metadata_segment_bytes(&self) -> u64 {
        self.number("metadata.log.segment.bytes") as u64
    }

    /// `metadata.log.segment.ms`.
    pub fn metadata_segment_ms(&self) -> i64 {
        self.number("metadata.log.segment.ms")
    }

    /// `metadata.log.max.record.bytes.between.snapshots`; at least 1.
    pub fn metadata_bytes_between_snapshots(&self) -> u64 {
        self.number("metadata.log.max.record.bytes.between.snapshots") as u64
    }

    /// `metadata.log.max.snapshot.interval.ms`; `None` when it is 0: never by time.
    pub fn metadata_snapshot_interval(&self) -> Option<Duration> {
        let ms = self.number("metadata.log.max.snapshot.interval.ms") as u64;
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// `metadata.max.retention.bytes`; negative: no limit.
    pub fn metadata_retention_bytes(&self) -> i64 {
        self.number("metadata.max.retention.bytes")
    }

    /// `metadata.max.retention.ms`; negative: no limit.
    pub fn metadata_retention_ms(&self) -> i64 {
        self.number("metadata.max.retention.ms")
    }
}

fn with_hosts(listeners: &[ListenerConfig], host_name: &str) -> Vec<ListenerConfig> {
    let named = |l: &ListenerConfig| match l.host.is_empty() {
        true => ListenerConfig {
            host: host_name.to_owned(),
            ..l.clone()
        },
        false => l.clone(),
    };
    listeners.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(file: &str) -> Result<(Config, Vec<String>), String> {
        let (config, warnings) = Config::parse(Some(file), &[]).map_err(|e| e.to_string())?;
        Ok((config, warnings.iter().map(Warning::to_string).collect()))
    }

    #[test]
    fn a_start_without_a_file_listens_on_the_loopback_only() {
        let (config, warnings) = Config::parse(None, &[]).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(config.listeners()[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(config.group_initial_rebalance_delay_ms(), 0);
        assert_eq!(parse("").unwrap().0.group_initial_rebalance_delay_ms(), 3000);
        assert_eq!(config.log_dirs(), [PathBuf::from("./data")]);
        assert_eq!(config.node_id(), NodeId(1));
    }

    #[test]
    fn overrides_go_before_the_file_and_the_last_one_wins() {
        let overrides = ["num.partitions = 4".to_owned(), "num.partitions=5".to_owned()];
        let (config, _) = Config::parse(Some("num.partitions=3\nnode.id=7\nnode.id=8"), &overrides).unwrap();
        assert_eq!(config.num_partitions(), 5);
        assert_eq!(config.node_id(), NodeId(8));
        let told = Config::parse(None, &["num.partitions".to_owned()])
            .unwrap_err()
            .to_string();
        assert_eq!(told, "-o num.partitions: expected key=value");
    }

    #[test]
    fn bad_values_name_key_value_and_what_was_expected() {
        let table = [
            (
                "num.partitions=0",
                "num.partitions = 0: expected a whole number from 1 to 2147483647",
            ),
            (
                "num.partitions=",
                "num.partitions = : expected a whole number from 1 to 2147483647",
            ),
            (
                "log.segment.bytes=12",
                "log.segment.bytes = 12: expected a whole number from 1048576 to 2147483647",
            ),
            (
                "delete.topic.enable=yes",
                "delete.topic.enable = yes: expected true or false",
            ),
            (
                "ringlog.profile=fast",
                "ringlog.profile = fast: expected one of park, adaptive, busy",
            ),
            (
                "ringlog.cores=none",
                "ringlog.cores = none: expected `all`, a count such as 4, or a list",
            ),
            (
                "log.retention.ms=0",
                "log.retention.ms = 0: expected -1 (for ever) or a whole number of at least 1",
            ),
            ("log.dirs=/a,,/b", "log.dirs = /a,,/b: expected directories"),
            (
                "node.id=1\nbroker.id=2",
                "broker.id = 2: expected the value of node.id, which is 1",
            ),
            ("a=b\nx=\\u12", "the configuration file, line 2: "),
        ];
        for (file, expected) in table {
            let told = parse(file).unwrap_err();
            assert!(told.starts_with(expected), "{file}: {told}");
        }
    }

    #[test]
    fn settings_that_promise_what_is_not_there_refuse_to_start() {
        let table = [
            "ssl.keystore.location=/x",
            "sasl.enabled.mechanisms=PLAIN",
            "listener.name.external.ssl.keystore.location=/x",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "security.inter.broker.protocol=SSL",
            "delegation.token.secret.key=x",
            "default.replication.factor=3",
            "ringlog.routing=core",
            "process.roles=broker",
            "create.topic.policy.class.name=x",
            "connections.max.reauth.ms=5",
            "min.insync.replicas=2",
        ];
        for file in table {
            let told = parse(file).unwrap_err();
            let key = file.split('=').next().unwrap();
            assert!(
                told.starts_with(key) && told.contains("can't be served"),
                "{told}"
            );
        }
        assert!(
            parse("authorizer.class.name=\nringlog.ack=written\nprocess.roles=controller , broker").is_ok()
        );
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let told = parse("ssl.keystore.password=hunter2").unwrap_err();
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn unknown_settings_are_warned_about_with_the_nearest_known_one() {
        let (_, warnings) = parse("log.retension.ms=5\nxyzzy=1").unwrap();
        assert_eq!(
            warnings,
            [
                "log.retension.ms: no such setting; did you mean log.retention.ms?",
                "xyzzy: no such setting"
            ]
        );
    }

    /// The settings that Kafka 4.3's own `server.properties` sets.
    const STOCK: &str = include_str!("../../tests/fixtures/kafka-server.properties");

    #[test]
    fn kafkas_own_file_starts_and_each_setting_without_effect_is_told_once() {
        let (config, warnings) = parse(STOCK).unwrap();
        assert_eq!(
            config.advertised_listeners("h")[0].to_string(),
            "PLAINTEXT://localhost:9092"
        );
        assert_eq!(config.listeners().len(), 1);
        assert!(
            warnings
                .iter()
                .any(|w| w.starts_with("num.io.threads has no effect: ")),
            "{warnings:#?}"
        );
        assert_eq!(
            config.advertised_controllers("h")[0].to_string(),
            "CONTROLLER://localhost:9093"
        );
        assert!(
            warnings.iter().all(|w| !w.contains("no such setting")),
            "{warnings:#?}"
        );
        let distinct: std::collections::BTreeSet<_> = warnings.iter().collect();
        assert_eq!(distinct.len(), warnings.len());
    }

    #[test]
    fn every_accessor_reads_its_default() {
        let (config, _) = Config::parse(None, &[]).unwrap();
        assert_eq!(config.profile(), Profile::Park);
        assert_eq!(config.ringlog_cores(), &Cores::All);
        assert!(config.pin() && config.auto_create_topics() && config.delete_topics());
        assert_eq!(config.stall_limit(), Duration::from_millis(10));
        assert_eq!(config.tail_cache_bytes(), 32 << 20);
        assert_eq!(
            (config.num_partitions(), config.default_replication_factor()),
            (1, 1)
        );
        assert_eq!(config.request_bytes_max(), 100 << 20);
        assert_eq!(config.fetch_bytes_max(), 55 << 20);
        assert_eq!(config.partitions_per_page_max(), 2000);
        assert_eq!(config.connections_idle_max(), Some(Duration::from_secs(600)));
        assert_eq!(config.producer_id_expiration(), Duration::from_secs(86_400));
        assert_eq!(config.transaction_timeout_max_ms(), 900_000);
        assert_eq!(config.retention_check_interval(), Duration::from_secs(300));
        assert_eq!(config.cleaner_backoff(), Duration::from_secs(15));
        assert_eq!(config.cleaner_dedupe_bytes(), 128 << 20);
        assert_eq!(
            (config.cleaner_load_factor(), config.cleaner_bytes_per_second()),
            (0.9, f64::MAX)
        );
        assert_eq!(config.metadata_segment_bytes(), 1 << 30);
        assert_eq!(config.rack(), None);
        assert_eq!(config.inter_broker_listener(), "PLAINTEXT");
        let (config, _) = Config::parse(None, &["connections.max.idle.ms=-1".to_owned()]).unwrap();
        assert_eq!(config.connections_idle_max(), None);
        let spin = [
            "ringlog.profile=adaptive".to_owned(),
            "ringlog.adaptive.spin.us=7".to_owned(),
        ];
        let (config, _) = Config::parse(None, &spin).unwrap();
        assert_eq!(
            config.profile(),
            Profile::Adaptive {
                spin: Duration::from_micros(7)
            }
        );
    }

    proptest! {
        #[test]
        fn no_value_of_any_setting_panics(at in 0usize..1000, value in "[ -~]{0,20}|-?[0-9]{1,20}|[a-z:/,.\\[\\]0-9]{0,30}") {
            let settings = broker_settings();
            let setting = settings[at % settings.len()];
            if let Ok((config, _)) = Config::parse(None, &[format!("{}={value}", setting.name)]) {
                let _ = config.advertised_listeners("h");
                let _ = crate::config::TopicConfig::new(&config, &BTreeMap::new());
            }
        }
    }
}
