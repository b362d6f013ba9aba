//! What control records say: how a transaction ended, and what the metadata log notes of itself.

use crate::wire::batch::ControlType;
use crate::wire::json::ToJson;
use crate::wire::messages::{
    EndTxnMarker, KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use crate::wire::{DecodeError, Decoder, Message};

/// Kafka's name (`ControlRecordType`).
pub fn name(control: ControlType) -> &'static str {
    match control {
        ControlType::Abort => "ABORT",
        ControlType::Commit => "COMMIT",
        ControlType::LeaderChange => "LEADER_CHANGE",
        ControlType::SnapshotHeader => "SNAPSHOT_HEADER",
        ControlType::SnapshotFooter => "SNAPSHOT_FOOTER",
        ControlType::KRaftVersion => "KRAFT_VERSION",
        ControlType::KRaftVoters => "KRAFT_VOTERS",
    }
}

/// A control record's value as JSON.
pub fn data(control: ControlType, value: &[u8]) -> Result<String, DecodeError> {
    match control {
        ControlType::Abort | ControlType::Commit => marker(value),
        ControlType::LeaderChange => noted::<LeaderChangeMessage<'_>>(value),
        ControlType::SnapshotHeader => noted::<SnapshotHeaderRecord>(value),
        ControlType::SnapshotFooter => noted::<SnapshotFooterRecord>(value),
        ControlType::KRaftVersion => noted::<KRaftVersionRecord>(value),
        ControlType::KRaftVoters => noted::<VotersRecord<'_>>(value),
    }
}

/// A version, which may rise and then has more behind, and the marker.
fn marker(value: &[u8]) -> Result<String, DecodeError> {
    let mut d = Decoder::new(value);
    d.i16()?;
    as_json::<EndTxnMarker>(&mut d, 0)
}

/// What the metadata log notes has its version as its first field; a newer one than is known has more behind.
fn noted<'a, M: Message<'a> + ToJson>(value: &'a [u8]) -> Result<String, DecodeError> {
    let version = Decoder::new(value).i16()?;
    let known = version.clamp(*M::VERSIONS.start(), *M::VERSIONS.end());
    as_json::<M>(&mut Decoder::new(value), known)
}

fn as_json<'a, M: Message<'a> + ToJson>(d: &mut Decoder<'a>, version: i16) -> Result<String, DecodeError> {
    let mut json = String::new();
    M::decode(d, version)?.write_json(&mut json, version);
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transactions_end_shows_its_coordinator() {
        let value = [0, 0, 0, 0, 0, 7];
        assert_eq!(
            data(ControlType::Commit, &value).unwrap(),
            "{\"coordinatorEpoch\":7}"
        );
        assert_eq!(
            data(ControlType::Abort, &[0, 9, 0, 0, 0, 1, 5]).unwrap(),
            "{\"coordinatorEpoch\":1}"
        );
        assert!(data(ControlType::Abort, &value[..5]).is_err());
    }

    #[test]
    fn what_the_metadata_log_notes_shows_in_its_own_version() {
        let header = [0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0];
        let shown = data(ControlType::SnapshotHeader, &header).unwrap();
        assert_eq!(shown, "{\"version\":0,\"lastContainedLogTimestamp\":5}");
        assert!(data(ControlType::KRaftVoters, &[]).is_err());
    }
}
