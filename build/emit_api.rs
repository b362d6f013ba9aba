//! Writes the table of APIs: numbers, names, versions.

use std::fmt::Write;

use crate::emit::snake_case;
use crate::schema::{Kind, Message};

/// A constant for each API's number, and the table of what the schemas say, sorted by number.
pub fn apis(messages: &[Message]) -> String {
    let mut requests: Vec<(i16, &str, &Message)> = messages
        .iter()
        .filter_map(|message| match message.kind {
            Kind::Request(key) => Some((key, message.name.trim_end_matches("Request"), message)),
            _ => None,
        })
        .collect();
    requests.sort_by_key(|(key, _, _)| *key);
    let mut out = String::from("// Generated from the message schemas.\n\nimpl ApiKey {\n");
    for (key, name, _) in &requests {
        let constant = snake_case(name).to_uppercase();
        writeln!(
            out,
            "    /// Kafka's `{name}`.\n    pub const {constant}: ApiKey = ApiKey({key});"
        )
        .unwrap();
    }
    out.push_str("}\n\n/// What the schemas say of each API, by rising number.\n");
    out.push_str("pub static APIS: &[ApiSchema] = &[\n");
    for (key, name, message) in &requests {
        let from = message.versions.from;
        let to = message
            .unstable
            .map_or(message.versions.to, |unstable| unstable - 1);
        let serves = |listener: &str| message.listeners.iter().any(|told| told == listener);
        let flexible_from = message.flexible_from;
        writeln!(
            out,
            "    ApiSchema {{ key: ApiKey({key}), name: \"{name}\", versions: {from}..={to}, on_broker: {}, \
             on_controller: {}, flexible_from: {flexible_from:?} }},",
            serves("broker"),
            serves("controller"),
        )
        .unwrap();
    }
    out.push_str("];\n");
    out
}
