//! What one row of the table of settings says, and how a value is checked against it.

/// One setting: a row of [`super::BROKER_SETTINGS`] or [`super::TOPIC_SETTINGS`].
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Kafka's name, or `ringlog.…`.
    pub name: &'static str,
    /// Type and allowed values.
    pub kind: Kind,
    /// The default in the form a user would write; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// What it is for, in a line or two.
    pub doc: &'static str,
    /// What this broker does with it.
    pub effect: Effect,
    /// Broker settings only: where it may be changed while the broker runs. (A topic's may always.)
    pub update: UpdateMode,
    /// Whether DescribeConfigs must never show its value.
    pub sensitive: bool,
    /// Topic settings only: the broker settings that stand in when the topic sets nothing, the first set one wins.
    pub broker_synonyms: &'static [Synonym],
}

/// A broker setting that a topic setting falls back to.
#[derive(Clone, Copy, Debug)]
pub struct Synonym {
    /// The broker setting's name.
    pub name: &'static str,
    /// What its value is multiplied by to reach the topic setting's unit.
    pub factor: i64,
}

/// Where a broker setting may be changed while the broker runs (KIP-226, Kafka's `DynamicBrokerConfig`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// Nowhere: only the file or the command line sets it.
    ReadOnly,
    /// On one broker.
    PerBroker,
    /// On one broker or on all at once.
    ClusterWide,
}

/// The type of a setting's value and what it may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Bool,
    /// A whole number of 16 bits.
    Short(Range),
    /// A whole number of 32 bits.
    Int(Range),
    /// A 32-bit number in the range, or the one value beside it (Kafka's gzip level: 1 to 9, or −1).
    IntOr(Range, i64),
    /// A whole number of 64 bits.
    Long(Range),
    /// A fraction between the two.
    Double(f64, f64),
    /// Any text.
    Text,
    /// Any text, never shown.
    Password,
    /// A Java class name: there is no Java here, so it is only text.
    Class,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Comma-separated texts.
    List,
    /// Comma-separated words of these.
    ListOf(&'static [&'static str]),
    /// Kafka's `partition:broker,…` or `*` (throttled replicas).
    ReplicaList,
    /// Text that the check accepts; `expected` says what it accepts.
    Checked {
        /// How the message says what was expected.
        expected: &'static str,
        /// Whether the text is acceptable.
        check: fn(&str) -> bool,
    },
}

/// Allowed whole numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
}

/// Any number that the type can hold.
pub const ANY: Range = Range {
    min: i64::MIN,
    max: i64::MAX,
};

/// This or any larger number that the type can hold.
pub const fn at_least(min: i64) -> Range {
    Range { min, max: i64::MAX }
}

/// From `min` to `max`, both included.
pub const fn between(min: i64, max: i64) -> Range {
    Range { min, max }
}

/// What this broker does with a setting.
#[derive(Clone, Copy, Debug)]
pub enum Effect {
    /// It is acted on.
    Acted,
    /// It is read and checked, and nothing here depends on it; the text says why.
    WithoutEffect(&'static str),
    /// Only these values are served; any other refuses to start, with the text.
    Only(&'static [&'static str], &'static str),
    /// Setting it refuses to start: it promises what is not there. The text says what.
    Refused(&'static str),
}

/// Why a value doesn't fit its setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// Not `true` or `false`.
    NotABoolean,
    /// Not a number of this Kafka type (`INT`, `LONG`, …).
    NotANumber(&'static str),
    /// Below the smallest.
    TooSmall(String),
    /// Above the largest.
    TooLarge(String),
    /// Not one of the allowed words.
    NotOneOf(&'static [&'static str]),
    /// Neither in the range nor the one value beside it.
    NotInRangeNor(Range, i64),
    /// A list holds an empty word.
    EmptyElement,
    /// Neither `*` nor a list of `partition:broker`.
    NotAReplicaList,
    /// Not what the special check asks for; the text says what that is.
    Unexpected(&'static str),
}

impl Setting {
    /// Whether its value is a list, to which something can be added (KIP-339).
    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List | Kind::ListOf(_) | Kind::ReplicaList)
    }

    /// Whether a value that passes the check is one that this broker serves.
    pub fn serves(&self, value: &str) -> bool {
        match self.effect {
            Effect::Acted | Effect::WithoutEffect(_) => true,
            Effect::Only(served, _) if self.is_list() => {
                served.contains(&split_list(value).join(",").as_str())
            }
            Effect::Only(served, _) => served.contains(&value),
            Effect::Refused(_) => false,
        }
    }

    /// Checks `value` (blanks around it don't count) against the kind; the value as it is kept.
    pub fn check(&self, value: &str) -> Result<String, ValueError> {
        let value = value.trim();
        match self.kind {
            Kind::Bool => {
                let lower = value.to_ascii_lowercase();
                if matches!(lower.as_str(), "true" | "false") {
                    return Ok(lower);
                }
                return Err(ValueError::NotABoolean);
            }
            Kind::Short(range) => whole(value, "SHORT", i16::MIN.into(), i16::MAX.into(), range, None)?,
            Kind::Int(range) => whole(value, "INT", i32::MIN.into(), i32::MAX.into(), range, None)?,
            Kind::IntOr(range, or) => whole(value, "INT", i32::MIN.into(), i32::MAX.into(), range, Some(or))?,
            Kind::Long(range) => whole(value, "LONG", i64::MIN, i64::MAX, range, None)?,
            Kind::Double(min, max) => fraction(value, min, max)?,
            Kind::Text | Kind::Password | Kind::Class | Kind::List => {}
            Kind::OneOf(words) => {
                if !words.contains(&value) {
                    return Err(ValueError::NotOneOf(words));
                }
            }
            Kind::ListOf(words) => check_list(value, words)?,
            Kind::ReplicaList => {
                if !is_replica_list(value) {
                    return Err(ValueError::NotAReplicaList);
                }
            }
            Kind::Checked { expected, check } => {
                if !check(value) {
                    return Err(ValueError::Unexpected(expected));
                }
            }
        }
        Ok(value.to_owned())
    }

    /// What a user may write, in a phrase: `a whole number from 1 to 2147483647`.
    pub fn expected(&self) -> String {
        match self.kind {
            Kind::Bool => "true or false".to_owned(),
            Kind::Short(range) => number_phrase(clamp(range, i16::MIN.into(), i16::MAX.into())),
            Kind::Int(range) => number_phrase(clamp(range, i32::MIN.into(), i32::MAX.into())),
            Kind::IntOr(range, or) => {
                format!(
                    "{} or {or}",
                    number_phrase(clamp(range, i32::MIN.into(), i32::MAX.into()))
                )
            }
            Kind::Long(range) => number_phrase(range),
            Kind::Double(min, max) if max == f64::MAX => format!("a number of at least {min}"),
            Kind::Double(min, max) => format!("a number from {min} to {max}"),
            Kind::Text | Kind::Class | Kind::Password => "text".to_owned(),
            Kind::OneOf(words) => format!("one of {}", words.join(", ")),
            Kind::List => "a comma-separated list".to_owned(),
            Kind::ListOf(words) => format!("a comma-separated list of {}", words.join(", ")),
            Kind::ReplicaList => REPLICA_LIST_EXPECTED.to_owned(),
            Kind::Checked { expected, .. } => expected.to_owned(),
        }
    }
}

fn whole(
    value: &str,
    kind: &'static str,
    type_min: i64,
    type_max: i64,
    range: Range,
    or: Option<i64>,
) -> Result<(), ValueError> {
    let number: i64 = value.parse().map_err(|_| ValueError::NotANumber(kind))?;
    if number < type_min || number > type_max {
        return Err(ValueError::NotANumber(kind));
    }
    if let Some(or) = or {
        let fits = number == or || (range.min..=range.max).contains(&number);
        return if fits {
            Ok(())
        } else {
            Err(ValueError::NotInRangeNor(range, or))
        };
    }
    if number < range.min {
        return Err(ValueError::TooSmall(range.min.to_string()));
    }
    if number > range.max {
        return Err(ValueError::TooLarge(range.max.to_string()));
    }
    Ok(())
}

fn fraction(value: &str, min: f64, max: f64) -> Result<(), ValueError> {
    let number: f64 = value.parse().map_err(|_| ValueError::NotANumber("DOUBLE"))?;
    if number.is_nan() {
        return Err(ValueError::NotANumber("DOUBLE"));
    }
    if number < min {
        return Err(ValueError::TooSmall(min.to_string()));
    }
    if number > max {
        return Err(ValueError::TooLarge(max.to_string()));
    }
    Ok(())
}

fn check_list(value: &str, words: &'static [&'static str]) -> Result<(), ValueError> {
    let elements = split_list(value);
    for element in elements {
        if element.is_empty() {
            return Err(ValueError::EmptyElement);
        }
        if !words.contains(&element) {
            return Err(ValueError::NotOneOf(words));
        }
    }
    Ok(())
}

/// Kafka's way to split a list: nothing for an empty text, else at commas, blanks around them dropped.
pub fn split_list(value: &str) -> Vec<&str> {
    let value = value.trim();
    if value.is_empty() {
        Vec::new()
    } else {
        value.split(',').map(str::trim).collect()
    }
}

const REPLICA_LIST_EXPECTED: &str = "[partition]:[broker],[partition]:[broker],… or *";

fn is_replica_list(value: &str) -> bool {
    let elements = split_list(value);
    if elements == ["*"] {
        return true;
    }
    let number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    elements
        .iter()
        .all(|e| e.split_once(':').is_some_and(|(p, b)| number(p) && number(b)))
}

fn clamp(range: Range, min: i64, max: i64) -> Range {
    Range {
        min: range.min.max(min),
        max: range.max.min(max),
    }
}

fn number_phrase(range: Range) -> String {
    match range {
        Range {
            min: i64::MIN,
            max: i64::MAX,
        } => "a whole number".to_owned(),
        Range { min, max: i64::MAX } => format!("a whole number of at least {min}"),
        Range { min, max } => format!("a whole number from {min} to {max}"),
    }
}

impl ValueError {
    /// What Kafka's `ConfigException` says for this value of this setting, as CreateTopics answers it.
    pub fn kafka_message(&self, name: &str, value: &str) -> String {
        let value = value.trim();
        let what = match self {
            ValueError::NotABoolean => "Expected value to be either true or false".to_owned(),
            ValueError::NotANumber(kind) => format!("Not a number of type {kind}"),
            ValueError::TooSmall(min) => format!("Value must be at least {min}"),
            ValueError::TooLarge(max) => format!("Value must be no more than {max}"),
            ValueError::NotOneOf(words) => format!("String must be one of: {}", words.join(", ")),
            ValueError::NotInRangeNor(range, or) => {
                format!(
                    "Value must be between {} and {} or equal to {or}",
                    range.min, range.max
                )
            }
            ValueError::EmptyElement => return format!("Configuration '{name}' values must not be empty."),
            ValueError::NotAReplicaList => {
                let shown = split_list(value).join(", ");
                return format!(
                    "Invalid value [{shown}] for configuration {name}: {name} must be the literal '*' or a list of \
                     replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                );
            }
            ValueError::Unexpected(expected) => format!("Value must be {expected}"),
        };
        format!("Invalid value {value} for configuration {name}: {what}")
    }
}

/// Builders that keep a row of the tables on a line or two. All `const`: the tables are statics.
pub(super) mod row {
    use super::{Effect, Kind, Range, Setting, Synonym, UpdateMode};

    const fn new(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
        Setting {
            name,
            kind,
            default: Some(default),
            doc,
            effect: Effect::Acted,
            update: UpdateMode::ReadOnly,
            sensitive: false,
            broker_synonyms: &[],
        }
    }

    pub const fn bool(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        new(name, Kind::Bool, default, doc)
    }

    pub const fn short(
        name: &'static str,
        range: Range,
        default: &'static str,
        doc: &'static str,
    ) -> Setting {
        new(name, Kind::Short(range), default, doc)
    }

    pub const fn int(name: &'static str, range: Range, default: &'static str, doc: &'static str) -> Setting {
        new(name, Kind::Int(range), default, doc)
    }

    pub const fn long(name: &'static str, range: Range, default: &'static str, doc: &'static str) -> Setting {
        new(name, Kind::Long(range), default, doc)
    }

    pub const fn text(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        new(name, Kind::Text, default, doc)
    }

    pub const fn class(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        new(name, Kind::Class, default, doc)
    }

    pub const fn list(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
        new(name, Kind::List, default, doc)
    }

    pub const fn kind(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
        new(name, kind, default, doc)
    }

    impl Setting {
        /// The default is Kafka's null.
        pub const fn unset(self) -> Setting {
            Setting {
                default: None,
                ..self
            }
        }

        /// It can be changed while the broker runs, for one broker or for all.
        pub const fn dynamic(self) -> Setting {
            Setting {
                update: UpdateMode::ClusterWide,
                ..self
            }
        }

        /// It can be changed while the broker runs, for each broker by itself.
        pub const fn per_broker(self) -> Setting {
            Setting {
                update: UpdateMode::PerBroker,
                ..self
            }
        }

        /// Read, checked, and without effect: `why`.
        pub const fn inert(self, why: &'static str) -> Setting {
            Setting {
                effect: Effect::WithoutEffect(why),
                ..self
            }
        }

        /// Only these values are served.
        pub const fn only(self, served: &'static [&'static str], otherwise: &'static str) -> Setting {
            Setting {
                effect: Effect::Only(served, otherwise),
                ..self
            }
        }

        /// Setting it refuses to start.
        pub const fn refused(self, why: &'static str) -> Setting {
            Setting {
                effect: Effect::Refused(why),
                ..self
            }
        }

        /// What stands in on a topic that sets nothing.
        pub const fn falls_back_to(self, broker_synonyms: &'static [Synonym]) -> Setting {
            Setting {
                broker_synonyms,
                ..self
            }
        }
    }

    /// A broker setting in the topic setting's own unit.
    pub const fn same(name: &'static str) -> Synonym {
        Synonym { name, factor: 1 }
    }

    /// A broker setting in another unit.
    pub const fn times(name: &'static str, factor: i64) -> Synonym {
        Synonym { name, factor }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::table::topic_setting;

    #[test]
    fn values_are_judged_in_kafkas_words() {
        let table = [
            ("retention.ms", " 5 ", Ok("5")),
            ("retention.ms", "+5", Ok("+5")),
            (
                "retention.ms",
                "abc",
                Err("Invalid value abc for configuration retention.ms: Not a number of type LONG"),
            ),
            (
                "retention.ms",
                "-5",
                Err("Invalid value -5 for configuration retention.ms: Value must be at least -1"),
            ),
            (
                "segment.bytes",
                "99999999999",
                Err("Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT"),
            ),
            (
                "compression.zstd.level",
                "23",
                Err(
                    "Invalid value 23 for configuration compression.zstd.level: Value must be no more than 22",
                ),
            ),
            ("compression.gzip.level", "-1", Ok("-1")),
            (
                "compression.gzip.level",
                "0",
                Err(
                    "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or \
                     equal to -1",
                ),
            ),
            (
                "min.cleanable.dirty.ratio",
                "1.5",
                Err(
                    "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
                ),
            ),
            (
                "min.cleanable.dirty.ratio",
                "NaN",
                Err(
                    "Invalid value NaN for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
                ),
            ),
            ("preallocate", "TRUE", Ok("true")),
            (
                "preallocate",
                "yes",
                Err(
                    "Invalid value yes for configuration preallocate: Expected value to be either true or false",
                ),
            ),
            (
                "compression.type",
                "br",
                Err(
                    "Invalid value br for configuration compression.type: String must be one of: uncompressed, zstd, \
                     lz4, snappy, gzip, producer",
                ),
            ),
            ("cleanup.policy", "", Ok("")),
            ("cleanup.policy", "compact , delete", Ok("compact , delete")),
            ("cleanup.policy", "delete,delete", Ok("delete,delete")),
            (
                "cleanup.policy",
                "delete,",
                Err("Configuration 'cleanup.policy' values must not be empty."),
            ),
            (
                "cleanup.policy",
                "foo",
                Err(
                    "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
                ),
            ),
            ("leader.replication.throttled.replicas", "*", Ok("*")),
            (
                "leader.replication.throttled.replicas",
                "0:1, 1:2",
                Ok("0:1, 1:2"),
            ),
            (
                "leader.replication.throttled.replicas",
                "x",
                Err(
                    "Invalid value [x] for configuration leader.replication.throttled.replicas: \
                     leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the \
                     following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                ),
            ),
        ];
        for (name, value, expected) in table {
            let judged = topic_setting(name)
                .unwrap()
                .check(value)
                .map_err(|e| e.kafka_message(name, value));
            assert_eq!(
                judged.as_deref().map_err(String::as_str),
                expected,
                "{name} = {value:?}"
            );
        }
    }

    #[test]
    fn what_is_expected_is_said_in_a_phrase() {
        let table = [
            ("segment.bytes", "a whole number from 1048576 to 2147483647"),
            ("retention.ms", "a whole number of at least -1"),
            ("retention.bytes", "a whole number"),
            ("compression.gzip.level", "a whole number from 1 to 9 or -1"),
            ("min.cleanable.dirty.ratio", "a number from 0 to 1"),
            ("preallocate", "true or false"),
            ("message.timestamp.type", "one of CreateTime, LogAppendTime"),
            ("cleanup.policy", "a comma-separated list of compact, delete"),
        ];
        for (name, expected) in table {
            assert_eq!(topic_setting(name).unwrap().expected(), expected, "{name}");
        }
    }
}
