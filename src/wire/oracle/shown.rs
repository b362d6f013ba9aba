//! A decoded message as its `Debug` shows it, which names every field, compared with Kafka's JSON of the same bytes.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// A value as `Debug` writes it.
#[derive(Debug, PartialEq)]
pub enum Shown {
    /// A number, a truth value, a uuid, `None`.
    Word(String),
    Text(String),
    List(Vec<Shown>),
    Struct(Vec<(String, Shown)>),
    /// Record batches, in the frame.
    Records(Box<Shown>),
}

impl Shown {
    pub fn parse(text: &str) -> Shown {
        let mut parser = Parser {
            rest: text.chars().peekable(),
        };
        let value = parser.value();
        assert_eq!(parser.rest.next(), None, "behind the value");
        value
    }

    /// Whether `kafkas` says the same, field by field; else what differs.
    pub fn compare(&self, kafkas: &Value) -> Result<(), String> {
        let same = match (self, kafkas) {
            (Shown::Word(word), Value::Null) => word == "None",
            (Shown::Word(word), Value::Bool(kafkas)) => *word == kafkas.to_string(),
            (Shown::Word(word), Value::Number(kafkas)) => is_number(word, kafkas),
            // A uuid.
            (Shown::Word(word), Value::String(kafkas)) => word == kafkas,
            (Shown::Text(text), Value::String(kafkas)) => text == kafkas,
            (Shown::List(bytes), Value::String(kafkas)) => byte_values(bytes) == unbase64(kafkas),
            (Shown::List(ours), Value::Array(kafkas)) if ours.len() == kafkas.len() => {
                return ours
                    .iter()
                    .zip(kafkas)
                    .try_for_each(|(ours, kafkas)| ours.compare(kafkas));
            }
            // Without fields, a struct is shown by its name.
            (Shown::Word(_), Value::Object(kafkas)) => kafkas.is_empty(),
            (Shown::Struct(ours), Value::Object(kafkas)) => return compare_fields(ours, kafkas),
            _ => false,
        };
        if same {
            Ok(())
        } else {
            Err(format!("{self:?} is {kafkas} to Kafka"))
        }
    }

    fn records_size(&self) -> Option<usize> {
        match self {
            Shown::Records(bytes) => match &**bytes {
                Shown::List(bytes) => Some(bytes.len()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Kafka leaves out fields that the version lacks, and tagged ones that have their defaults; we never do.
fn compare_fields(ours: &[(String, Shown)], kafkas: &serde_json::Map<String, Value>) -> Result<(), String> {
    let named = |name: &str| {
        ours.iter()
            .find(|(ours, _)| same_name(ours, name))
            .map(|(_, value)| value)
    };
    for (name, kafkas) in kafkas {
        if let Some(ours) = named(name) {
            ours.compare(kafkas).map_err(|why| format!("{name}: {why}"))?;
            continue;
        }
        // Of record batches its JSON tells the size alone.
        let size = name
            .strip_suffix("SizeInBytes")
            .and_then(named)
            .and_then(Shown::records_size);
        if size.is_none() || size.map(Value::from).as_ref() != Some(kafkas) {
            return Err(format!("no field is {name}, {kafkas}"));
        }
    }
    Ok(())
}

/// `topic_id` is `topicId`; which of ours is which of Kafka's to the letter, [`super::schemas`] says.
fn same_name(ours: &str, kafkas: &str) -> bool {
    let letters = |name: &str| name.replace('_', "").to_lowercase();
    letters(ours.trim_start_matches("r#")) == letters(kafkas)
}

fn is_number(word: &str, kafkas: &serde_json::Number) -> bool {
    match kafkas.as_i64() {
        Some(kafkas) if !word.contains(['.', 'e']) => word.parse() == Ok(kafkas),
        _ => {
            // The bytes are compared to the bit; JSON need not be.
            let near = |ours: f64, kafkas: f64| (ours - kafkas).abs() <= kafkas.abs() * 1e-12;
            word.parse()
                .is_ok_and(|ours| kafkas.as_f64().is_some_and(|kafkas| near(ours, kafkas)))
        }
    }
}

fn byte_values(bytes: &[Shown]) -> Option<Vec<u8>> {
    let value = |byte: &Shown| match byte {
        Shown::Word(word) => word.parse().ok(),
        _ => None,
    };
    bytes.iter().map(value).collect()
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for letter in text.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|&digit| digit == letter)?;
        (bits, count) = (bits << 6 | value as u32, count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

struct Parser<'t> {
    rest: Peekable<Chars<'t>>,
}

impl Parser<'_> {
    fn value(&mut self) -> Shown {
        match self.rest.peek() {
            Some('"') => self.text(),
            Some('[') => Shown::List(self.listed('[', ']', Parser::value)),
            _ => self.named(),
        }
    }

    /// A word alone, or before what it names.
    fn named(&mut self) -> Shown {
        let word = self.word();
        match self.rest.peek().copied() {
            Some('(') => {
                let inner = self.listed('(', ')', Parser::value).pop().expect("what it wraps");
                match word.as_str() {
                    "Wire" => Shown::Records(Box::new(inner)),
                    "Some" => inner,
                    _ => panic!("{word}(…) is nothing that a message holds"),
                }
            }
            Some(' ') if self.rest.clone().nth(1) == Some('{') => {
                self.rest.next();
                Shown::Struct(self.listed('{', '}', Parser::field))
            }
            _ => Shown::Word(word),
        }
    }

    fn field(&mut self) -> (String, Shown) {
        let name = self.word();
        assert_eq!(self.rest.next(), Some(':'), "behind {name}");
        self.skip_spaces();
        (name, self.value())
    }

    fn listed<T>(&mut self, open: char, close: char, one: fn(&mut Self) -> T) -> Vec<T> {
        assert_eq!(self.rest.next(), Some(open));
        let mut found = Vec::new();
        loop {
            self.skip_spaces();
            if self.rest.next_if_eq(&close).is_some() {
                return found;
            }
            found.push(one(self));
            self.skip_spaces();
            self.rest.next_if_eq(&',');
        }
    }

    fn word(&mut self) -> String {
        let is_part = |c: &char| c.is_ascii_alphanumeric() || "_-.#+".contains(*c);
        std::iter::from_fn(|| self.rest.next_if(is_part)).collect()
    }

    fn skip_spaces(&mut self) {
        while self.rest.next_if_eq(&' ').is_some() {}
    }

    fn text(&mut self) -> Shown {
        self.rest.next();
        let mut text = String::new();
        loop {
            match self.rest.next().expect("the text ends") {
                '"' => return Shown::Text(text),
                '\\' => text.push(self.escaped()),
                letter => text.push(letter),
            }
        }
    }

    fn escaped(&mut self) -> char {
        match self.rest.next().expect("what is escaped") {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '0' => '\0',
            'u' => {
                self.rest.next();
                let digits: String = std::iter::from_fn(|| self.rest.next_if(|&c| c != '}')).collect();
                self.rest.next();
                u32::from_str_radix(&digits, 16)
                    .ok()
                    .and_then(char::from_u32)
                    .expect("a letter's number")
            }
            letter => letter,
        }
    }
}

#[test]
fn a_swapped_field_is_found() {
    let shown = r#"Topic { name: "a\n", r#type: -3, ids: [qk, 5], none: None, blob: [1, 255], data: Some(Wire([7, 7])) }"#;
    let ours = Shown::parse(shown);
    let same = serde_json::json!({
        "name": "a\n", "type": -3, "ids": ["qk", 5], "none": null, "blob": "Af8=", "dataSizeInBytes": 2,
    });
    assert_eq!(ours.compare(&same), Ok(()));
    for (field, other) in [
        ("name", serde_json::json!("b")),
        ("type", serde_json::json!(3)),
        ("ids", serde_json::json!(["qk"])),
        ("none", serde_json::json!(0)),
        ("blob", serde_json::json!("Af4=")),
        ("dataSizeInBytes", serde_json::json!(3)),
        ("unknown", serde_json::json!(0)),
    ] {
        let mut swapped = same.clone();
        swapped[field] = other;
        assert!(ours.compare(&swapped).is_err(), "{field}");
    }
}
