//! The messages of `schema/`, each in a module of its own with the structs inside it, as the build generates them.
//!
//! Fields bear Kafka's names in snake case and default to Kafka's defaults: mind that a nullable string without a
//! default of null starts as `Some("")`, a nullable array as `Some` of none.

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

#[cfg(any(test, fuzzing))]
pub(in crate::wire) use for_each_message;

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
