//! The lines that a dump prints, as text or as JSON.

use std::fmt::{Display, Write as _};
use std::io;
use std::path::Path;

use crate::cli::Failure;
use crate::wire::batch::Headers;
use crate::wire::json::{ToJson, write_escaped, write_text};

/// Output is written when this much has gathered.
const BUFFER_BYTES: usize = 64 << 10;

/// A long key or value is written in such pieces, so that no more than a few of them are held as text.
const PIECE_BYTES: usize = 16 << 10;

/// Why a file is left before its end.
#[derive(Debug)]
pub enum Stop {
    /// It can't be read.
    Unreadable(io::Error),
    /// Nothing more can be printed.
    Output(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Unreadable(error)
    }
}

/// Where in a file something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In all of it.
    File,
    /// At this byte, from 0.
    Byte(u64),
    /// In this line, from 1.
    Line(usize),
}

/// What stands in a field of a line.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(i64),
    /// A word or a text.
    Text(String),
    /// A key or a value of a record: shown as text if it is one, else in hexadecimal.
    Bytes(&'a [u8]),
    /// A record's headers.
    Headers(Headers<'a>),
    /// JSON already.
    Json(String),
}

macro_rules! values {
    ($($ty:ty => $it:ident $value:expr;)*) => {$(
        impl From<$ty> for Value<'_> {
            fn from($it: $ty) -> Self {
                $value
            }
        }
    )*};
}

values! {
    bool => it Value::Bool(it);
    i16 => it Value::Number(it.into());
    i32 => it Value::Number(it.into());
    u32 => it Value::Number(it.into());
    i64 => it Value::Number(it);
    // Sizes and positions in files: the system's own are signed.
    u64 => it Value::Number(i64::try_from(it).unwrap_or(i64::MAX));
    usize => it Value::Number(i64::try_from(it).unwrap_or(i64::MAX));
    &str => it Value::Text(it.to_owned());
    String => it Value::Text(it);
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Value::Bytes(bytes)
    }
}

impl<'a> From<Headers<'a>> for Value<'a> {
    fn from(headers: Headers<'a>) -> Self {
        Value::Headers(headers)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// Whether a text can be told from what follows it without quotes.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '"')
}

/// One line: what it tells of, and that by names.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    what: &'static str,
    fields: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Line<'a> {
    /// One about `what`.
    pub fn new(what: &'static str) -> Line<'a> {
        Line {
            what,
            fields: Vec::new(),
        }
    }

    /// The same with one more field.
    pub fn with(mut self, name: &'static str, value: impl Into<Value<'a>>) -> Line<'a> {
        self.fields.push((name, value.into()));
        self
    }
}

/// Where the lines go.
pub struct Output<'a> {
    sink: &'a mut dyn io::Write,
    is_json: bool,
    buffer: String,
    /// The file that the lines are about.
    path: String,
    problem_count: u64,
}

impl<'a> Output<'a> {
    /// Prints to `sink`.
    pub fn new(sink: &'a mut dyn io::Write, is_json: bool) -> Output<'a> {
        Output {
            sink,
            is_json,
            buffer: String::new(),
            path: String::new(),
            problem_count: 0,
        }
    }

    /// What follows is about the file at `path`.
    pub fn begin_file(&mut self, path: &Path) {
        self.path = path.display().to_string();
    }

    /// Prints one line.
    pub fn line(&mut self, line: &Line<'_>) -> Result<(), Stop> {
        let put = match self.is_json {
            true => self.put_json(line),
            false => self.put_text(line),
        };
        self.buffer.push('\n');
        put.and_then(|()| self.spill()).map_err(Stop::Output)
    }

    /// Says what is wrong at a place of the file.
    pub fn problem(&mut self, place: Place, what: &dyn Display) -> Result<(), Stop> {
        self.problem_count += 1;
        self.remark("problem", place, what)
    }

    /// Says what is worth knowing of a place of the file, and not wrong.
    pub fn note(&mut self, place: Place, what: &dyn Display) -> Result<(), Stop> {
        self.remark("note", place, what)
    }

    /// How many problems there were.
    pub fn problem_count(&self) -> u64 {
        self.problem_count
    }

    /// Writes what has gathered.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let written = self.sink.write_all(self.buffer.as_bytes());
        self.buffer.clear();
        written
            .and_then(|()| self.sink.flush())
            .map_err(Failure::of_output)
    }

    /// Writes what has gathered, if it is enough.
    fn spill(&mut self) -> Result<(), Failure> {
        match self.buffer.len() < BUFFER_BYTES {
            true => Ok(()),
            false => self.flush(),
        }
    }

    fn remark(&mut self, kind: &'static str, place: Place, what: &dyn Display) -> Result<(), Stop> {
        let line = match place {
            Place::File => Line::new(kind),
            Place::Byte(position) => Line::new(kind).with("position", position),
            Place::Line(number) => Line::new(kind).with("line", number),
        };
        self.line(&line.with("text", what.to_string()))
    }

    fn put_json(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        self.buffer.push_str("{\"file\":");
        write_text(&mut self.buffer, &self.path);
        self.buffer.push_str(",\"what\":");
        write_text(&mut self.buffer, line.what);
        for (name, value) in &line.fields {
            self.buffer.push(',');
            write_text(&mut self.buffer, name);
            self.buffer.push(':');
            self.put(value)?;
        }
        self.buffer.push('}');
        Ok(())
    }

    /// A file's line begins at the margin with the file, every other is indented under it.
    fn put_text(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        match line.what {
            "file" => self.buffer.push_str(&self.path),
            what => {
                self.buffer.push_str(if what == "record" { "    " } else { "  " });
                self.buffer.push_str(what);
            }
        }
        for (name, value) in &line.fields {
            write!(self.buffer, " {name}: ").expect("a string takes everything");
            self.put(value)?;
        }
        Ok(())
    }

    fn put(&mut self, value: &Value<'_>) -> Result<(), Failure> {
        let out = &mut self.buffer;
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => value.write_json(out, 0),
            Value::Number(value) => value.write_json(out, 0),
            Value::Text(text) if !self.is_json && is_word(text) => out.push_str(text),
            Value::Text(text) => write_text(out, text),
            Value::Json(json) => out.push_str(json),
            Value::Bytes(bytes) => return self.put_bytes(bytes),
            Value::Headers(headers) => return self.put_headers(headers),
        }
        Ok(())
    }

    fn put_headers(&mut self, headers: &Headers<'_>) -> Result<(), Failure> {
        self.buffer.push('[');
        for (index, (name, value)) in headers.clone().enumerate() {
            self.buffer
                .push_str(if index > 0 { ",{\"name\":" } else { "{\"name\":" });
            self.put_bytes(name.as_bytes())?;
            self.buffer.push_str(",\"value\":");
            self.put(&value.into())?;
            self.buffer.push('}');
        }
        self.buffer.push(']');
        Ok(())
    }

    fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.put_quoted(text),
            Err(_) => self.put_hex(bytes),
        }
    }

    fn put_quoted(&mut self, text: &str) -> Result<(), Failure> {
        self.buffer.push('"');
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            write_escaped(&mut self.buffer, piece);
            self.spill()?;
            rest = behind;
        }
        self.buffer.push('"');
        Ok(())
    }

    fn put_hex(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.buffer
            .push_str(if self.is_json { "{\"hex\":\"" } else { "0x" });
        for piece in bytes.chunks(PIECE_BYTES) {
            for byte in piece {
                write!(self.buffer, "{byte:02x}").expect("a string takes everything");
            }
            self.spill()?;
        }
        self.buffer.push_str(if self.is_json { "\"}" } else { "" });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(is_json: bool) -> String {
        let mut sink = Vec::new();
        let mut output = Output::new(&mut sink, is_json);
        output.begin_file(Path::new("a/b.log"));
        let line = Line::new("record")
            .with("offset", 7i64)
            .with("key", Value::Null)
            .with("value", &b"two \"words\"\n"[..])
            .with("other", &b"\xff\x00"[..])
            .with("codec", "none")
            .with("empty", "")
            .with("ok", true);
        output.line(&Line::new("file").with("bytes", 12u64)).unwrap();
        output.line(&line).unwrap();
        output.problem(Place::Byte(61), &"not a batch").unwrap();
        output.note(Place::Line(2), &"x").unwrap();
        assert_eq!(output.problem_count(), 1);
        output.flush().unwrap();
        String::from_utf8(sink).unwrap()
    }

    #[test]
    fn text_names_the_file_once() {
        let expected = "a/b.log bytes: 12\n    record offset: 7 key: null value: \"two \\\"words\\\"\\n\" other: 0xff00 \
                        codec: none empty: \"\" ok: true\n  problem position: 61 text: \"not a batch\"\n  \
                        note line: 2 text: x\n";
        assert_eq!(printed(false), expected);
    }

    #[test]
    fn json_names_it_in_every_line() {
        let lines: Vec<serde_json::Value> = printed(true)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.iter().all(|line| line["file"] == "a/b.log"));
        assert_eq!(lines[1]["value"], "two \"words\"\n");
        assert_eq!(lines[1]["other"]["hex"], "ff00");
        assert_eq!(
            (&lines[2]["what"], &lines[2]["position"]),
            (&"problem".into(), &61.into())
        );
    }

    #[test]
    fn a_reader_that_left_ends_it_quietly() {
        struct Closed;
        impl io::Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = Closed;
        let mut output = Output::new(&mut sink, false);
        output.line(&Line::new("file")).unwrap();
        assert!(matches!(output.flush(), Err(Failure::OutputClosed)));
    }
}
