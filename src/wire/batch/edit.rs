//! What the broker writes into a batch in place.

use super::layout;
use crate::base::{self, LeaderEpoch, Offset, Timestamp};

/// Gives a batch its place in the log.
///
/// # Panics
/// Like all of these, if `batch` is shorter than a header.
pub fn set_base_offset(batch: &mut [u8], base_offset: Offset) {
    put(batch, layout::BASE_OFFSET, base_offset.0.to_be_bytes());
}

/// Says under which leader a batch was appended.
pub fn set_leader_epoch(batch: &mut [u8], epoch: LeaderEpoch) {
    put(batch, layout::LEADER_EPOCH, epoch.0.to_be_bytes());
}

/// Makes `now` the time of all records of a batch, and mends its checksum.
pub fn set_log_append_time(batch: &mut [u8], now: Timestamp) {
    set_times(batch, layout::LOG_APPEND_TIME, now);
}

/// Makes the producer's times those of a batch's records, `latest` the latest of them, and mends its checksum.
/// Nothing changes in a batch that says so already, as a producer's should.
pub fn set_create_time(batch: &mut [u8], latest: Timestamp) {
    set_times(batch, 0, latest);
}

fn set_times(batch: &mut [u8], timestamp_type: i16, max_timestamp: Timestamp) {
    let attributes = i16::from_be_bytes([batch[layout::ATTRIBUTES], batch[layout::ATTRIBUTES + 1]]);
    let new_attributes = attributes & !layout::LOG_APPEND_TIME | timestamp_type;
    let max_timestamp = max_timestamp.0.to_be_bytes();
    let max_timestamp_at = layout::MAX_TIMESTAMP..layout::PRODUCER_ID;
    if attributes == new_attributes && batch[max_timestamp_at] == max_timestamp {
        return;
    }
    put(batch, layout::ATTRIBUTES, new_attributes.to_be_bytes());
    put(batch, layout::MAX_TIMESTAMP, max_timestamp);
    set_crc(batch);
}

pub(super) fn set_crc(batch: &mut [u8]) {
    let crc = base::crc32c(&batch[layout::ATTRIBUTES..]);
    put(batch, layout::CRC, crc.to_be_bytes());
}

pub(super) fn put<const N: usize>(batch: &mut [u8], at: usize, field: [u8; N]) {
    batch[at..at + N].copy_from_slice(&field);
}
