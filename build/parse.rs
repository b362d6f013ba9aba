//! Reads the notation of `src/wire/schema/*.msg`.
//!
//! A file holds messages; `#` starts a comment. A message opens at the left margin:
//!
//! ```text
//! request FetchRequest  api 1  versions 4-18  flexible 12+  unstable 18  on broker controller
//! ```
//!
//! with `request`, `response` (both with `api`), `record`, `key`, `value` (with `id`), `header` or `data`. Each
//! field is a line two spaces further in than what contains it:
//!
//! ```text
//!   topics     [FetchTopic]?7+  4-12  tag 0  = -1  inflexible  ignorable
//!     topic    string
//! ```
//!
//! that is a name; a type (`[…]` for an array; `?` if it may be null, `?7+` if only in those versions); then, in any
//! order, the versions that have it (all of the parent's when not said), its tag, its default (`null`, or the
//! type's zero when not said), and the two words. The fields of a struct follow where it is first named;
//! `struct Name` opens one that several fields share.

use std::fmt;

use super::schema::{Field, Kind, Message, Struct, Type, Versions};

/// What is wrong, and in which line.
#[derive(Debug)]
pub struct ParseError {
    line: usize,
    why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// All messages of one file.
pub fn parse(text: &str) -> Result<Vec<Message>, ParseError> {
    let mut lines = Lines::new(text);
    let mut messages = Vec::new();
    while let Some(line) = lines.next_at(0) {
        messages.push(parse_message(&line, &mut lines)?);
    }
    match lines.peek() {
        Some(line) => Err(line.error("expected a message at the left margin")),
        None => Ok(messages),
    }
}

fn parse_message(line: &Line<'_>, lines: &mut Lines<'_>) -> Result<Message, ParseError> {
    let mut words = line.words();
    let kind = words.next().unwrap_or_default();
    let name = words.next().ok_or_else(|| line.error("expected a name"))?;
    let (mut id, mut versions, mut flexible_from, mut unstable) = (None, None, None, None);
    let mut listeners = Vec::new();
    while let Some(word) = words.next() {
        let value = words
            .next()
            .ok_or_else(|| line.error(&format!("{word} needs a value")))?;
        match word {
            "api" | "id" => id = Some(number(value, line)?),
            "versions" => versions = Some(range(value, None, line)?),
            "flexible" => flexible_from = Some(number(value.trim_end_matches('+'), line)?),
            "unstable" => unstable = Some(number(value, line)?),
            "on" => {
                listeners = std::iter::once(value)
                    .chain(words.by_ref())
                    .map(str::to_owned)
                    .collect()
            }
            _ => return Err(line.error(&format!("unknown word {word}"))),
        }
    }
    let id = || id.ok_or_else(|| line.error("expected its number"));
    let kind = match kind {
        "request" => Kind::Request(id()?),
        "response" => Kind::Response(id()?),
        "header" => Kind::Header,
        "data" => Kind::Data,
        "record" => Kind::Record(id()?),
        "key" => Kind::Key(id()?),
        "value" => Kind::Value(id()?),
        _ => return Err(line.error("expected a kind of message")),
    };
    let versions = versions.ok_or_else(|| line.error("expected versions"))?;
    let (fields, shared) = parse_fields(1, versions, lines)?;
    Ok(Message {
        kind,
        name: name.to_owned(),
        versions,
        flexible_from,
        unstable,
        listeners,
        fields,
        shared,
    })
}

/// The fields at `depth`, and the shared structs declared among them.
fn parse_fields(
    depth: usize,
    outer: Versions,
    lines: &mut Lines<'_>,
) -> Result<(Vec<Field>, Vec<Struct>), ParseError> {
    let (mut fields, mut shared) = (Vec::new(), Vec::new());
    while let Some(line) = lines.next_at(depth) {
        let mut words = line.words();
        if words.next() == Some("struct") {
            let name = words
                .next()
                .ok_or_else(|| line.error("expected a name"))?
                .to_owned();
            let (fields, _) = parse_fields(depth + 1, outer, lines)?;
            shared.push(Struct {
                name,
                versions: outer,
                fields,
            });
            continue;
        }
        let mut field = parse_field(&line, outer)?;
        (field.fields, _) = parse_fields(depth + 1, field.versions, lines)?;
        fields.push(field);
    }
    Ok((fields, shared))
}

fn parse_field(line: &Line<'_>, outer: Versions) -> Result<Field, ParseError> {
    let mut words = line.words();
    let name = words.next().unwrap_or_default().to_owned();
    let ty = words.next().ok_or_else(|| line.error("expected a type"))?;
    let (ty, nullable) = match ty.split_once('?') {
        Some((ty, versions)) => (ty, Some(versions)),
        None => (ty, None),
    };
    let element = ty.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let mut field = Field {
        name,
        ty: parse_type(element.unwrap_or(ty), line)?,
        array: element.is_some(),
        versions: outer,
        nullable: None,
        tag: None,
        default: None,
        ignorable: false,
        inflexible: false,
        fields: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| line.error(&format!("{word} needs a value")))
        };
        match word {
            "tag" => field.tag = Some(number(value()?, line)?),
            "=" => field.default = Some(value()?.to_owned()),
            "ignorable" => field.ignorable = true,
            "inflexible" => field.inflexible = true,
            _ => field.versions = range(word, Some(outer), line)?,
        }
    }
    field.nullable = match nullable {
        None => None,
        Some("") => Some(field.versions),
        Some(versions) => Some(range(versions, Some(field.versions), line)?),
    };
    Ok(field)
}

fn parse_type(word: &str, line: &Line<'_>) -> Result<Type, ParseError> {
    Ok(match word {
        "bool" => Type::Bool,
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "uint16" => Type::Uint16,
        "int32" => Type::Int32,
        "uint32" => Type::Uint32,
        "int64" => Type::Int64,
        "float64" => Type::Float64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "records" => Type::Records,
        name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Type::Struct(name.to_owned()),
        _ => return Err(line.error(&format!("unknown type {word}"))),
    })
}

/// `3`, `3-7`, or inside a message `3+`; always within `outer`.
fn range(word: &str, outer: Option<Versions>, line: &Line<'_>) -> Result<Versions, ParseError> {
    let versions = match (word.strip_suffix('+'), word.split_once('-'), outer) {
        (Some(from), _, Some(outer)) => Versions {
            from: number(from, line)?,
            to: outer.to,
        },
        (Some(_), _, None) => return Err(line.error("a message's versions need an end")),
        (None, Some((from, to)), _) => Versions {
            from: number(from, line)?,
            to: number(to, line)?,
        },
        (None, None, _) => Versions {
            from: number(word, line)?,
            to: number(word, line)?,
        },
    };
    if versions.from > versions.to || outer.is_some_and(|outer| !outer.contains(versions)) {
        return Err(line.error(&format!("versions {word} lie outside their parent's")));
    }
    Ok(versions)
}

fn number<N: std::str::FromStr>(word: &str, line: &Line<'_>) -> Result<N, ParseError> {
    word.parse()
        .map_err(|_| line.error(&format!("expected a number, found {word}")))
}

/// The lines that say something, with their depth.
struct Lines<'a> {
    lines: std::iter::Peekable<std::vec::IntoIter<Line<'a>>>,
}

#[derive(Clone)]
struct Line<'a> {
    number: usize,
    depth: usize,
    text: &'a str,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let told = text.lines().enumerate().filter_map(|(index, line)| {
            let line = line.split('#').next().unwrap_or_default().trim_end();
            let text = line.trim_start();
            let depth = (line.len() - text.len()) / 2;
            (!text.is_empty()).then_some(Line {
                number: index + 1,
                depth,
                text,
            })
        });
        Lines {
            lines: told.collect::<Vec<_>>().into_iter().peekable(),
        }
    }

    fn peek(&mut self) -> Option<&Line<'a>> {
        self.lines.peek()
    }

    /// The next line, if it stands at `depth`.
    fn next_at(&mut self, depth: usize) -> Option<Line<'a>> {
        self.lines.next_if(|line| line.depth == depth)
    }
}

impl<'a> Line<'a> {
    fn words(&self) -> std::str::SplitWhitespace<'a> {
        self.text.split_whitespace()
    }

    fn error(&self, why: &str) -> ParseError {
        ParseError {
            line: self.number,
            why: why.to_owned(),
        }
    }
}
