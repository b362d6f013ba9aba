//! Our schemas against those that Kafka publishes, field by field.

#![allow(clippy::disallowed_methods, reason = "a test that reads the source tree")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::kafka::Kafka;
use schema::{Field, Kind, Message, Type, Versions};

#[path = "../../../build/parse.rs"]
mod parse;
#[allow(dead_code, reason = "what only the generator asks of a schema")]
#[path = "../../../build/schema.rs"]
mod schema;

/// Kafka's, and why they are not ours.
const LEFT_OUT: &[(&str, &str)] = &[("QuorumStateData", "only ever stored, as JSON")];

/// Names that the rule of [`snake_case`] would spell otherwise.
const NAMES: &[(&str, &str)] = &[("Enable2Pc", "enable_2pc")];

/// What Kafka says of one field, its versions cut to those of what it stands in.
#[derive(Debug, PartialEq)]
struct Facts {
    name: String,
    ty: String,
    versions: (i16, i16),
    nullable: Option<(i16, i16)>,
    tag: Option<u32>,
    /// As a value is written in our schemas; none for the type's zero.
    default: Option<String>,
    ignorable: bool,
    inflexible: bool,
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn every_schema_is_kafkas() {
    let answer = Kafka::start().ask("schemas").expect("its schemas");
    let kafkas: Vec<Value> = serde_json::from_str(&answer[0]).expect("JSON");
    let mut ours = our_messages();
    let mut faults = Vec::new();
    for kafkas in kafkas.iter().filter(|kafkas| kafkas["validVersions"] != "none") {
        let name = text(&kafkas["name"]);
        match ours.remove(name) {
            Some(ours) => compare(&ours, kafkas, &mut faults),
            None if LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) => {}
            None => faults.push(format!("{name} is missing")),
        }
    }
    faults.extend(ours.keys().map(|name| format!("Kafka has no {name}")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn our_messages() -> BTreeMap<String, Message> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/schema");
    let texts = fs::read_dir(folder).expect("the schemas").map(|entry| {
        let path = entry.expect("a schema").path();
        fs::read_to_string(path).expect("a text")
    });
    let messages = texts.flat_map(|text| parse::parse(&text).expect("the build read it"));
    messages.map(|message| (message.name.clone(), message)).collect()
}

fn compare(ours: &Message, kafkas: &Value, faults: &mut Vec<String>) {
    let name = &ours.name;
    let mut same = |what: &str, ours: String, kafkas: String| {
        if ours != kafkas {
            faults.push(format!("{name}: {what}: {ours} here, {kafkas} there"));
        }
    };
    let valid = range(text(&kafkas["validVersions"]), ALL).expect("versions");
    same("kind", kind(ours.kind), kafka_kind(kafkas));
    same(
        "versions",
        format!("{:?}", pair(ours.versions)),
        format!("{valid:?}"),
    );
    let flexible = kafkas["flexibleVersions"]
        .as_str()
        .and_then(|flexible| range(flexible, ALL));
    let flexible = flexible.map(|(from, _)| from);
    same(
        "flexible",
        format!("{:?}", ours.flexible_from),
        format!("{flexible:?}"),
    );
    let unstable = (kafkas["latestVersionUnstable"] == true).then_some(valid.1);
    same(
        "unstable",
        format!("{:?}", ours.unstable),
        format!("{unstable:?}"),
    );
    let mut listeners: Vec<&str> = kafkas["listeners"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let mut our_listeners: Vec<&str> = ours.listeners.iter().map(String::as_str).collect();
    listeners.sort();
    our_listeners.sort();
    same("listeners", our_listeners.join(" "), listeners.join(" "));
    let both = Both { ours, kafkas };
    both.compare_fields(name, &ours.fields, &kafkas["fields"], valid, faults);
}

/// One message, ours and Kafka's.
struct Both<'a> {
    ours: &'a Message,
    kafkas: &'a Value,
}

impl Both<'_> {
    fn compare_fields(
        &self,
        path: &str,
        ours: &[Field],
        kafkas: &Value,
        outer: (i16, i16),
        faults: &mut Vec<String>,
    ) {
        let ours: Vec<&Field> = ours
            .iter()
            .filter(|ours| cut(pair(ours.versions), outer).is_some())
            .collect();
        let there = |kafkas: &&Value| range(versions(kafkas), outer).is_some();
        let kafkas: Vec<&Value> = kafkas.as_array().expect("fields").iter().filter(there).collect();
        if ours.len() != kafkas.len() {
            faults.push(format!(
                "{path}: {} fields here, {} there",
                ours.len(),
                kafkas.len()
            ));
        }
        for (ours, kafkas) in ours.into_iter().zip(kafkas) {
            let (facts, theirs) = (our_facts(ours, outer), kafka_facts(kafkas, outer));
            if facts != theirs {
                faults.push(format!("{path}: {facts:?} here, {theirs:?} there"));
            } else if let Type::Struct(name) = &ours.ty {
                let fields = self.ours.fields_of(name).expect("the build found it");
                let inner = format!("{path}.{}", ours.name);
                self.compare_fields(
                    &inner,
                    fields,
                    self.kafka_struct(kafkas, name),
                    facts.versions,
                    faults,
                );
            }
        }
    }

    /// The fields of a struct, which stand where it is used or are shared.
    fn kafka_struct<'f>(&'f self, field: &'f Value, name: &str) -> &'f Value {
        let mut shared = self.kafkas["commonStructs"].as_array().into_iter().flatten();
        let shared = shared.find(|shared| shared["name"] == name);
        &shared.unwrap_or(field)["fields"]
    }
}

fn our_facts(field: &Field, outer: (i16, i16)) -> Facts {
    let versions = cut(pair(field.versions), outer).expect("left out elsewhere");
    let ty = match &field.ty {
        Type::Bool => "bool",
        Type::Int8 => "int8",
        Type::Int16 => "int16",
        Type::Uint16 => "uint16",
        Type::Int32 => "int32",
        Type::Uint32 => "uint32",
        Type::Int64 => "int64",
        Type::Float64 => "float64",
        Type::Uuid => "uuid",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Records => "records",
        Type::Struct(name) => name,
    };
    Facts {
        name: field.name.clone(),
        ty: if field.array {
            format!("[]{ty}")
        } else {
            ty.to_owned()
        },
        versions,
        nullable: field.nullable.and_then(|nullable| cut(pair(nullable), versions)),
        tag: field.tag,
        default: field.default.clone(),
        ignorable: field.ignorable,
        inflexible: field.inflexible,
    }
}

fn kafka_facts(field: &Value, outer: (i16, i16)) -> Facts {
    let versions = range(versions(field), outer).expect("left out elsewhere");
    let tagged = field["taggedVersions"]
        .as_str()
        .and_then(|tagged| range(tagged, versions));
    assert!(
        tagged.is_none_or(|tagged| tagged == versions),
        "tagged in some versions only: {field}"
    );
    let ty = text(&field["type"]);
    Facts {
        name: snake_case(text(&field["name"])),
        ty: ty.to_owned(),
        versions,
        nullable: field["nullableVersions"]
            .as_str()
            .and_then(|nullable| range(nullable, versions)),
        tag: tagged.and(field["tag"].as_u64()).map(|tag| tag as u32),
        default: default(&field["default"]).filter(|default| !is_zero(default)),
        ignorable: field["ignorable"] == true,
        inflexible: field["flexibleVersions"] == "none",
    }
}

/// A field that only ever is tagged need not say its versions twice.
fn versions(field: &Value) -> &str {
    field["versions"]
        .as_str()
        .unwrap_or_else(|| text(&field["taggedVersions"]))
}

/// As our schemas write it: a number in decimal.
fn default(kafkas: &Value) -> Option<String> {
    let written = match kafkas {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let hexadecimal = written
        .strip_prefix("0x")
        .and_then(|digits| i64::from_str_radix(digits, 16).ok());
    Some(hexadecimal.map_or(written, |number| number.to_string()))
}

fn is_zero(default: &str) -> bool {
    ["", "0", "false", "0.0"].contains(&default)
}

/// `ReplicaId` is `replica_id`; a run of capitals is one word, and so is `KRaft`.
fn snake_case(name: &str) -> String {
    if let Some((_, ours)) = NAMES.iter().find(|(kafkas, _)| *kafkas == name) {
        return (*ours).to_owned();
    }
    let name = name.replace("KRaft", "Kraft");
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_small = at > 0 && !letters[at - 1].is_uppercase();
        let before_small = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && at > 0 && (after_small || before_small) {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Request(key) => format!("request {key}"),
        Kind::Response(key) => format!("response {key}"),
        Kind::Header => "header".to_owned(),
        Kind::Data => "data".to_owned(),
        Kind::Record(id) => format!("metadata {id}"),
        Kind::Key(id) => format!("coordinator-key {id}"),
        Kind::Value(id) => format!("coordinator-value {id}"),
    }
}

fn kafka_kind(schema: &Value) -> String {
    let kind = text(&schema["type"]);
    schema["apiKey"]
        .as_i64()
        .map_or(kind.to_owned(), |key| format!("{kind} {key}"))
}

const ALL: (i16, i16) = (0, i16::MAX);

fn pair(versions: Versions) -> (i16, i16) {
    (versions.from, versions.to)
}

/// `3`, `3-7`, `3+` or `none`, cut to `outer`; none if nothing is left.
fn range(written: &str, outer: (i16, i16)) -> Option<(i16, i16)> {
    let number = |text: &str| text.parse().expect("a version");
    let versions = match (written, written.strip_suffix('+'), written.split_once('-')) {
        ("none", ..) => return None,
        (_, Some(from), _) => (number(from), i16::MAX),
        (_, _, Some((from, to))) => (number(from), number(to)),
        _ => (number(written), number(written)),
    };
    cut(versions, outer)
}

fn cut(versions: (i16, i16), outer: (i16, i16)) -> Option<(i16, i16)> {
    let both = (versions.0.max(outer.0), versions.1.min(outer.1));
    (both.0 <= both.1).then_some(both)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}
