//! Who votes in the quorum, as the log's control records tell (KIP-595, KIP-853): `kraft.version` and the voters.

use super::batch::RecordBatchError;
use crate::base::{NodeId, TopicId};
use crate::wire::batch::ControlType;
use crate::wire::messages::voters_record::{self, Endpoint, KRaftVersionFeature};
use crate::wire::messages::{KRaftVersionRecord, VotersRecord};
use crate::wire::{Decode, DecodeError, Decoder, Encode, Encoder};
use bytes::Bytes;

/// The only version of every control record so far.
pub(super) const CONTROL_VERSION: i16 = 0;

/// The levels of `kraft.version` that this software can be a voter at.
const KRAFT_VERSIONS: (i16, i16) = (0, 1);

/// The level from which on the log itself names the voters.
pub const KRAFT_VERSION_WITH_VOTERS: i16 = 1;

/// Who votes. At `kraft.version` 0 only each node's configuration knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The level of `kraft.version`.
    pub kraft_version: i16,
    /// The voters that the log names.
    pub voters: Vec<Voter>,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// The node.
    pub node: NodeId,
    /// The directory of its metadata log: a node that lost its disk is another voter.
    pub directory: TopicId,
    /// Where it is reached by the other controllers.
    pub endpoints: Vec<VoterEndpoint>,
    /// The lowest and the highest `kraft.version` that it knows.
    pub kraft_versions: (i16, i16),
}

/// An address of a voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterEndpoint {
    /// The listener's name.
    pub listener: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Membership {
    /// A new cluster's: this node alone.
    pub fn of_one(node: NodeId, directory: TopicId, endpoints: Vec<VoterEndpoint>) -> Membership {
        Membership {
            kraft_version: KRAFT_VERSION_WITH_VOTERS,
            voters: vec![Voter {
                node,
                directory,
                endpoints,
                kraft_versions: KRAFT_VERSIONS,
            }],
        }
    }

    /// Takes over what a control record says, if it is one of membership.
    pub(super) fn apply(&mut self, control: ControlType, value: &[u8]) -> Result<(), DecodeError> {
        let mut decoder = Decoder::new(value);
        match control {
            ControlType::KRaftVersion => {
                self.kraft_version = KRaftVersionRecord::decode(&mut decoder, CONTROL_VERSION)?.kraft_version;
            }
            ControlType::KRaftVoters => {
                let record = VotersRecord::decode(&mut decoder, CONTROL_VERSION)?;
                self.voters = record.voters.iter().map(Voter::from_record).collect();
            }
            _ => {}
        }
        Ok(())
    }

    /// The control records that say it; none at `kraft.version` 0.
    pub(super) fn records(&self) -> Result<Vec<(ControlType, Bytes)>, RecordBatchError> {
        if self.kraft_version < KRAFT_VERSION_WITH_VOTERS {
            return Ok(Vec::new());
        }
        let version = KRaftVersionRecord {
            version: CONTROL_VERSION,
            kraft_version: self.kraft_version,
        };
        let voters = VotersRecord {
            version: CONTROL_VERSION,
            voters: self.voters.iter().map(Voter::to_record).collect(),
        };
        Ok(vec![
            (ControlType::KRaftVersion, control_value(&version)?),
            (ControlType::KRaftVoters, control_value(&voters)?),
        ])
    }
}

impl Voter {
    fn from_record(record: voters_record::Voter<'_>) -> Voter {
        let endpoint = |e: Endpoint<'_>| VoterEndpoint {
            listener: e.name.into_owned(),
            host: e.host.into_owned(),
            port: e.port,
        };
        let feature = &record.kraft_version_feature;
        Voter {
            node: NodeId(record.voter_id),
            directory: record.voter_directory_id,
            kraft_versions: (feature.min_supported_version, feature.max_supported_version),
            endpoints: record.endpoints.iter().map(endpoint).collect(),
        }
    }

    fn to_record(&self) -> voters_record::Voter<'_> {
        let endpoint = |e: &VoterEndpoint| Endpoint {
            name: e.listener.clone().into(),
            host: e.host.clone().into(),
            port: e.port,
        };
        voters_record::Voter {
            voter_id: self.node.0,
            voter_directory_id: self.directory,
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            kraft_version_feature: KRaftVersionFeature {
                min_supported_version: self.kraft_versions.0,
                max_supported_version: self.kraft_versions.1,
            },
        }
    }
}

/// The value of a control record.
pub(super) fn control_value(message: &impl Encode) -> Result<Bytes, RecordBatchError> {
    let mut value = Encoder::new();
    message
        .encode(&mut value, CONTROL_VERSION)
        .map_err(RecordBatchError::Encode)?;
    Ok(value.into_bytes())
}
