//! How `ringlog consume` prints a record: a template with fields in braces.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;

use crate::base::{Offset, PartitionIndex, Timestamp};

/// What stands where a key, value or header is null, as in Kafka's console consumer.
const NULL: &[u8] = b"null";

/// A record as the templates see it.
#[derive(Clone, Debug)]
pub struct Printable<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition it is in.
    pub partition: PartitionIndex,
    /// Its offset there.
    pub offset: Offset,
    /// Its timestamp, in ms since the Unix epoch.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order; a name may repeat.
    pub headers: &'a [(Cow<'a, str>, Option<&'a [u8]>)],
}

/// A parsed template.
///
/// `{topic}`, `{partition}`, `{offset}`, `{timestamp}`, `{key}`, `{value}`, `{headers}` (as `name=value,…`) and
/// `{header.NAME}` (the last of that name). Keys, values and headers are written as they are, or with `:hex` in
/// hexadecimal, or with `:u64` as an eight-byte big-endian number. `\n`, `\t`, `\r`, `\0` and `\\` are what they are in C;
/// `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key(Style),
    Value(Style),
    Headers(Style),
    Header(String, Style),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Hex,
    U64,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(template: &str) -> Result<Format, String> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut rest = template;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            let doubled = rest.starts_with(c);
            match c {
                '{' | '}' if doubled => {
                    text.push(c as u8);
                    rest = &rest[1..];
                }
                '{' => {
                    let (field, after) = rest.split_once('}').ok_or("a { without its }")?;
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(parse_field(field)?);
                    rest = after;
                }
                '}' => return Err("a } without its {; write }} for the character".into()),
                '\\' => {
                    let escaped = rest.chars().next().ok_or("a lone \\ at the end")?;
                    rest = &rest[escaped.len_utf8()..];
                    text.push(escape(escaped)?);
                }
                _ => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Format(parts))
    }
}

fn escape(c: char) -> Result<u8, String> {
    match c {
        'n' => Ok(b'\n'),
        't' => Ok(b'\t'),
        'r' => Ok(b'\r'),
        '0' => Ok(0),
        '\\' => Ok(b'\\'),
        _ => Err(format!(
            "unknown escape \\{c}; known are \\n, \\t, \\r, \\0 and \\\\"
        )),
    }
}

fn parse_field(field: &str) -> Result<Part, String> {
    let (name, style) = match field.rsplit_once(':') {
        None => (field, Style::Plain),
        Some((name, "hex")) => (name, Style::Hex),
        Some((name, "u64")) => (name, Style::U64),
        Some((_, style)) => return Err(format!("unknown style {style:?}; known are hex and u64")),
    };
    let part = match name {
        "key" => Part::Key(style),
        "value" => Part::Value(style),
        "headers" => Part::Headers(style),
        _ if name.starts_with("header.") => Part::Header(name["header.".len()..].into(), style),
        "topic" | "partition" | "offset" | "timestamp" if style != Style::Plain => {
            return Err(format!("{name} has no styles"));
        }
        "topic" => Part::Topic,
        "partition" => Part::Partition,
        "offset" => Part::Offset,
        "timestamp" => Part::Timestamp,
        _ => {
            return Err(format!(
                "unknown field {{{name}}}; known are topic, partition, offset, timestamp, key, value, headers, header.NAME"
            ));
        }
    };
    Ok(part)
}

impl Format {
    /// Appends the record to `out`.
    pub fn write(&self, record: &Printable<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Part::Partition => write_number(out, record.partition.0.into()),
                Part::Offset => write_number(out, record.offset.0),
                Part::Timestamp => write_number(out, record.timestamp.0),
                Part::Key(style) => style.write(record.key, out),
                Part::Value(style) => style.write(record.value, out),
                Part::Headers(style) => write_headers(record, *style, out),
                Part::Header(name, style) => {
                    let header = record.headers.iter().rev().find(|(n, _)| n == name);
                    style.write(header.and_then(|(_, value)| *value), out);
                }
            }
        }
    }
}

fn write_headers(record: &Printable<'_>, style: Style, out: &mut Vec<u8>) {
    for (i, (name, value)) in record.headers.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        style.write(*value, out);
    }
}

fn write_number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

impl Style {
    fn write(self, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(bytes) = bytes else {
            out.extend_from_slice(NULL);
            return;
        };
        match (self, <[u8; 8]>::try_from(bytes)) {
            (Style::Plain, _) => out.extend_from_slice(bytes),
            (Style::U64, Ok(eight)) => {
                out.extend_from_slice(u64::from_be_bytes(eight).to_string().as_bytes())
            }
            // What isn't eight bytes long is no such number; hexadecimal still shows all of it.
            (Style::Hex | Style::U64, _) => {
                let mut text = String::with_capacity(2 * bytes.len());
                for byte in bytes {
                    write!(text, "{byte:02x}").expect("a string takes everything");
                }
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(template: &str) -> String {
        let n = 68_791u64.to_be_bytes();
        let headers = [
            ("n", Some(&n[..])),
            ("a", Some(&b"x"[..])),
            ("a", Some(&b"y"[..])),
            ("z", None),
        ];
        let headers = headers.map(|(name, value)| (Cow::Borrowed(name), value));
        let record = Printable {
            topic: "ticks",
            partition: PartitionIndex(3),
            offset: Offset(1234),
            timestamp: Timestamp(-1),
            key: None,
            value: Some(b"\x01\xffv"),
            headers: &headers,
        };
        let mut out = Vec::new();
        template.parse::<Format>().unwrap().write(&record, &mut out);
        out.escape_ascii().to_string()
    }

    #[test]
    fn fields_are_filled_in() {
        let table = [
            (r"{value}\n", r"\x01\xffv\n"),
            ("{value:hex}", "01ff76"),
            ("{topic}-{partition}@{offset}", "ticks-3@1234"),
            ("{timestamp} {key}", "-1 null"),
            ("{header.n:u64}", "68791"),
            ("{header.n:hex}", "0000000000010cb7"),
            ("{header.a}", "y"),
            ("{header.a:u64}", "79"),
            ("{header.none}", "null"),
            ("{headers:hex}", "n=0000000000010cb7,a=78,a=79,z=null"),
            (r"{{{offset}}}\t\\\0é", r"{1234}\t\\\x00\xc3\xa9"),
            ("", ""),
        ];
        for (template, expected) in table {
            assert_eq!(print(template), expected, "{template}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("{value", "a { without its }"),
            ("value}", "a } without its {; write }} for the character"),
            ("{valeu}", "unknown field {valeu}"),
            ("{offset:hex}", "offset has no styles"),
            ("{value:base64}", "unknown style \"base64\""),
            (r"\q", "unknown escape \\q"),
            (r"x\", "a lone \\ at the end"),
        ];
        for (template, expected) in table {
            let error = template.parse::<Format>().unwrap_err();
            assert!(error.starts_with(expected), "{template}: {error}");
        }
    }
}
