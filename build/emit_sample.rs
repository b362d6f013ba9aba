//! Writes, for tests only, how to make up a value of each struct, and the list of all messages.

use std::fmt::Write;

use crate::emit::{Item, ident, snake_case};
use crate::schema::{Field, Message, Type};

/// `impl Sample` of `item`: fields that the version lacks keep their defaults.
pub fn emit(out: &mut String, item: &Item<'_>) {
    writeln!(
        out,
        "\n    #[cfg(test)]\n    impl Sample for {} {{",
        item.type_with("'_")
    )
    .unwrap();
    out.push_str("        fn sample(s: &mut Source, version: i16) -> Self {\n");
    out.push_str("            let mut it = Self::default();\n");
    for field in item.fields {
        let made = format!("it.{} = {};", ident(&field.name), made(item, field));
        match item.condition(field.versions) {
            None => writeln!(out, "            {made}").unwrap(),
            Some(condition) => writeln!(out, "            if {condition} {{ {made} }}").unwrap(),
        }
    }
    out.push_str("            it\n        }\n    }\n");
}

fn made(item: &Item<'_>, field: &Field) -> String {
    let one = match &field.ty {
        Type::Bool => "s.bool()".to_owned(),
        Type::Int8 => "s.u64() as i8".to_owned(),
        Type::Int16 => "s.u64() as i16".to_owned(),
        Type::Uint16 => "s.u64() as u16".to_owned(),
        Type::Int32 => "s.u64() as i32".to_owned(),
        Type::Uint32 => "s.u64() as u32".to_owned(),
        Type::Int64 => "s.u64() as i64".to_owned(),
        Type::Float64 => "s.u64() as i32 as f64".to_owned(),
        Type::Uuid => "s.uuid()".to_owned(),
        Type::String => "s.string()".to_owned(),
        Type::Bytes => "s.bytes()".to_owned(),
        Type::Records => "s.records()".to_owned(),
        Type::Struct(name) => format!("{name}::sample(s, version)"),
    };
    let value = if field.array {
        format!("s.array(|s| {one})")
    } else {
        one
    };
    match field.nullable {
        None => value,
        Some(nullable) => {
            let may = item.condition(nullable).unwrap_or_else(|| "true".to_owned());
            format!("s.nullable({may}, |s| {value})")
        }
    }
}

/// A macro that passes the path of every message to another macro.
pub fn table(messages: &[Message]) -> String {
    let mut out = String::from("\n#[cfg(any(test, fuzzing))]\n");
    out.push_str("macro_rules! for_each_message {\n    ($then:ident) => {\n");
    out.push_str("        $then! {\n");
    for message in messages {
        writeln!(
            out,
            "            {}::{};",
            snake_case(&message.name),
            message.name
        )
        .unwrap();
    }
    out.push_str("        }\n    };\n}\n");
    out
}
