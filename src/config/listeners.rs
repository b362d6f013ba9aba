//! `listeners`, `advertised.listeners` and the settings that give their names a protocol.
//!
//! The rules are those of Kafka's `KafkaConfig` and `SocketServerConfigs.listenerListToEndPoints`; beyond them
//! `[::]` is refused as advertised just as `0.0.0.0` is.

use super::ConfigError;
use super::setting::split_list;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a message says what `listener.security.protocol.map` takes.
pub(super) const PROTOCOL_MAP_EXPECTED: &str =
    "NAME:PROTOCOL,… with each name once, and PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL as the protocol";

/// How a message says what `max.connections.per.ip.overrides` takes.
pub(super) const ADDRESS_COUNTS_EXPECTED: &str = "address:count,… with a count of at least 0";

/// Whether `text` is what `max.connections.per.ip.overrides` takes.
pub(super) fn are_address_counts(text: &str) -> bool {
    address_counts(text).is_some()
}

/// The addresses and counts of `max.connections.per.ip.overrides`. The last colon parts them: IPv6 addresses have more.
pub(super) fn address_counts(text: &str) -> Option<Vec<(&str, usize)>> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let parsed = entries.map(|entry| {
        let (address, count) = entry.rsplit_once(':')?;
        let address = address.trim().trim_start_matches('[').trim_end_matches(']');
        let count: i32 = count.trim().parse().ok()?;
        (!address.is_empty()).then_some((address, usize::try_from(count).ok()?))
    });
    parsed.collect()
}

const LISTENER_EXPECTED: &str = "a comma-separated list of NAME://host:port (IPv6 addresses in brackets)";

/// The most listeners a node may have: each core opens every one of them.
pub const LISTENERS_MAX: usize = 32;

/// One address to listen on, or to tell clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The listener's name, in capitals. Clients that came in by it are told the advertised address of its name.
    pub name: String,
    /// Its security protocol.
    pub protocol: Protocol,
    /// Host name or address, without brackets. Empty: every interface; of an advertised listener: this host's name.
    pub host: String,
    /// The port; 0 lets the kernel choose (never in an advertised listener that was set).
    pub port: u16,
}

/// The security protocol of a listener. Others are refused at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
}

impl fmt::Display for ListenerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

/// What the settings say, unchecked.
pub(super) struct ListenerSettings<'a> {
    pub listeners: &'a str,
    pub advertised: Option<&'a str>,
    /// `None` when the user didn't set it: then controller listeners are PLAINTEXT by themselves.
    pub protocol_map: Option<&'a str>,
    pub protocol_map_default: &'a str,
    pub controller_names: &'a str,
    pub inter_broker: Option<&'a str>,
}

/// What they come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listeners {
    pub opened: Vec<ListenerConfig>,
    pub advertised: Vec<ListenerConfig>,
    pub inter_broker: String,
    /// Listeners of the controller.
    pub controllers: Vec<ListenerConfig>,
    /// What is told of those, one for each.
    pub advertised_controllers: Vec<ListenerConfig>,
}

struct Named<'a> {
    name: String,
    host: &'a str,
    port: u16,
}

impl ListenerSettings<'_> {
    pub fn resolve(&self) -> Result<Listeners, ConfigError> {
        let protocols = self.protocols();
        let controller_names: Vec<String> = split_list(self.controller_names)
            .iter()
            .map(|n| n.to_uppercase())
            .collect();
        let is_controllers = |listener: &ListenerConfig| controller_names.contains(&listener.name);
        let all = endpoints("listeners", self.listeners)?.into_iter();
        let all = all.map(|named| with_protocol("listeners", self.listeners, named, &protocols));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        let (controllers, opened): (Vec<_>, Vec<_>) = all.into_iter().partition(is_controllers);
        if opened.is_empty() {
            return Err(ConfigError::new(
                "listeners",
                self.listeners,
                "at least one listener for clients",
            ));
        }
        let told = self.advertised(&opened, &controllers, &protocols)?;
        let (told_controllers, advertised): (Vec<_>, Vec<_>) = told.into_iter().partition(is_controllers);
        if advertised.is_empty() {
            let (key, text) = ("advertised.listeners", self.advertised.unwrap_or_default());
            return Err(ConfigError::new(key, text, "at least one listener for clients"));
        }
        let inter_broker = self.inter_broker(&advertised)?;
        Ok(Listeners {
            advertised_controllers: advertised_controllers(&controllers, told_controllers),
            opened,
            advertised,
            inter_broker,
            controllers,
        })
    }

    fn protocols(&self) -> BTreeMap<String, String> {
        let mut map =
            read_protocol_map(self.protocol_map.unwrap_or(self.protocol_map_default)).unwrap_or_default();
        if self.protocol_map.is_none() {
            for name in split_list(self.controller_names) {
                map.entry(name.to_uppercase())
                    .or_insert_with(|| "PLAINTEXT".to_owned());
            }
        }
        map
    }

    /// What is told of listeners; of the controller's only those that `advertised.listeners` names.
    fn advertised(
        &self,
        opened: &[ListenerConfig],
        controllers: &[ListenerConfig],
        protocols: &BTreeMap<String, String>,
    ) -> Result<Vec<ListenerConfig>, ConfigError> {
        const KEY: &str = "advertised.listeners";
        let Some(text) = self.advertised else {
            return match opened.iter().find(|l| is_unroutable(&l.host)) {
                None => Ok(opened.to_vec()),
                Some(listener) => Err(ConfigError::new(
                    "listeners",
                    self.listeners,
                    format!(
                        "advertised.listeners beside it, because no client can connect to {}",
                        listener.host
                    ),
                )),
            };
        };
        let mut advertised = Vec::new();
        for named in endpoints(KEY, text)? {
            if !opened.iter().chain(controllers).any(|l| l.name == named.name) {
                let expected = format!("only names that listeners has; it has no {}", named.name);
                return Err(ConfigError::new(KEY, text, expected));
            }
            if is_unroutable(named.host) {
                let expected = format!(
                    "addresses that clients can connect to, which {} is not",
                    named.host
                );
                return Err(ConfigError::new(KEY, text, expected));
            }
            if named.port == 0 {
                return Err(ConfigError::new(KEY, text, "a port other than 0"));
            }
            advertised.push(with_protocol(KEY, text, named, protocols)?);
        }
        Ok(advertised)
    }

    fn inter_broker(&self, advertised: &[ListenerConfig]) -> Result<String, ConfigError> {
        const KEY: &str = "inter.broker.listener.name";
        let name = match self.inter_broker {
            Some(name) => name.to_uppercase(),
            // Kafka's default is the listener named like the security protocol, which is PLAINTEXT here.
            None => match advertised.iter().find(|l| l.name == "PLAINTEXT") {
                Some(listener) => listener.name.clone(),
                None => advertised[0].name.clone(),
            },
        };
        if advertised.iter().any(|l| l.name == name) {
            return Ok(name);
        }
        let names: Vec<_> = advertised.iter().map(|l| l.name.as_str()).collect();
        Err(ConfigError::new(
            KEY,
            &name,
            format!("an advertised listener: {}", names.join(", ")),
        ))
    }
}

/// Other controllers must reach every listener of this one, so each is told; one that listens everywhere, by the host's name.
fn advertised_controllers(opened: &[ListenerConfig], told: Vec<ListenerConfig>) -> Vec<ListenerConfig> {
    let of = |listener: &ListenerConfig| {
        let named = told.iter().find(|told| told.name == listener.name);
        let mut told = named.unwrap_or(listener).clone();
        if is_unroutable(&told.host) {
            told.host.clear();
        }
        told
    };
    opened.iter().map(of).collect()
}

fn endpoints<'a>(key: &'static str, text: &'a str) -> Result<Vec<Named<'a>>, ConfigError> {
    let refuse = |expected: String| Err(ConfigError::new(key, text, expected));
    let mut found: Vec<Named<'a>> = Vec::new();
    for part in split_list(text) {
        let Some(named) = endpoint(part) else {
            return refuse(format!("{LISTENER_EXPECTED}; it has {part:?}"));
        };
        for other in &found {
            if other.name == named.name {
                return refuse(format!("each listener name once; {} is there twice", named.name));
            }
            // Several advertised addresses may be one port of one forwarder.
            if key == "listeners"
                && other.port == named.port
                && named.port != 0
                && !share_a_port(other, &named)
            {
                return refuse(format!(
                    "each port once (or once IPv4 and once IPv6); {} is there twice",
                    named.port
                ));
            }
        }
        found.push(named);
    }
    if found.is_empty() {
        return refuse(LISTENER_EXPECTED.to_owned());
    }
    if found.len() > LISTENERS_MAX {
        return refuse(format!("at most {LISTENERS_MAX} listeners"));
    }
    Ok(found)
}

/// Kafka's `^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)`.
fn endpoint(text: &str) -> Option<Named<'_>> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').map(|h| h.strip_suffix(']'));
    let host = match bracketed {
        Some(inner) => {
            let inner = inner?;
            inner.parse::<Ipv6Addr>().ok()?;
            inner
        }
        None => host,
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let without_brackets_but_ipv6 = bracketed.is_none() && host.contains(':');
    if name.is_empty() || !host.chars().all(allowed) || without_brackets_but_ipv6 {
        return None;
    }
    Some(Named {
        name: name.to_uppercase(),
        host,
        port: port.parse().ok()?,
    })
}

/// Kafka lets two listeners have one port when one address is IPv4 and the other IPv6.
fn share_a_port(a: &Named<'_>, b: &Named<'_>) -> bool {
    match (a.host.parse::<IpAddr>(), b.host.parse::<IpAddr>()) {
        (Ok(a), Ok(b)) => a.is_ipv4() != b.is_ipv4(),
        _ => false,
    }
}

fn with_protocol(
    key: &'static str,
    text: &str,
    named: Named<'_>,
    protocols: &BTreeMap<String, String>,
) -> Result<ListenerConfig, ConfigError> {
    let Named { name, host, port } = named;
    match protocols.get(&name).map(String::as_str) {
        Some("PLAINTEXT") => Ok(ListenerConfig {
            name,
            protocol: Protocol::Plaintext,
            host: host.to_owned(),
            port,
        }),
        Some(other) => {
            let expected = format!("PLAINTEXT listeners; {name} asks for {other}, which is not there yet");
            Err(ConfigError::new(key, text, expected))
        }
        None => {
            let expected = format!("names that listener.security.protocol.map has; it has no {name}");
            Err(ConfigError::new(key, text, expected))
        }
    }
}

fn is_unroutable(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address == Ipv4Addr::UNSPECIFIED,
        Ok(IpAddr::V6(address)) => {
            address == Ipv6Addr::UNSPECIFIED || address.to_ipv4_mapped() == Some(Ipv4Addr::UNSPECIFIED)
        }
        Err(_) => false,
    }
}

/// Whether the value of `listener.security.protocol.map` can be read.
pub(super) fn is_protocol_map(value: &str) -> bool {
    read_protocol_map(value).is_some()
}

fn read_protocol_map(value: &str) -> Option<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for part in split_list(value) {
        let (name, protocol) = part.rsplit_once(':')?;
        let (name, protocol) = (name.trim().to_uppercase(), protocol.trim().to_uppercase());
        let known = matches!(
            protocol.as_str(),
            "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL"
        );
        if name.is_empty() || !known || map.insert(name, protocol).is_some() {
            return None;
        }
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The listeners, the advertised ones and the brokers' own, or what the user is told.
    fn resolve(settings: &[(&str, &str)]) -> Result<String, String> {
        let file: String = settings
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect();
        let (config, _) = Config::parse(Some(&file), &[]).map_err(|e| e.to_string())?;
        let told = |listeners: &[ListenerConfig]| {
            listeners
                .iter()
                .map(|l| l.to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        let mut shown = format!(
            "{} told {} among brokers {}",
            told(config.listeners()),
            told(&config.advertised_listeners("myhost")),
            config.inter_broker_listener()
        );
        if !config.controller_listeners().is_empty() {
            shown += &format!(
                "; {} told {} among controllers",
                told(config.controller_listeners()),
                told(&config.advertised_controllers("myhost"))
            );
        }
        Ok(shown)
    }

    const XY: (&str, &str) = (
        "listener.security.protocol.map",
        "X:PLAINTEXT,Y:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    );

    #[test]
    fn counts_of_addresses_are_parted_by_the_last_colon() {
        let parsed = address_counts("10.0.0.1:5, ::1:7,[fe80::1]:0,host:9");
        let expected = [("10.0.0.1", 5), ("::1", 7), ("fe80::1", 0), ("host", 9)];
        assert_eq!(parsed, Some(expected.to_vec()));
        assert_eq!(address_counts(""), Some(Vec::new()));
        for wrong in [
            "10.0.0.1",
            "10.0.0.1:-1",
            ":5",
            "10.0.0.1:x",
            "10.0.0.1:99999999999",
        ] {
            assert_eq!(address_counts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn listeners_are_read_as_kafka_reads_them() {
        let table: &[(&[(&str, &str)], &str)] = &[
            (
                &[],
                "PLAINTEXT://:9092 told PLAINTEXT://myhost:9092 among brokers PLAINTEXT",
            ),
            (
                &[("listeners", "plaintext://h-1.x:1")],
                "PLAINTEXT://h-1.x:1 told PLAINTEXT://h-1.x:1 among brokers PLAINTEXT",
            ),
            (
                &[("listeners", "PLAINTEXT://[::1]:9092")],
                "PLAINTEXT://[::1]:9092 told PLAINTEXT://[::1]:9092 among brokers PLAINTEXT",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://0.0.0.0:1"),
                    ("advertised.listeners", "PLAINTEXT://h:2"),
                ],
                "PLAINTEXT://0.0.0.0:1 told PLAINTEXT://h:2 among brokers PLAINTEXT",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://h:1,CONTROLLER://:2"),
                    ("advertised.listeners", "PLAINTEXT://h:1,CONTROLLER://h:2"),
                ],
                "PLAINTEXT://h:1 told PLAINTEXT://h:1 among brokers PLAINTEXT; CONTROLLER://:2 told \
                 CONTROLLER://h:2 among controllers",
            ),
            (
                &[("listeners", "PLAINTEXT://h:1,CONTROLLER://0.0.0.0:2")],
                "PLAINTEXT://h:1 told PLAINTEXT://h:1 among brokers PLAINTEXT; CONTROLLER://0.0.0.0:2 told \
                 CONTROLLER://myhost:2 among controllers",
            ),
            (
                &[
                    ("listeners", "X://127.0.0.1:1,Y://[::1]:1"),
                    XY,
                    ("inter.broker.listener.name", "y"),
                ],
                "X://127.0.0.1:1,Y://[::1]:1 told X://127.0.0.1:1,Y://[::1]:1 among brokers Y",
            ),
            (
                &[
                    ("listeners", "X://a:1,Y://a:2"),
                    XY,
                    ("advertised.listeners", "X://p:9,Y://p:9"),
                ],
                "X://a:1,Y://a:2 told X://p:9,Y://p:9 among brokers X",
            ),
            (
                &[("listeners", "PLAINTEXT://a:0")],
                "PLAINTEXT://a:0 told PLAINTEXT://a:0 among brokers PLAINTEXT",
            ),
        ];
        for (settings, expected) in table {
            assert_eq!(resolve(settings).as_deref(), Ok(*expected), "{settings:?}");
        }
    }

    #[test]
    fn wrong_listeners_are_refused_by_name() {
        let table: &[(&[(&str, &str)], &str)] = &[
            (
                &[("listeners", "PLAINTEXT://0.0.0.0:1")],
                "advertised.listeners beside it",
            ),
            (
                &[("listeners", "PLAINTEXT://[::]:1")],
                "advertised.listeners beside it",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1"),
                    ("advertised.listeners", "PLAINTEXT://0.0.0.0:1"),
                ],
                "0.0.0.0 is not",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1"),
                    ("advertised.listeners", "PLAINTEXT://[::]:1"),
                ],
                ":: is not",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1"),
                    ("advertised.listeners", "PLAINTEXT://a:0"),
                ],
                "a port other than 0",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1"),
                    XY,
                    ("advertised.listeners", "X://a:1"),
                ],
                "it has no X",
            ),
            (
                &[("listeners", "PLAINTEXT://a:1,PLAINTEXT://b:2")],
                "PLAINTEXT is there twice",
            ),
            (
                &[("listeners", "PLAINTEXT://a:1,X://b:1"), XY],
                "1 is there twice",
            ),
            (
                &[("listeners", "PLAINTEXT://127.0.0.1:1,X://127.0.0.2:1"), XY],
                "1 is there twice",
            ),
            (&[("listeners", "X://a:1")], "it has no X"),
            (&[("listeners", "SSL://a:1")], "SSL asks for SSL"),
            (
                &[("listeners", "SASL_PLAINTEXT://a:1")],
                "asks for SASL_PLAINTEXT",
            ),
            (&[("listeners", "PLAINTEXT://a:65536")], "NAME://host:port"),
            (&[("listeners", "PLAINTEXT://a")], "NAME://host:port"),
            (&[("listeners", "PLAINTEXT://a b:1")], "NAME://host:port"),
            (&[("listeners", "PLAINTEXT://::1:1")], "in brackets"),
            (&[("listeners", "PLAINTEXT://[::1:1")], "in brackets"),
            (&[("listeners", "PLAINTEXT://a:1, ")], "NAME://host:port"),
            (
                &[("listeners", "CONTROLLER://a:1")],
                "at least one listener for clients",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1,CONTROLLER://a:2"),
                    ("advertised.listeners", "CONTROLLER://a:2"),
                ],
                "at least one listener for clients",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1,CONTROLLER://a:2"),
                    (
                        "listener.security.protocol.map",
                        "PLAINTEXT:PLAINTEXT,CONTROLLER:SSL",
                    ),
                ],
                "CONTROLLER asks for SSL",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1,CONTROLLER://a:2"),
                    ("inter.broker.listener.name", "CONTROLLER"),
                ],
                "an advertised listener",
            ),
            (
                &[
                    ("listeners", "PLAINTEXT://a:1"),
                    ("inter.broker.listener.name", "Z"),
                ],
                "an advertised listener",
            ),
            (&[("listener.security.protocol.map", "A:FOO")], "NAME:PROTOCOL"),
            (
                &[("listener.security.protocol.map", "A:SSL,a:SSL")],
                "each name once",
            ),
        ];
        for (settings, expected) in table {
            let told = resolve(settings).unwrap_err();
            assert!(told.contains(expected), "{settings:?}: {told}");
            assert!(settings.iter().any(|(key, _)| told.starts_with(key)), "{told}");
        }
    }

    #[test]
    fn the_number_of_listeners_is_limited() {
        let names: Vec<String> = (0..=LISTENERS_MAX).map(|n| format!("L{n}")).collect();
        let listeners: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| format!("{name}://a:{}", n + 1))
            .collect();
        let told = resolve(&[("listeners", &listeners.join(","))]).unwrap_err();
        assert!(told.contains("at most 32"), "{told}");
    }
}
