//! Writes the one type that stands for any record of the metadata log.

use std::fmt::Write;

use crate::emit::snake_case;
use crate::schema::{Kind, Message};

/// `enum MetadataRecord`, its codec, and the conversion from each record.
pub fn records(messages: &[Message]) -> String {
    let mut records: Vec<(i16, &Message)> = messages
        .iter()
        .filter_map(|message| match message.kind {
            Kind::Record(id) => Some((id, message)),
            _ => None,
        })
        .collect();
    records.sort_by_key(|(id, _)| *id);
    let each = |line: &dyn Fn(i16, &Message) -> String| -> String {
        records.iter().map(|(id, message)| line(*id, message)).collect()
    };
    let ty = |message: &Message| {
        let lifetime = if message.borrows(&message.name) {
            "<'a>"
        } else {
            ""
        };
        format!("{}{lifetime}", message.name)
    };
    let mut out = String::new();
    write!(
        out,
        "
/// Any record of the metadata log.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataRecord<'a> {{
{}}}

impl<'a> MetadataRecord<'a> {{
    /// Kafka's number for this kind of record.
    pub fn id(&self) -> i16 {{
        match self {{
{}        }}
    }}

    /// Kafka's name for this kind of record, as its tools print it.
    pub fn kind_name(&self) -> &'static str {{
        match self {{
{}        }}
    }}

    /// Reads the record of kind `id`; `None` if there is no such kind.
    pub fn decode(
        id: u32,
        d: &mut crate::wire::Decoder<'a>,
        version: i16,
    ) -> Option<Result<Self, crate::wire::DecodeError>> {{
        use crate::wire::Decode;
        Some(match id {{
{}            _ => return None,
        }})
    }}
}}

impl crate::wire::Encode for MetadataRecord<'_> {{
    fn encode(&self, e: &mut crate::wire::Encoder, version: i16) -> Result<(), crate::wire::EncodeError> {{
        match self {{
{}        }}
    }}
}}

impl crate::wire::json::ToJson for MetadataRecord<'_> {{
    fn write_json(&self, out: &mut String, version: i16) {{
        match self {{
{}        }}
    }}
}}
",
        each(&|id, m| format!("    /// Record {id}.\n    {}({}),\n", m.name, ty(m))),
        each(&|id, m| format!("            Self::{}(_) => {id},\n", m.name)),
        each(&|_, m| format!(
            "            Self::{}(_) => \"{}\",\n",
            m.name,
            snake_case(&m.name).to_uppercase()
        )),
        each(&|id, m| format!(
            "            {id} => {0}::decode(d, version).map(Self::{0}),\n",
            m.name
        )),
        each(&|_, m| format!("            Self::{}(it) => it.encode(e, version),\n", m.name)),
        each(&|_, m| format!(
            "            Self::{}(it) => it.write_json(out, version),\n",
            m.name
        )),
    )
    .unwrap();
    out.push_str(&each(&|_, m| {
        format!(
            "
impl<'a> From<{}> for MetadataRecord<'a> {{
    fn from(record: {}) -> Self {{
        Self::{}(record)
    }}
}}
",
            ty(m),
            ty(m),
            m.name
        )
    }));
    out
}
