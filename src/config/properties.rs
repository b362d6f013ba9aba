//! Java's properties form, which Kafka's `server.properties` is written in.
//!
//! The rules are those of `java.util.Properties.load`: `#` and `!` start a comment line, a key ends at the first
//! unescaped `=`, `:` or blank, a backslash at a line's end continues it (the next line's leading blanks are
//! dropped), and `\t \n \r \f \uXXXX` are escapes. The text is read as UTF-8.

use std::fmt;

/// One `key = value` of a file, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The line that the key starts on, from 1.
    pub line: usize,
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; leading blanks are gone, trailing ones stay (as in Java).
    pub value: String,
}

/// A file that isn't in properties form: only `\u` escapes can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedEscape {
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for MalformedEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: \\u is not followed by four hexadecimal digits of a character",
            self.line
        )
    }
}

/// All properties of `text` in order, repeated keys included: who reads them lets the last win.
pub fn parse(text: &str) -> Result<Vec<Property>, MalformedEscape> {
    logical_lines(text)
        .map(|(line, content)| split(line, &content))
        .collect()
}

/// Joins continued lines and leaves out comments and blank lines. A comment line can't be continued.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let mut lines = natural_lines(text).enumerate();
    std::iter::from_fn(move || {
        loop {
            let (index, first) = lines.next()?;
            let first = first.trim_start_matches(is_blank);
            if first.is_empty() || first.starts_with(['#', '!']) {
                continue;
            }
            let mut whole = first.to_owned();
            while ends_in_continuation(&whole) {
                whole.pop();
                match lines.next() {
                    Some((_, next)) => whole.push_str(next.trim_start_matches(is_blank)),
                    None => break,
                }
            }
            return Some((index + 1, whole));
        }
    })
}

/// Lines end at `\n`, `\r` or both.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        match now.find(['\n', '\r']) {
            None => rest = None,
            Some(end) => {
                let ending = if now[end..].starts_with("\r\n") { 2 } else { 1 };
                rest = Some(&now[end + ending..]);
                return Some(&now[..end]);
            }
        }
        Some(now)
    })
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// An odd number of backslashes at the end: the last one isn't itself escaped.
fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

fn split(line: usize, content: &str) -> Result<Property, MalformedEscape> {
    let key_end = key_end(content);
    let rest = content[key_end..].trim_start_matches(is_blank);
    let value = rest
        .strip_prefix(['=', ':'])
        .map_or(rest, |v| v.trim_start_matches(is_blank));
    let unescaped = |part| unescape(part).ok_or(MalformedEscape { line });
    Ok(Property {
        line,
        key: unescaped(&content[..key_end])?,
        value: unescaped(value)?,
    })
}

fn key_end(content: &str) -> usize {
    let mut escaped = false;
    for (at, c) in content.char_indices() {
        if !escaped && (matches!(c, '=' | ':') || is_blank(c)) {
            return at;
        }
        escaped = c == '\\' && !escaped;
    }
    content.len()
}

/// `None` when a `\u` escape is malformed. UTF-16 surrogates come as two escapes.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut high_surrogate: Option<u32> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    let unit = hex_unit(&mut chars)?;
                    match (high_surrogate.take(), unit) {
                        (None, 0xD800..0xDC00) => {
                            high_surrogate = Some(unit);
                            continue;
                        }
                        (Some(high), 0xDC00..0xE000) => {
                            char::from_u32(0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00))?
                        }
                        (None, unit) => char::from_u32(unit)?,
                        (Some(_), _) => return None,
                    }
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        if high_surrogate.is_some() {
            return None;
        }
        out.push(plain);
    }
    high_surrogate.is_none().then_some(out)
}

fn hex_unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit << 4 | chars.next()?.to_digit(16)?;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|p| (p.key, p.value))
            .collect()
    }

    #[test]
    fn reads_javas_properties_form() {
        let table: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("# comment\n! comment\n\n   \t\n", &[]),
            ("a=b", &[("a", "b")]),
            ("a = b ", &[("a", "b ")]),
            ("a:b", &[("a", "b")]),
            ("a b", &[("a", "b")]),
            ("  a\t=\t b\r\nc=d\re=f", &[("a", "b"), ("c", "d"), ("e", "f")]),
            ("a==b", &[("a", "=b")]),
            ("a : = b", &[("a", "= b")]),
            ("a", &[("a", "")]),
            ("a=", &[("a", "")]),
            ("a=b#c", &[("a", "b#c")]),
            ("a=1,\\\n   2,\\\n 3\nb=4", &[("a", "1,2,3"), ("b", "4")]),
            ("a=1\\\\\nb=2", &[("a", "1\\"), ("b", "2")]),
            ("a=1\\", &[("a", "1")]),
            ("a\\=b\\ c=d", &[("a=b c", "d")]),
            ("a=\\t\\n\\r\\f\\q\\\\", &[("a", "\t\n\r\u{c}q\\")]),
            ("a=\\u00e9\\u20AC\\ud83d\\ude00", &[("a", "é€😀")]),
            ("# not continued \\\na=b", &[("a", "b")]),
            ("a=x\na=y", &[("a", "x"), ("a", "y")]),
        ];
        for (text, expected) in table {
            let expected: Vec<_> = expected
                .iter()
                .map(|&(k, v)| (k.to_owned(), v.to_owned()))
                .collect();
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_the_line_that_a_key_starts_on() {
        let lines: Vec<_> = parse("\n#\na=\\\nb\nc=d")
            .unwrap()
            .iter()
            .map(|p| p.line)
            .collect();
        assert_eq!(lines, [3, 5]);
    }

    #[test]
    fn malformed_unicode_escapes_are_refused_by_line() {
        for text in [
            "a=\\u12",
            "a=\\u12xz",
            "a=\\ud800",
            "a=\\ud800x",
            "a=\\ud800\\u0041",
            "a=\\udc00",
        ] {
            assert_eq!(
                parse(&format!("x=y\n{text}")),
                Err(MalformedEscape { line: 2 }),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[ -~\\n\\r\\t\\\\=:#!u0-9a-fé]{0,200}") {
            let _ = parse(&text);
        }
    }
}
