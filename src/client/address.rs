//! A broker's address as people write it.

use std::fmt;
use std::str::FromStr;

/// A host name or IP address, and a port: `localhost:9092`, `10.0.0.1:9092`, `[::1]:9092`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The TCP port; never 0.
    pub port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<HostPort, String> {
        let expected = || format!("expected HOST:PORT like 127.0.0.1:9092 or [::1]:9092, not {text:?}");
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(bare) => bare,
            None if host.contains(':') => return Err(expected()),
            None => host,
        };
        let port = port.parse().ok().filter(|&port| port != 0).ok_or_else(expected)?;
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(expected());
        }
        Ok(HostPort {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print_the_same() {
        for text in [
            "127.0.0.1:9092",
            "localhost:1",
            "[::1]:9092",
            "broker-1.example:65535",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost",
            "localhost:",
            ":9092",
            "localhost:0",
            "h:70000",
            "::1:9092",
            "a b:1",
            "h:x",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
