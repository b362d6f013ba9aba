//! The broker's configuration: a file and overrides, read, checked and typed.

use super::cores::Cores;
use super::listeners::{ListenerConfig, ListenerSettings, Listeners};
use super::setting::{Effect, Kind, Setting, split_list};
use super::table::{broker_setting, broker_settings, family};
use super::{ConfigError, Warning, properties};
use crate::base::NodeId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// A broker's settings: checked, typed, never changing.
#[derive(Clone, Debug)]
pub struct Config {
    /// What was set, by name; values trimmed and checked.
    set: BTreeMap<&'static str, String>,
    without_file: bool,
    node_id: NodeId,
    log_dir: PathBuf,
    listeners: Vec<ListenerConfig>,
    advertised: Vec<ListenerConfig>,
    inter_broker_listener: String,
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
        let mut warnings = Vec::new();
        let mut set = BTreeMap::new();
        for (key, value) in &given {
            if let Some((name, value)) = accept(key, value, &mut warnings)? {
                set.insert(name, value);
            }
        }
        let config = Config::typed(set, file.is_none(), &mut warnings)?;
        Ok((config, warnings))
    }

    fn typed(
        set: BTreeMap<&'static str, String>,
        without_file: bool,
        warnings: &mut Vec<Warning>,
    ) -> Result<Config, ConfigError> {
        let mut config = Config {
            set,
            without_file,
            node_id: NodeId(0),
            log_dir: PathBuf::new(),
            listeners: Vec::new(),
            advertised: Vec::new(),
            inter_broker_listener: String::new(),
            cores: Cores::All,
            profile: Profile::Park,
        };
        config.node_id = config.read_node_id()?;
        config.log_dir = config.read_log_dir()?;
        config.cores = Cores::parse(config.text("ringlog.cores")).expect("the table's check has passed it");
        config.profile = match config.text("ringlog.profile") {
            "park" => Profile::Park,
            "busy" => Profile::Busy,
            _ => Profile::Adaptive {
                spin: Duration::from_micros(config.number("ringlog.adaptive.spin.us") as u64),
            },
        };
        let listeners = config.read_listeners()?;
        warnings.extend(listeners.controller.into_iter().map(Warning::controller_listener));
        config.listeners = listeners.opened;
        config.advertised = listeners.advertised;
        config.inter_broker_listener = listeners.inter_broker;
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

    fn read_log_dir(&self) -> Result<PathBuf, ConfigError> {
        let key = if self.set.contains_key("log.dirs") {
            "log.dirs"
        } else {
            "log.dir"
        };
        let value = self.text(key);
        match split_list(value).as_slice() {
            [one] if !one.is_empty() => Ok(PathBuf::from(one)),
            _ => Err(ConfigError::new(
                key,
                value,
                "one directory (several are not there yet)",
            )),
        }
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
        Effect::Refused(why) => return Err(ConfigError::refused(key, value, why)),
        Effect::Only(served, why) if !served.contains(&without_blanks(setting, &checked).as_str()) => {
            return Err(ConfigError::refused(key, value, why));
        }
        Effect::WithoutEffect(why) => warnings.push(Warning::WithoutEffect {
            key: key.to_owned(),
            why,
        }),
        Effect::Acted | Effect::Only(..) => {}
    }
    Ok(Some((setting.name, checked)))
}

fn without_blanks(setting: &Setting, value: &str) -> String {
    match setting.kind {
        Kind::List | Kind::ListOf(_) => split_list(value).join(","),
        _ => value.to_owned(),
    }
}

/// The known key that looks most like `key`, when any looks like it at all.
fn nearest(key: &str) -> Option<&'static str> {
    let distance = |s: &&'static Setting| strsim::damerau_levenshtein(key, s.name);
    let setting = broker_settings().iter().copied().min_by_key(distance)?;
    (distance(&setting) * 3 <= key.len().max(3)).then_some(setting.name)
}

/// How a setting came to its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the file or an override.
    Set,
    /// The table's default.
    Default,
}

impl Config {
    /// The value of a broker setting and where it comes from; `None` when it has none (Kafka's null).
    ///
    /// # Panics
    /// When the table has no such setting.
    pub fn value_and_origin(&self, name: &str) -> (Option<&str>, Origin) {
        let setting = broker_setting(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        if let Some(value) = self.set.get(name) {
            return (Some(value), Origin::Set);
        }
        let own = WITHOUT_FILE
            .iter()
            .find(|(key, _)| self.without_file && *key == name);
        (own.map(|&(_, value)| value).or(setting.default), Origin::Default)
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

    /// `log.dirs`, else `log.dir`.
    pub fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// `listeners` without those of the controller; never empty.
    pub fn listeners(&self) -> &[ListenerConfig] {
        &self.listeners
    }

    /// What clients are told, by listener name; never empty. `host_name` stands in where a listener has no host.
    pub fn advertised_listeners(&self, host_name: &str) -> Vec<ListenerConfig> {
        let named = |l: &ListenerConfig| match l.host.is_empty() {
            true => ListenerConfig {
                host: host_name.to_owned(),
                ..l.clone()
            },
            false => l.clone(),
        };
        self.advertised.iter().map(named).collect()
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

    /// `connections.max.idle.ms`; `None` when it is negative: never.
    pub fn connections_idle_max(&self) -> Option<Duration> {
        u64::try_from(self.number("connections.max.idle.ms"))
            .ok()
            .map(Duration::from_millis)
    }

    /// `producer.id.expiration.ms`.
    pub fn producer_id_expiration(&self) -> Duration {
        Duration::from_millis(self.number("producer.id.expiration.ms") as u64)
    }

    /// `transaction.max.timeout.ms`; at least 1.
    pub fn transaction_timeout_max_ms(&self) -> i32 {
        self.number("transaction.max.timeout.ms") as i32
    }

    /// `group.initial.rebalance.delay.ms`.
    pub fn group_initial_rebalance_delay_ms(&self) -> i32 {
        self.number("group.initial.rebalance.delay.ms") as i32
    }

    /// `log.retention.check.interval.ms`.
    pub fn retention_check_interval(&self) -> Duration {
        Duration::from_millis(self.number("log.retention.check.interval.ms") as u64)
    }

    /// `metadata.log.segment.bytes`.
    pub fn metadata_segment_bytes(&self) -> u64 {
        self.number("metadata.log.segment.bytes") as u64
    }
}
