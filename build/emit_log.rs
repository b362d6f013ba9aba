//! Writes the type that stands for any record of a coordinator's log.

use std::fmt::Write;

use crate::emit::snake_case;
use crate::schema::{Kind, Message};

/// One kind of record: its number, Kafka's name for it, its key and its value.
struct Pair<'a> {
    id: i16,
    name: &'a str,
    key: &'a Message,
    value: &'a Message,
}

/// `enum NAME` and its codec. `of` says whose log it is.
pub fn records(name: &str, of: &str, messages: &[Message]) -> String {
    let pairs = pairs(messages);
    let each = |line: &dyn Fn(&Pair<'_>) -> String| -> String { pairs.iter().map(line).collect() };
    let mut out = String::new();
    write!(
        out,
        "
/// Any record of the {of}'s log: its key, and its value or `None` for a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub enum {name}<'a> {{
{}}}

impl<'a> {name}<'a> {{
    /// Every kind's number, rising.
    pub const IDS: &'static [i16] = &[{}];

    /// Kafka's number for this kind of record.
    pub fn id(&self) -> i16 {{
        match self {{
{}        }}
    }}

    /// Kafka's name for this kind of record.
    pub fn kind_name(&self) -> &'static str {{
        match self {{
{}        }}
    }}

    /// The versions that the values of kind `id` have; `None` if there is no such kind.
    pub fn value_versions(id: i16) -> Option<std::ops::RangeInclusive<i16>> {{
        use crate::wire::Message;
        Some(match id {{
{}            _ => return None,
        }})
    }}

    /// Whether it has no value, and so takes back what its key names.
    pub fn is_tombstone(&self) -> bool {{
        match self {{
{}        }}
    }}

    /// Reads the key of kind `id`; `None` if there is no such kind. The record is a tombstone until [`Self::decode_value`].
    pub fn decode_key(
        id: i16,
        d: &mut crate::wire::Decoder<'a>,
    ) -> Option<Result<Self, crate::wire::DecodeError>> {{
        use crate::wire::Decode;
        Some(match id {{
{}            _ => return None,
        }})
    }}

    /// Reads the value that belongs to the key.
    pub fn decode_value(
        &mut self,
        d: &mut crate::wire::Decoder<'a>,
        version: i16,
    ) -> Result<(), crate::wire::DecodeError> {{
        use crate::wire::Decode;
        match self {{
{}        }}
        Ok(())
    }}

    /// Writes the key.
    pub fn encode_key(&self, e: &mut crate::wire::Encoder) -> Result<(), crate::wire::EncodeError> {{
        use crate::wire::Encode;
        match self {{
{}        }}
    }}

    /// Writes the value; nothing for a tombstone.
    pub fn encode_value(&self, e: &mut crate::wire::Encoder, version: i16) -> Result<(), crate::wire::EncodeError> {{
        use crate::wire::Encode;
        match self {{
{}            _ => Ok(()),
        }}
    }}

    /// A made-up record of kind `id` with a value.
    #[cfg(test)]
    pub(crate) fn sample(id: i16, s: &mut crate::wire::sample::Source, version: i16) -> Self {{
        use crate::wire::sample::Sample;
        match id {{
{}            _ => panic!(\"no record of kind {{id}}\"),
        }}
    }}
}}
",
        each(&|p| format!(
            "    /// Record {}.\n    {}({}, Option<{}>),\n",
            p.id,
            p.name,
            ty(p.key),
            ty(p.value)
        )),
        pairs
            .iter()
            .map(|p| p.id.to_string())
            .collect::<Vec<_>>()
            .join(", "),
        each(&|p| format!("            Self::{}(..) => {},\n", p.name, p.id)),
        each(&|p| format!(
            "            Self::{}(..) => \"{}\",\n",
            p.name,
            snake_case(p.name).to_uppercase()
        )),
        each(&|p| format!("            {} => {}::VERSIONS,\n", p.id, p.value.name)),
        each(&|p| format!("            Self::{}(_, value) => value.is_none(),\n", p.name)),
        each(&|p| format!(
            "            {} => {}::decode(d, {}).map(|key| Self::{}(key, None)),\n",
            p.id, p.key.name, p.key.versions.to, p.name
        )),
        each(&|p| format!(
            "            Self::{}(_, value) => *value = Some({}::decode(d, version)?),\n",
            p.name, p.value.name
        )),
        each(&|p| format!(
            "            Self::{}(key, _) => key.encode(e, {}),\n",
            p.name, p.key.versions.to
        )),
        each(&|p| format!("            Self::{}(_, Some(value)) => value.encode(e, version),\n", p.name)),
        each(&|p| format!(
            "            {} => Self::{}({}::sample(s, {}), Some({}::sample(s, version))),\n",
            p.id, p.name, p.key.name, p.key.versions.to, p.value.name
        )),
    )
    .unwrap();
    out
}

/// The keys of a log with their values, by number.
fn pairs(messages: &[Message]) -> Vec<Pair<'_>> {
    let keys = messages.iter().filter_map(|message| match message.kind {
        Kind::Key(id) => Some((id, message)),
        _ => None,
    });
    let mut pairs: Vec<Pair<'_>> = keys.map(|(id, key)| pair(id, key, messages)).collect();
    pairs.sort_by_key(|pair| pair.id);
    pairs
}

fn pair<'a>(id: i16, key: &'a Message, messages: &'a [Message]) -> Pair<'a> {
    let value = messages.iter().find(|other| other.kind == Kind::Value(id));
    Pair {
        id,
        name: key.name.trim_end_matches("Key"),
        key,
        value: value.unwrap_or_else(|| panic!("{} has no value", key.name)),
    }
}

fn ty(message: &Message) -> String {
    let lifetime = if message.borrows(&message.name) {
        "<'a>"
    } else {
        ""
    };
    format!("{}{lifetime}", message.name)
}
