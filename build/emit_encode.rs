//! Writes the writing half of a struct's codec.

use std::fmt::Write;

use crate::emit::{Item, ident, is_not_default};
use crate::schema::{Field, Type};

/// `impl Encode` of `item`.
pub fn emit(out: &mut String, item: &Item<'_>) {
    writeln!(out, "\n    impl Encode for {} {{", item.type_with("'_")).unwrap();
    out.push_str("        fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError> {\n");
    if item.is_message() {
        out.push_str("            encoder::check_version(version, &Self::VERSIONS)?;\n");
    }
    writeln!(out, "{}", item.flexible_line()).unwrap();
    for field in item.fields {
        match field.tag {
            None => emit_field(out, item, field),
            Some(_) => emit_absence(out, item, field),
        }
    }
    if item.is_ever_flexible() {
        emit_tagged(out, item);
    }
    out.push_str("            Ok(())\n        }\n    }\n");
}

fn emit_field(out: &mut String, item: &Item<'_>, field: &Field) {
    let condition = item.condition(field.versions);
    if let Some(condition) = &condition {
        writeln!(out, "            if {condition} {{").unwrap();
    }
    if let Some(condition) = refuses_null(item, field) {
        let (name, path) = (ident(&field.name), item.path(field));
        writeln!(out, "            if {condition} && self.{name}.is_none() {{").unwrap();
        writeln!(
            out,
            "                return Err(EncodeError::Null {{ field: {path}, version }});\n            }}"
        )
        .unwrap();
    }
    writeln!(out, "            {}", put(field)).unwrap();
    if condition.is_some() {
        out.push_str("            }\n");
        emit_absence(out, item, field);
    }
}

/// What happens when the version lacks the field.
fn emit_absence(out: &mut String, item: &Item<'_>, field: &Field) {
    let (Some(condition), false) = (item.condition(field.versions), field.ignorable) else {
        return;
    };
    let set = is_not_default(field, &format!("self.{}", ident(&field.name)));
    writeln!(out, "            if !({condition}) && {set} {{").unwrap();
    let path = item.path(field);
    writeln!(
        out,
        "                return Err(EncodeError::NotInVersion {{ field: {path}, version }});\n            }}"
    )
    .unwrap();
}

/// The condition under which the field is there but must not be null.
fn refuses_null(item: &Item<'_>, field: &Field) -> Option<String> {
    let nullable = field.nullable.filter(|nullable| *nullable != field.versions)?;
    item.condition(nullable)
        .map(|condition| format!("!({condition})"))
}

fn emit_tagged(out: &mut String, item: &Item<'_>) {
    let mut tagged: Vec<(u32, &Field)> = item
        .fields
        .iter()
        .filter_map(|field| field.tag.map(|tag| (tag, field)))
        .collect();
    tagged.sort_by_key(|(tag, _)| *tag);
    out.push_str("            if flexible {\n");
    if tagged.is_empty() {
        out.push_str("                e.put_uvarint(0);\n            }\n");
        return;
    }
    for (tag, field) in &tagged {
        let set = is_not_default(field, &format!("self.{}", ident(&field.name)));
        let set = match item.condition(field.versions) {
            Some(condition) => format!("{condition} && {set}"),
            None => set,
        };
        writeln!(out, "                let has_{tag} = {set};").unwrap();
    }
    let count: Vec<String> = tagged
        .iter()
        .map(|(tag, _)| format!("u32::from(has_{tag})"))
        .collect();
    writeln!(out, "                e.put_uvarint({});", count.join(" + ")).unwrap();
    for (tag, field) in &tagged {
        writeln!(
            out,
            "                if has_{tag} {{\n                    e.put_tagged({tag}, |e| {{"
        )
        .unwrap();
        writeln!(
            out,
            "                        {}\n                        Ok(())",
            put(field)
        )
        .unwrap();
        out.push_str("                    })?;\n                }\n");
    }
    out.push_str("            }\n");
}

/// The statement that writes `field`.
fn put(field: &Field) -> String {
    let place = format!("self.{}", ident(&field.name));
    let flexible = if field.inflexible { "false" } else { "flexible" };
    if field.array {
        return match field.nullable {
            None => format!("e.put_array(&{place}, version, {flexible})?;"),
            Some(_) => format!("e.put_array_or_null({place}.as_ref(), version, {flexible})?;"),
        };
    }
    match (&field.ty, field.nullable.is_some()) {
        (Type::Bool, _) => format!("e.put_bool({place});"),
        (Type::Int8, _) => format!("e.put_i8({place});"),
        (Type::Int16, _) => format!("e.put_i16({place});"),
        (Type::Uint16, _) => format!("e.put_u16({place});"),
        (Type::Int32, _) => format!("e.put_i32({place});"),
        (Type::Uint32, _) => format!("e.put_u32({place});"),
        (Type::Int64, _) => format!("e.put_i64({place});"),
        (Type::Float64, _) => format!("e.put_f64({place});"),
        (Type::Uuid, _) => format!("e.put_uuid({place});"),
        (Type::String, false) => format!("e.put_string(&{place}, {flexible})?;"),
        (Type::String, true) => format!("e.put_string_or_null({place}.as_deref(), {flexible})?;"),
        (Type::Bytes, false) => format!("e.put_bytes(&{place}, {flexible})?;"),
        (Type::Bytes, true) => format!("e.put_bytes_or_null({place}.as_deref(), {flexible})?;"),
        (Type::Records, false) => format!("e.put_records(&{place}, {flexible})?;"),
        (Type::Records, true) => format!("e.put_records_or_null({place}.as_ref(), {flexible})?;"),
        (Type::Struct(_), false) => format!("{place}.encode(e, version)?;"),
        (Type::Struct(_), true) => {
            // Kafka says whether there is one by a signed byte, but in a tagged field by an unsigned varint.
            let (some, none) = match field.tag {
                Some(_) => ("e.put_uvarint(1)", "e.put_uvarint(0)"),
                None => ("e.put_i8(1)", "e.put_i8(-1)"),
            };
            format!("match &{place} {{ Some(it) => {{ {some}; it.encode(e, version)?; }} None => {none}, }}")
        }
    }
}
