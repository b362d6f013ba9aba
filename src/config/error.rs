//! What can be wrong with a configuration, and what is only worth a word.

use super::properties::MalformedEscape;
use std::fmt;

/// A configuration that can't be used. Its text is what the user reads before the process ends with code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    pub(super) fn new(key: &str, value: &str, expected: impl fmt::Display) -> ConfigError {
        ConfigError {
            message: format!("{key} = {value}: expected {expected}"),
        }
    }

    pub(super) fn refused(key: &str, value: &str, why: &str) -> ConfigError {
        // A refused setting may be a password.
        let shown = if key.contains("password") || key.contains("key") || key.contains("jaas") {
            "…"
        } else {
            value
        };
        ConfigError {
            message: format!(
                "{key} = {}: can't be served: {}. Remove it to start.",
                shown.trim(),
                why.trim_end_matches('.')
            ),
        }
    }

    pub(super) fn file(escape: MalformedEscape) -> ConfigError {
        ConfigError {
            message: format!("the configuration file, {escape}"),
        }
    }

    pub(super) fn override_form(text: &str) -> ConfigError {
        ConfigError {
            message: format!("-o {text}: expected key=value"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Something in a configuration that doesn't keep the broker from starting. One line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// No such setting.
    Unknown {
        /// What was written.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// The setting is read and checked, and nothing here depends on it.
    WithoutEffect {
        /// The setting.
        key: String,
        /// Why.
        why: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Unknown {
                key,
                nearest: Some(nearest),
            } => {
                write!(f, "{key}: no such setting; did you mean {nearest}?")
            }
            Warning::Unknown { key, nearest: None } => write!(f, "{key}: no such setting"),
            Warning::WithoutEffect { key, why } => write!(f, "{key} has no effect: {why}"),
        }
    }
}
