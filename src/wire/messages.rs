//! The messages of `schema/`, each in a module of its own with the structs inside it, as the build generates them.
//!
//! Fields bear Kafka's names in snake case and default to Kafka's defaults: mind that a nullable string without a
//! default of null starts as `Some("")`, a nullable array as `Some` of none.

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::decoder::Decoder;
    use crate::wire::encoder::Encoder;
    use crate::wire::message::Message;
    use crate::wire::sample::{Sample, Source};

    /// What was made up reads back as itself, and encodes again to the same bytes.
    fn check_round_trip<'a, M: Message<'a> + Sample + PartialEq + Debug>(seed: u64, buffer: &'a mut Vec<u8>) {
        let versions = M::VERSIONS;
        let mut source = Source(seed);
        let version = versions.start() + source.below(versions.clone().count() as u64) as i16;
        let made_up = M::sample(&mut source, version);
        *buffer = encoded(&made_up, version);
        let mut d = Decoder::new(buffer);
        let decoded = M::decode(&mut d, version).unwrap_or_else(|e| panic!("{} v{version}: {e}", M::NAME));
        assert!(d.is_empty(), "{} v{version} leaves bytes unread", M::NAME);
        assert_eq!(decoded, made_up, "{} v{version}", M::NAME);
        assert_eq!(encoded(&decoded, version), *buffer, "{} v{version}", M::NAME);
    }

    fn encoded<'a, M: Message<'a>>(message: &M, version: i16) -> Vec<u8> {
        let mut e = Encoder::new();
        message
            .encode(&mut e, version)
            .unwrap_or_else(|e| panic!("{} v{version}: {e}", M::NAME));
        e.into_bytes().to_vec()
    }

    macro_rules! check_round_trips {
        ($($module:ident::$name:ident;)*) => {
            fn check_round_trips(seed: u64) {
                $(check_round_trip::<$module::$name>(seed, &mut Vec::new());)*
            }
        };
    }

    for_each_message!(check_round_trips);

    proptest! {
        #[test]
        fn every_message_reads_back_in_every_version(seed: u64) {
            check_round_trips(seed);
        }
    }
}
