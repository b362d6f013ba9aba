//! What a record holds as JSON, with Kafka's names: for people who look at files. Nothing of the protocol is JSON.

use std::fmt::Write;

use super::array::{Array, Element};
use super::message::{Blob, Str};
use crate::base::TopicId;

/// Something that can be shown as JSON, as Kafka's `*JsonConverter` of the same message does.
pub trait ToJson {
    /// Appends one JSON value: what `version` of the message has of it.
    fn write_json(&self, out: &mut String, version: i16);
}

/// A JSON object while it is written.
pub struct Fields<'a> {
    out: &'a mut String,
    version: i16,
    is_first: bool,
}

impl<'a> Fields<'a> {
    /// Begins one at the end of `out`, for a message of `version`.
    pub fn begin(out: &'a mut String, version: i16) -> Fields<'a> {
        out.push('{');
        Fields {
            out,
            version,
            is_first: true,
        }
    }

    /// Adds a field.
    pub fn put(&mut self, name: &str, value: &(impl ToJson + ?Sized)) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(',');
        }
        write_text(self.out, name);
        self.out.push(':');
        value.write_json(self.out, self.version);
    }

    /// Ends it.
    pub fn end(self) {
        self.out.push('}');
    }
}

/// Appends `text` as a JSON string.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    write_escaped(out, text);
    out.push('"');
}

/// Appends what stands between the quotes of a JSON string, or a piece of it.
pub fn write_escaped(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // What would move a terminal's cursor is escaped too, though JSON only asks for what lies below the space.
            letter if letter.is_control() => put(out, format_args!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a string takes everything");
}

macro_rules! as_displayed {
    ($($ty:ty),*) => {$(
        impl ToJson for $ty {
            fn write_json(&self, out: &mut String, _: i16) {
                put(out, format_args!("{self}"));
            }
        }
    )*};
}

as_displayed!(bool, i8, i16, u16, i32, u32, i64, u64, usize);

impl ToJson for f64 {
    /// JSON has no number for what is not finite: text, as Kafka's.
    fn write_json(&self, out: &mut String, _: i16) {
        match self.is_finite() {
            true => put(out, format_args!("{self:?}")),
            false => put(out, format_args!("\"{self}\"")),
        }
    }
}

impl ToJson for TopicId {
    fn write_json(&self, out: &mut String, _: i16) {
        put(out, format_args!("\"{self}\""));
    }
}

impl ToJson for str {
    fn write_json(&self, out: &mut String, _: i16) {
        write_text(out, self);
    }
}

impl ToJson for Str<'_> {
    fn write_json(&self, out: &mut String, _: i16) {
        write_text(out, self);
    }
}

impl ToJson for Blob<'_> {
    /// Base64 (RFC 4648, padded), as Kafka's.
    fn write_json(&self, out: &mut String, _: i16) {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        out.push('"');
        for group in self.chunks(3) {
            let three = [
                group[0],
                group.get(1).copied().unwrap_or(0),
                group.get(2).copied().unwrap_or(0),
            ];
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for digit in 0..4 {
                let six = (bits >> (18 - 6 * digit)) as usize & 63;
                out.push(if digit <= group.len() {
                    DIGITS[six] as char
                } else {
                    '='
                });
            }
        }
        out.push('"');
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write_json(&self, out: &mut String, version: i16) {
        match self {
            Some(value) => value.write_json(out, version),
            None => out.push_str("null"),
        }
    }
}

impl<'a, T: Element<'a> + ToJson> ToJson for Array<'a, T> {
    fn write_json(&self, out: &mut String, version: i16) {
        out.push('[');
        for (index, element) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            element.write_json(out, version);
        }
        out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{PartitionChangeRecord, UserScramCredentialRecord, VotersRecord};
    use proptest::prelude::*;

    fn json_of(value: &(impl ToJson + ?Sized), version: i16) -> String {
        let mut out = String::new();
        value.write_json(&mut out, version);
        out
    }

    #[test]
    fn a_tagged_field_shows_when_it_is_set_and_in_its_version() {
        let mut change = PartitionChangeRecord {
            partition_id: 3,
            ..Default::default()
        };
        let id = "\"topicId\":\"AAAAAAAAAAAAAAAAAAAAAA\"";
        assert_eq!(json_of(&change, 2), format!("{{\"partitionId\":3,{id}}}"));
        change.leader = -1;
        change.last_known_elr = Some(vec![1, 2].into());
        let shown = json_of(&change, 2);
        assert_eq!(
            shown,
            format!("{{\"partitionId\":3,{id},\"leader\":-1,\"lastKnownElr\":[1,2]}}")
        );
        assert_eq!(
            json_of(&change, 1),
            format!("{{\"partitionId\":3,{id},\"leader\":-1}}")
        );
    }

    #[test]
    fn structs_inside_and_bytes_show_as_kafkas() {
        let voters = VotersRecord {
            voters: vec![Default::default()].into(),
            ..Default::default()
        };
        let shown = json_of(&voters, 0);
        assert!(
            shown.contains("\"kRaftVersionFeature\":{\"minSupportedVersion\":0,"),
            "{shown}"
        );
        for (salt, shown) in [
            (&b""[..], ""),
            (b"a", "YQ=="),
            (b"ab", "YWI="),
            (b"\xfb\xff\xfe", "+//+"),
        ] {
            let credential = UserScramCredentialRecord {
                salt: salt.into(),
                ..Default::default()
            };
            let json = json_of(&credential, 0);
            assert!(json.contains(&format!("\"salt\":\"{shown}\"")), "{json}");
        }
    }

    #[test]
    fn a_number_without_end_is_text() {
        assert_eq!(json_of(&0.5, 0), "0.5");
        assert_eq!(json_of(&f64::NAN, 0), "\"NaN\"");
    }

    /// Any letter, and often one that has to be escaped.
    fn letter() -> impl Strategy<Value = char> {
        prop_oneof![any::<char>(), (0..0xa0u8).prop_map(char::from)]
    }

    proptest! {
        #[test]
        fn any_text_reads_back(letters in prop::collection::vec(letter(), 0..20)) {
            let text: String = letters.into_iter().collect();
            let read: serde_json::Value = serde_json::from_str(&json_of(text.as_str(), 0)).unwrap();
            prop_assert_eq!(read, serde_json::Value::String(text));
        }
    }
}
