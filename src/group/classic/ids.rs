//! The names and numbers of a classic group that are too easily mixed up.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Arc<str>);

        impl From<&str> for $name {
            fn from(text: &str) -> $name {
                $name(Arc::from(text))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text! {
    /// What the coordinator calls a member. Empty: the member has no id yet (`JoinGroupRequest.UNKNOWN_MEMBER_ID`).
    MemberId
}
text! {
    /// `group.instance.id`: what a static member calls itself, restart after restart (KIP-345).
    InstanceId
}

impl MemberId {
    /// "None yet", as Kafka's wire says it.
    pub fn unknown() -> MemberId {
        MemberId::default()
    }

    /// Whether it says that there is none yet.
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// An id for a member that has none: whose it is (its instance id, or else its client id), and a UUID that nobody
    /// else has.
    pub fn generated(whose: &str, uuid: &str) -> MemberId {
        MemberId(Arc::from(format!("{whose}-{uuid}")))
    }
}

/// How many rebalances a group has completed. The first that has members is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i32);

impl Generation {
    /// "None", as Kafka's wire says it.
    pub const NONE: Generation = Generation(-1);

    /// The one after it. After the last number comes 1 again; Kafka's goes negative there, which its own checks take for
    /// "none".
    pub fn next(self) -> Generation {
        match self.0.checked_add(1) {
            Some(next) if next > 0 => Generation(next),
            _ => Generation(1),
        }
    }
}

/// Stands for a request that waits for its answer; whoever handed it in knows what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One append that a group has asked for, counted from 0 for each group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_id_begins_with_whose_it_is() {
        assert_eq!(MemberId::generated("consumer-1", "u").to_string(), "consumer-1-u");
        assert!(MemberId::unknown().is_unknown());
    }

    #[test]
    fn a_generation_never_becomes_one_that_says_none() {
        for (now, next) in [
            (0, 1),
            (1, 2),
            (i32::MAX - 1, i32::MAX),
            (i32::MAX, 1),
            (-7, 1),
            (-1, 1),
        ] {
            assert_eq!(Generation(now).next(), Generation(next), "after {now}");
        }
    }
}
