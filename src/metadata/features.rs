//! The features of the cluster (KIP-584): what this software can do, and the level that the metadata log has settled on.

/// A feature and the levels of it that this software knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    /// Kafka's name.
    pub name: &'static str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// Which metadata records there are and what they mean. 30 is Kafka's 4.3-IV0.
pub const METADATA_VERSION: &str = "metadata.version";

/// How the metadata log names its voters (KIP-853).
pub const KRAFT_VERSION: &str = "kraft.version";

/// The level of [`METADATA_VERSION`] that a new directory starts with.
pub const METADATA_VERSION_LATEST: i16 = 30;

/// The level from which on [`METADATA_VERSION`] has records of cordoned directories (KIP-1066).
pub const METADATA_VERSION_WITH_CORDONS: i16 = 30;

/// What we support. The group, transaction, share, streams and eligible-leader-replica features are left out until
/// what they promise works: a feature that isn't named stands at 0.
pub const SUPPORTED_FEATURES: &[SupportedFeature] = &[
    SupportedFeature {
        name: KRAFT_VERSION,
        min: 0,
        max: 1,
    },
    SupportedFeature {
        name: METADATA_VERSION,
        min: 7,
        max: METADATA_VERSION_LATEST,
    },
];

/// The highest level of a feature that we support; 0 for one that we don't know.
pub fn supported_max(name: &str) -> i16 {
    SUPPORTED_FEATURES
        .iter()
        .find(|f| f.name == name)
        .map_or(0, |f| f.max)
}
