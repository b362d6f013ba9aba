//! `controller.quorum.voters` and `controller.quorum.bootstrap.servers`: who the controllers are. There is one, this node: a
//! setting that names another is refused, for it would be waited for in vain.

use super::setting::split_list;
use super::{ConfigError, ListenerConfig};
use crate::base::NodeId;

const VOTERS: &str = "controller.quorum.voters";
const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";

/// What the settings say, unchecked.
pub(super) struct QuorumSettings<'a> {
    pub node: NodeId,
    pub voters: &'a str,
    pub bootstrap: &'a str,
    pub controllers: &'a [ListenerConfig],
    pub advertised: &'a [ListenerConfig],
}

impl QuorumSettings<'_> {
    pub fn check(&self) -> Result<(), ConfigError> {
        let ports = self.controllers.iter().chain(self.advertised).map(|l| l.port);
        let ports: Vec<u16> = ports.collect();
        self.check_voters(&ports)?;
        check_address(BOOTSTRAP, self.bootstrap, self.bootstrap, &ports)
    }

    fn check_voters(&self, ports: &[u16]) -> Result<(), ConfigError> {
        let refuse = |expected: String| Err(ConfigError::new(VOTERS, self.voters, expected));
        let alone = format!(
            "{}@host:port, this node alone (several controllers are not there yet)",
            self.node
        );
        match split_list(self.voters).as_slice() {
            [] | [""] => Ok(()),
            [only] => match only.split_once('@') {
                Some((id, address)) if id.parse() == Ok(self.node.0) => {
                    check_address(VOTERS, self.voters, address, ports)
                }
                _ => refuse(alone),
            },
            _ => refuse(alone),
        }
    }
}

/// A host may have many names; a port that no controller listener has is another node's.
fn check_address(key: &'static str, value: &str, addresses: &str, ports: &[u16]) -> Result<(), ConfigError> {
    let refuse = |expected: &str| Err(ConfigError::new(key, value, expected));
    let port = match split_list(addresses).as_slice() {
        [] | [""] => return Ok(()),
        [only] => only
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok()),
        _ => return refuse("one host:port, this node's (several controllers are not there yet)"),
    };
    match port {
        None => refuse("host:port"),
        Some(_) if ports.is_empty() => refuse("one of controller.listener.names in listeners beside it"),
        Some(port) if ports.contains(&port) || ports.contains(&0) => Ok(()),
        Some(_) => {
            refuse("the port of this node's own controller listener (several controllers are not there yet)")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(key: &str, value: &str, listeners: &str) -> Result<(), String> {
        let file = format!("node.id=1\nlisteners={listeners}\n{key}={value}\n");
        Config::parse(Some(&file), &[])
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_quorum_of_this_node_is_accepted_and_any_other_refused_by_name() {
        const BOTH: &str = "PLAINTEXT://h:9092,CONTROLLER://h:9093";
        let table = [
            ("voters", "1@h:9093", BOTH, None),
            ("voters", "1@other-name:9093", BOTH, None),
            ("voters", "2@h:9093", BOTH, Some("1@host:port, this node alone")),
            (
                "voters",
                "1@h:9093,2@i:9093",
                BOTH,
                Some("1@host:port, this node alone"),
            ),
            ("voters", "h:9093", BOTH, Some("1@host:port")),
            (
                "voters",
                "1@h:9094",
                BOTH,
                Some("the port of this node's own controller listener"),
            ),
            ("voters", "1@h", BOTH, Some("host:port")),
            ("bootstrap.servers", "localhost:9093", BOTH, None),
            (
                "bootstrap.servers",
                "localhost:9093",
                "PLAINTEXT://h:9092,CONTROLLER://h:0",
                None,
            ),
            ("bootstrap.servers", "h:9093,i:9093", BOTH, Some("one host:port")),
            (
                "bootstrap.servers",
                "h:9092",
                BOTH,
                Some("the port of this node's own"),
            ),
            ("bootstrap.servers", "h", BOTH, Some("host:port")),
            (
                "bootstrap.servers",
                "h:9093",
                "PLAINTEXT://h:9092",
                Some("controller.listener.names in listeners"),
            ),
        ];
        for (key, value, listeners, refused) in table {
            let key = format!("controller.quorum.{key}");
            match (parse(&key, value, listeners), refused) {
                (Ok(()), None) => {}
                (Err(told), Some(expected)) => {
                    assert!(
                        told.starts_with(&key) && told.contains(expected),
                        "{value}: {told}"
                    );
                }
                (outcome, _) => panic!("{key}={value}: {outcome:?}"),
            }
        }
    }
}
