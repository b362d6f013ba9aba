//! Writes how to show what a record holds as JSON, with the names and the order of Kafka's own converters.

use std::fmt::Write;

use crate::emit::{Item, ident, is_not_default};
use crate::schema::{Field, Kind};

/// `impl ToJson` of `item`, if it is something that stands in a log.
pub fn emit(out: &mut String, item: &Item<'_>) {
    if !matches!(item.message.kind, Kind::Record(_) | Kind::Data) {
        return;
    }
    writeln!(out, "\n    impl ToJson for {} {{", item.type_with("'_")).unwrap();
    out.push_str("        fn write_json(&self, out: &mut String, version: i16) {\n");
    out.push_str("            let mut fields = Fields::begin(out, version);\n");
    for field in item.fields {
        emit_field(out, item, field);
    }
    out.push_str("            fields.end();\n        }\n    }\n");
}

/// As Kafka does, leaves out what the version lacks, and a tagged field that has its default.
fn emit_field(out: &mut String, item: &Item<'_>, field: &Field) {
    let place = format!("self.{}", ident(&field.name));
    let is_set = field.tag.map(|_| is_not_default(field, &place));
    let conditions: Vec<String> = item.condition(field.versions).into_iter().chain(is_set).collect();
    let put = format!("fields.put(\"{}\", &{place});", camel_case(&field.name));
    match conditions.is_empty() {
        true => writeln!(out, "            {put}").unwrap(),
        false => writeln!(out, "            if {} {{ {put} }}", conditions.join(" && ")).unwrap(),
    }
}

/// `topic_id` to `topicId`; Kafka spells one word its own way.
fn camel_case(name: &str) -> String {
    let mut out = String::new();
    for (index, word) in name.split('_').enumerate() {
        match (word, index) {
            ("kraft", 0) => out.push_str("kRaft"),
            (word, 0) => out.push_str(word),
            (word, _) => {
                let (first, rest) = word.split_at(1);
                out.push_str(&first.to_uppercase());
                out.push_str(rest);
            }
        }
    }
    out
}
