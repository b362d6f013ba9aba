//! What the fuzz target `group_records` does with any bytes, and every test run with those kept in `fuzz/corpus/`. A fault is a
//! panic, or a record that is not read as it was written.

use super::{GroupRecord, decode, encode_as};

/// `bytes` as a key and a value. The first two say how long the key is; without any behind it the record is a tombstone.
pub fn group_records(bytes: &[u8]) {
    let Some((&length, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_be_bytes(length));
    let (key, value) = rest.split_at_checked(length).unwrap_or((rest, &[]));
    let value = Some(value).filter(|value| !value.is_empty());
    let Ok(record) = decode(Some(key), value) else {
        return;
    };
    let version = value.map_or(0, |value| i16::from_be_bytes([value[0], value[1]]));
    assert_eq!(record.is_tombstone(), value.is_none());
    reads_back(&record, version);
}

fn reads_back(record: &GroupRecord<'_>, version: i16) {
    let written = encode_as(record, version).expect("what was read can be written");
    let again = decode(Some(&written.key), written.value.as_deref());
    assert_eq!(again.as_ref(), Ok(record), "version {version}");
}
