//! Which names a topic may have (Kafka's `Topic.validate`), and which names are too much alike.

use std::fmt;

/// The longest topic name, in bytes: with `-`, a partition number and a suffix it still fits a directory's name.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// The metadata log stands in a directory of this topic's partition 0; nobody may create it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Whether a topic of this name is the broker's own (Kafka's `Topic.isInternal`).
pub fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

/// Why a topic can't have a name. The text is Kafka's, for INVALID_TOPIC_EXCEPTION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing at all.
    Empty,
    /// `.` or `..`.
    Dots(String),
    /// More than [`TOPIC_NAME_BYTES_MAX`].
    TooLong(String),
    /// Something else than ASCII letters and digits, `.`, `_` and `-`.
    Characters(String),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topic name is invalid: ")?;
        match self {
            NameError::Empty => f.write_str("the empty string is not allowed"),
            NameError::Dots(name) => write!(f, "'{name}' is not allowed"),
            NameError::TooLong(name) => write!(
                f,
                "the length of '{name}' is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}"
            ),
            NameError::Characters(name) => write!(
                f,
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            ),
        }
    }
}

/// Whether a topic may have this name.
pub fn validate_topic_name(name: &str) -> Result<(), NameError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots(name.to_owned())),
        // Kafka counts UTF-16 units. They differ from bytes only in names that the next check refuses.
        _ if name.encode_utf16().count() > TOPIC_NAME_BYTES_MAX => Err(NameError::TooLong(name.to_owned())),
        _ if !name.bytes().all(allowed) => Err(NameError::Characters(name.to_owned())),
        _ => Ok(()),
    }
}

/// What two names that would share their metrics' names have in common; `None` for a name without `.` and `_`, which
/// can't collide.
pub fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        let long = "x".repeat(250);
        let owned = str::to_owned;
        let table = [
            ("orders", Ok(())),
            ("A.b_c-9", Ok(())),
            ("...", Ok(())),
            (&long[1..], Ok(())),
            ("", Err(NameError::Empty)),
            (".", Err(NameError::Dots(owned(".")))),
            ("..", Err(NameError::Dots(owned("..")))),
            (&long, Err(NameError::TooLong(long.clone()))),
            ("a b", Err(NameError::Characters(owned("a b")))),
            ("é", Err(NameError::Characters(owned("é")))),
            ("a/b", Err(NameError::Characters(owned("a/b")))),
            ("a\0", Err(NameError::Characters(owned("a\0")))),
        ];
        for (name, expected) in table {
            assert_eq!(validate_topic_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn messages_are_kafkas() {
        let message = |name: &str| validate_topic_name(name).unwrap_err().to_string();
        assert_eq!(
            message(""),
            "Topic name is invalid: the empty string is not allowed"
        );
        assert_eq!(message(".."), "Topic name is invalid: '..' is not allowed");
        assert!(message(&"y".repeat(300)).ends_with("' is longer than the max allowed length 249"));
        assert_eq!(
            message("a b"),
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, \
             '.', '_' and '-'"
        );
    }

    #[test]
    fn dots_and_underscores_collide_and_nothing_else_does() {
        assert_eq!(collision_key("a.b"), collision_key("a_b"));
        assert_ne!(collision_key("a.b"), collision_key("a_c"));
        assert_eq!(collision_key("a-b"), None);
    }
}
