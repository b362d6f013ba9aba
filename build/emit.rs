//! Writes the Rust of each message: a module with its structs, their defaults and their codec.

use std::fmt::Write;

use crate::schema::{Field, Kind, Message, Type, Versions};
use crate::{emit_decode, emit_encode, emit_json, emit_record, emit_sample};

/// The modules of all messages, and the names of the messages themselves.
pub fn messages(messages: &[Message]) -> String {
    let mut out = String::from("// Generated from the message schemas.\n\n");
    for message in messages {
        let module = snake_case(&message.name);
        writeln!(out, "pub use {module}::{};", message.name).unwrap();
    }
    for message in messages {
        emit_module(&mut out, message, messages);
    }
    out.push_str(&emit_record::records(messages));
    out.push_str(&emit_sample::table(messages));
    out
}

fn emit_module(out: &mut String, message: &Message, all: &[Message]) {
    let name = &message.name;
    writeln!(
        out,
        "\n/// [`{name}`]: {}, and the structs in it.",
        message_versions(message)
    )
    .unwrap();
    writeln!(
        out,
        "#[allow(clippy::all, unused_imports, unused_variables, unused_mut)]"
    )
    .unwrap();
    writeln!(out, "pub mod {} {{", snake_case(name)).unwrap();
    out.push_str("    use crate::base::TopicId;\n    use crate::wire::api::ApiKey;\n");
    out.push_str("    use crate::wire::array::{Array, Element};\n");
    out.push_str("    use crate::wire::decoder::{self, At, DecodeError, Decoder, Fault};\n");
    out.push_str("    use crate::wire::encoder::{self, EncodeError, Encoder};\n");
    out.push_str("    use crate::wire::json::{Fields, ToJson};\n");
    out.push_str("    use crate::wire::message::{Blob, Decode, Encode, Message, Records, Request, Str};\n");
    out.push_str("    #[cfg(test)]\n    use crate::wire::sample::{Sample, Source};\n");
    for (name, versions, fields) in message.structs() {
        let item = Item {
            message,
            name,
            versions,
            fields,
        };
        emit_struct(out, &item);
        emit_default(out, &item);
        emit_decode::emit(out, &item);
        emit_encode::emit(out, &item);
        emit_json::emit(out, &item);
        emit_sample::emit(out, &item);
        if !item.is_message() {
            emit_element(out, &item);
        }
    }
    emit_message(out, message, all);
    out.push_str("}\n");
}

/// One struct to be written.
pub struct Item<'a> {
    pub message: &'a Message,
    pub name: &'a str,
    /// The versions in which it occurs.
    pub versions: Versions,
    pub fields: &'a [Field],
}

impl Item<'_> {
    /// Whether this is the message itself.
    pub fn is_message(&self) -> bool {
        self.name == self.message.name
    }

    /// The type, as an `impl` names it.
    pub fn type_with(&self, lifetime: &str) -> String {
        type_name(self.message, self.name, lifetime)
    }

    /// The name of `field` in errors.
    pub fn path(&self, field: &Field) -> String {
        format!("\"{}.{}\"", self.name, field.name)
    }

    /// What is true of `version` exactly when it is one of `versions`; `None` when it always is.
    pub fn condition(&self, versions: Versions) -> Option<String> {
        let from = versions.from > self.versions.from;
        let to = versions.to < self.versions.to;
        match (from, to) {
            (false, false) => None,
            (true, false) => Some(format!("version >= {}", versions.from)),
            (false, true) => Some(format!("version <= {}", versions.to)),
            (true, true) => Some(format!(
                "({}..={}).contains(&version)",
                versions.from, versions.to
            )),
        }
    }

    /// The line that says whether this version is flexible.
    pub fn flexible_line(&self) -> String {
        let value = match self.message.flexible_from {
            None => "false".to_owned(),
            Some(from) if from <= self.versions.from => "true".to_owned(),
            Some(from) => format!("version >= {from}"),
        };
        format!("            let flexible = {value};")
    }

    /// Whether any version of it has tagged fields.
    pub fn is_ever_flexible(&self) -> bool {
        self.message
            .flexible_from
            .is_some_and(|from| from <= self.versions.to)
    }
}

fn emit_struct(out: &mut String, item: &Item<'_>) {
    let what = match item.is_message() {
        true => message_versions(item.message),
        false => format!(
            "Part of [`{}`], versions {}",
            item.message.name,
            told(item.versions)
        ),
    };
    let default = if item.fields.iter().all(has_plain_default) {
        ", Default"
    } else {
        ""
    };
    writeln!(out, "\n    /// {what}.").unwrap();
    writeln!(out, "    #[derive(Clone, Debug, PartialEq{default})]").unwrap();
    writeln!(out, "    pub struct {} {{", item.type_with("'a")).unwrap();
    for field in item.fields {
        writeln!(out, "        /// {}.", field_doc(field)).unwrap();
        writeln!(
            out,
            "        pub {}: {},",
            ident(&field.name),
            field_type(item.message, field)
        )
        .unwrap();
    }
    out.push_str("    }\n");
}

fn emit_default(out: &mut String, item: &Item<'_>) {
    if item.fields.iter().all(has_plain_default) {
        return;
    }
    writeln!(out, "\n    impl Default for {} {{", item.type_with("'_")).unwrap();
    out.push_str("        fn default() -> Self {\n            Self {\n");
    for field in item.fields {
        writeln!(
            out,
            "                {}: {},",
            ident(&field.name),
            default_value(field)
        )
        .unwrap();
    }
    out.push_str("            }\n        }\n    }\n");
}

fn emit_element(out: &mut String, item: &Item<'_>) {
    writeln!(out, "\n    impl<'a> Element<'a> for {} {{", item.type_with("'a")).unwrap();
    out.push_str("        fn decode_element(d: &mut Decoder<'a>, version: i16, _: bool) -> Result<Self, DecodeError> {\n");
    out.push_str("            Self::decode(d, version)\n        }\n\n");
    out.push_str("        fn encode_element(&self, e: &mut Encoder, version: i16, _: bool) -> Result<(), EncodeError> {\n");
    out.push_str("            self.encode(e, version)\n        }\n    }\n");
}

fn emit_message(out: &mut String, message: &Message, all: &[Message]) {
    let Versions { from, to } = message.versions;
    let versions = format!("const VERSIONS: std::ops::RangeInclusive<i16> = {from}..={to};");
    writeln!(
        out,
        "\n    impl<'a> Message<'a> for {} {{",
        type_name(message, &message.name, "'a")
    )
    .unwrap();
    writeln!(out, "        const NAME: &'static str = \"{}\";", message.name).unwrap();
    writeln!(out, "        {versions}\n    }}").unwrap();
    if let Kind::Request(key) = message.kind {
        let response = all.iter().find(|other| other.kind == Kind::Response(key));
        let response = response.unwrap_or_else(|| panic!("{} has no response", message.name));
        let answer = type_name(response, &response.name, "'a");
        writeln!(
            out,
            "\n    impl Request for {} {{",
            type_name(message, &message.name, "'_")
        )
        .unwrap();
        writeln!(out, "        const KEY: ApiKey = ApiKey({key});").unwrap();
        writeln!(
            out,
            "        type Response<'a> = super::{}::{answer};\n    }}",
            snake_case(&response.name)
        )
        .unwrap();
    }
    if let Kind::Record(id) | Kind::Key(id) | Kind::Value(id) = message.kind {
        writeln!(out, "\n    impl {} {{", type_name(message, &message.name, "'_")).unwrap();
        writeln!(
            out,
            "        /// Kafka's number for this record.\n        pub const ID: i16 = {id};\n    }}"
        )
        .unwrap();
    }
}

fn message_versions(message: &Message) -> String {
    let flexible = message
        .flexible_from
        .map(|from| format!(", flexible from {from}"));
    format!(
        "Versions {}{}",
        told(message.versions),
        flexible.unwrap_or_default()
    )
}

fn field_doc(field: &Field) -> String {
    let mut doc = format!("Versions {}", told(field.versions));
    if let Some(nullable) = field.nullable.filter(|nullable| *nullable != field.versions) {
        write!(doc, ", null in {}", told(nullable)).unwrap();
    }
    if let Some(tag) = field.tag {
        write!(doc, ", tag {tag}").unwrap();
    }
    if field.ignorable {
        doc.push_str(", dropped elsewhere");
    }
    doc
}

fn told(versions: Versions) -> String {
    if versions.from == versions.to {
        versions.from.to_string()
    } else {
        format!("{}–{}", versions.from, versions.to)
    }
}

fn type_name(message: &Message, name: &str, lifetime: &str) -> String {
    if message.borrows(name) {
        format!("{name}<{lifetime}>")
    } else {
        name.to_owned()
    }
}

fn field_type(message: &Message, field: &Field) -> String {
    let ty = match &field.ty {
        Type::Bool => "bool".to_owned(),
        Type::Int8 => "i8".to_owned(),
        Type::Int16 => "i16".to_owned(),
        Type::Uint16 => "u16".to_owned(),
        Type::Int32 => "i32".to_owned(),
        Type::Uint32 => "u32".to_owned(),
        Type::Int64 => "i64".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Uuid => "TopicId".to_owned(),
        Type::String => "Str<'a>".to_owned(),
        Type::Bytes => "Blob<'a>".to_owned(),
        Type::Records => "Records<'a>".to_owned(),
        Type::Struct(name) => type_name(message, name, "'a"),
    };
    let ty = if field.array {
        format!("Array<'a, {ty}>")
    } else {
        ty
    };
    if field.nullable.is_some() {
        format!("Option<{ty}>")
    } else {
        ty
    }
}

/// Whether the field's default is its Rust type's.
fn has_plain_default(field: &Field) -> bool {
    match &field.default {
        None => field.nullable.is_none() || field.ty == Type::Records,
        Some(default) => default == "null",
    }
}

fn default_value(field: &Field) -> String {
    match &field.default {
        Some(default) if default == "null" => "None".to_owned(),
        Some(default) if field.ty == Type::String => format!("Str::Borrowed({default:?})"),
        Some(default) => default.clone(),
        None if field.nullable.is_none() || field.ty == Type::Records => "Default::default()".to_owned(),
        None => "Some(Default::default())".to_owned(),
    }
}

/// An expression that is true when `place`, the field's value, is not its default.
pub fn is_not_default(field: &Field, place: &str) -> String {
    let is_list = field.array || matches!(field.ty, Type::String | Type::Bytes);
    match (&field.default, field.nullable) {
        (Some(default), Some(_)) if default == "null" => format!("{place}.is_some()"),
        (None, Some(_)) if field.ty == Type::Records => format!("{place}.is_some()"),
        (None, Some(_)) if is_list => format!("{place}.as_ref().is_none_or(|x| !x.is_empty())"),
        (None, None) if is_list || field.ty == Type::Records => format!("!{place}.is_empty()"),
        (None, None) if field.ty == Type::Bool => place.to_owned(),
        (None, None) if field.ty == Type::Uuid => format!("!{place}.is_zero()"),
        (None, None) if !matches!(field.ty, Type::Struct(_)) => format!("{place} != {}", zero(field)),
        (Some(default), None) if default == "true" => format!("!{place}"),
        (Some(default), None) if field.ty != Type::String => format!("{place} != {default}"),
        _ => format!("{place} != {}", default_value(field)),
    }
}

fn zero(field: &Field) -> &'static str {
    if field.ty == Type::Float64 { "0.0" } else { "0" }
}

/// A field's name as Rust takes it.
pub fn ident(name: &str) -> String {
    match name {
        "type" | "match" | "ref" | "move" | "self" => format!("r#{name}"),
        _ => name.to_owned(),
    }
}

/// `FetchRequest` to `fetch_request`; a run of capitals is one word.
pub fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let lower_before = index > 0 && !letters[index - 1].is_ascii_uppercase();
        let lower_after = letters
            .get(index + 1)
            .is_some_and(|next| next.is_ascii_lowercase());
        if letter.is_ascii_uppercase() && index > 0 && (lower_before || lower_after) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out.replace("k_raft", "kraft")
}
