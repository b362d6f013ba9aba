//! Writes the reading half of a struct's codec.

use std::fmt::Write;

use crate::emit::{Item, ident};
use crate::schema::{Field, Type};

/// `impl Decode` of `item`.
pub fn emit(out: &mut String, item: &Item<'_>) {
    writeln!(out, "\n    impl<'a> Decode<'a> for {} {{", item.type_with("'a")).unwrap();
    out.push_str("        fn decode(d: &mut Decoder<'a>, version: i16) -> Result<Self, DecodeError> {\n");
    if item.is_message() {
        out.push_str("            decoder::check_version(version, &Self::VERSIONS)?;\n");
    }
    writeln!(out, "{}", item.flexible_line()).unwrap();
    out.push_str("            let mut it = Self::default();\n");
    for field in item.fields.iter().filter(|field| field.tag.is_none()) {
        let read = format!(
            "it.{} = {}.at({})?;",
            ident(&field.name),
            read(item, field),
            item.path(field)
        );
        match item.condition(field.versions) {
            None => writeln!(out, "            {read}").unwrap(),
            Some(condition) => {
                writeln!(
                    out,
                    "            if {condition} {{\n                {read}\n            }}"
                )
                .unwrap();
            }
        }
    }
    if item.is_ever_flexible() {
        emit_tagged(out, item);
    }
    out.push_str("            Ok(it)\n        }\n    }\n");
}

fn emit_tagged(out: &mut String, item: &Item<'_>) {
    out.push_str("            if flexible {\n");
    let tagged: Vec<&Field> = item.fields.iter().filter(|field| field.tag.is_some()).collect();
    if tagged.is_empty() {
        out.push_str("                d.tagged_fields(|_, _| Ok(false))?;\n            }\n");
        return;
    }
    out.push_str("                d.tagged_fields(|tag, d| {\n                    match tag {\n");
    for field in &tagged {
        let tag = field.tag.unwrap_or_default();
        let guard = item
            .condition(field.versions)
            .map(|condition| format!(" if {condition}"));
        let (name, read, path) = (ident(&field.name), read(item, field), item.path(field));
        writeln!(
            out,
            "                        {tag}{} => it.{name} = {read}.at({path})?,",
            guard.unwrap_or_default()
        )
        .unwrap();
    }
    let later: Vec<String> = tagged
        .iter()
        .filter(|field| item.condition(field.versions).is_some())
        .filter_map(|field| field.tag.map(|tag| tag.to_string()))
        .collect();
    if !later.is_empty() {
        // As Kafka: a tag that only other versions have is an error, not an unknown tag.
        let tags = later.join(" | ");
        writeln!(
            out,
            "                        {tags} => return Err(Fault::TagNotValid {{ tag }}.into()),"
        )
        .unwrap();
    }
    out.push_str("                        _ => return Ok(false),\n                    }\n");
    out.push_str("                    Ok(true)\n                })?;\n            }\n");
}

/// The expression that reads `field`, a `Result`.
fn read(item: &Item<'_>, field: &Field) -> String {
    let Some(nullable) = field.nullable else {
        return read_value(field);
    };
    match item.condition(nullable).filter(|_| nullable != field.versions) {
        None => read_nullable(field),
        Some(condition) => {
            format!(
                "if {condition} {{ {} }} else {{ {}.map(Some) }}",
                read_nullable(field),
                read_value(field)
            )
        }
    }
}

fn read_value(field: &Field) -> String {
    let flexible = if field.inflexible { "false" } else { "flexible" };
    if field.array {
        return format!("d.array(version, {flexible})");
    }
    match &field.ty {
        Type::Bool => "d.bool()".to_owned(),
        Type::Int8 => "d.i8()".to_owned(),
        Type::Int16 => "d.i16()".to_owned(),
        Type::Uint16 => "d.u16()".to_owned(),
        Type::Int32 => "d.i32()".to_owned(),
        Type::Uint32 => "d.u32()".to_owned(),
        Type::Int64 => "d.i64()".to_owned(),
        Type::Float64 => "d.f64()".to_owned(),
        Type::Uuid => "d.uuid()".to_owned(),
        Type::String => format!("d.string({flexible})"),
        Type::Bytes => format!("d.bytes({flexible})"),
        Type::Records => format!("d.records({flexible})"),
        Type::Struct(name) => format!("{name}::decode(d, version)"),
    }
}

fn read_nullable(field: &Field) -> String {
    let flexible = if field.inflexible { "false" } else { "flexible" };
    if field.array {
        return format!("d.array_or_null(version, {flexible})");
    }
    match &field.ty {
        Type::String => format!("d.string_or_null({flexible})"),
        Type::Bytes => format!("d.bytes_or_null({flexible})"),
        Type::Records => format!("d.records_or_null({flexible})"),
        Type::Struct(name) => {
            let how = if field.tag.is_some() {
                "tagged_struct_or_null"
            } else {
                "struct_or_null"
            };
            format!("d.{how}(|d| {name}::decode(d, version))")
        }
        _ => panic!(
            "{}: only strings, bytes, records, arrays and structs can be null",
            field.name
        ),
    }
}
