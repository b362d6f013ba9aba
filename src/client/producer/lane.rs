//! One partition as the producer sees it: the batch being filled, and the closed ones in their order.

use bytes::Bytes;

use super::outbox::{Outbox, Place};
use super::{ProducerOptions, Record};
use crate::base::{BrokerId, Instant, PartitionIndex, ProducerEpoch, ProducerId};
use crate::client::ClientError;
use crate::wire::batch::BatchBuilder;

/// Who the producer is to the broker (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

impl Identity {
    /// No idempotence.
    pub const NONE: Identity = Identity {
        id: ProducerId::NONE,
        epoch: ProducerEpoch(-1),
    };
}

/// The partition's state. Whoever changes it keeps the producer's totals in step.
pub struct Lane {
    /// Index into the producer's topics.
    pub topic: usize,
    /// The partition.
    pub partition: PartitionIndex,
    /// Who leads it, as last known.
    pub leader: Option<BrokerId>,
    /// The closed batches.
    pub outbox: Outbox<Batch>,
    open: Option<Open>,
    next_sequence: i32,
}

/// A closed batch.
#[derive(Debug)]
pub struct Batch {
    /// As it goes over the wire.
    pub bytes: Bytes,
    /// When each record was due.
    pub due: Vec<Instant>,
    /// When its first record came.
    pub opened: Instant,
    /// What it counts for in the producer's buffer.
    pub buffered_bytes: usize,
}

struct Open {
    builder: BatchBuilder,
    due: Vec<Instant>,
    opened: Instant,
    bytes_bound: usize,
}

/// Bytes of a batch before its first record (Kafka's `DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
const BATCH_HEADER_BYTES: usize = 61;

impl Lane {
    /// An empty lane.
    pub fn new(topic: usize, partition: PartitionIndex) -> Lane {
        Lane {
            topic,
            partition,
            leader: None,
            outbox: Outbox::default(),
            open: None,
            next_sequence: 0,
        }
    }

    /// Adds a record to the open batch, closing a full one first. Gives the bytes it counts for, and whether it
    /// closed one.
    pub fn push(
        &mut self,
        record: Record<'_>,
        due: Instant,
        now: Instant,
        identity: Identity,
        options: &ProducerOptions,
    ) -> Result<(usize, bool), ClientError> {
        let bytes = record.bytes_bound();
        if bytes + BATCH_HEADER_BYTES > options.request_bytes_max {
            let what = format!(
                "a record of about {bytes} bytes is larger than a request may be, {}",
                options.request_bytes_max
            );
            return Err(ClientError::TooLarge { what });
        }
        let is_full = |open: &Open| open.bytes_bound + bytes > options.batch_bytes_max;
        let closes = self.open.as_ref().is_some_and(is_full);
        if closes {
            self.close_batch();
        }
        let next_sequence = self.next_sequence;
        let open = self.open.get_or_insert_with(|| Open {
            builder: new_builder(identity, next_sequence, options),
            due: Vec::new(),
            opened: now,
            bytes_bound: BATCH_HEADER_BYTES,
        });
        open.builder
            .add(record.timestamp, record.key, record.value, record.headers);
        open.due.push(due);
        open.bytes_bound += bytes;
        Ok((bytes, closes))
    }

    /// Whether anything waits to be sent.
    pub fn has_unsent(&self) -> bool {
        self.open.is_some() || !self.outbox.is_drained()
    }

    /// Puts the next batch on the wire, if one is due. `eager`: the open batch needn't linger.
    pub fn send_next(
        &mut self,
        now: Instant,
        eager: bool,
        options: &ProducerOptions,
    ) -> Option<(Place, Bytes)> {
        if self.outbox.is_drained() && self.outbox.is_open(now) {
            let is_due = |open: &Open| eager || now >= open.opened + options.linger;
            if self.open.as_ref().is_some_and(is_due) {
                self.close_batch();
            }
        }
        self.outbox
            .send_next(now)
            .map(|(place, batch)| (place, batch.bytes.clone()))
    }

    /// When [`Lane::send_next`] will have a batch, if only time is missing.
    pub fn ready_at(&self, eager: bool, options: &ProducerOptions) -> Option<Instant> {
        let open_at = self.outbox.open_at()?;
        if !self.outbox.is_drained() {
            return Some(open_at);
        }
        let lingers_until = |open: &Open| {
            if eager {
                open_at
            } else {
                open_at.max(open.opened + options.linger)
            }
        };
        self.open.as_ref().map(lingers_until)
    }

    /// When the oldest record that isn't acknowledged came.
    pub fn oldest(&self) -> Option<Instant> {
        let open = self.open.as_ref().map(|open| open.opened);
        self.outbox.oldest().map(|batch| batch.opened).or(open)
    }

    fn close_batch(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.next_sequence = sequence_after(self.next_sequence, open.due.len());
        self.outbox.push(Batch {
            bytes: open.builder.build(),
            buffered_bytes: open.bytes_bound - BATCH_HEADER_BYTES,
            due: open.due,
            opened: open.opened,
        });
    }
}

fn new_builder(identity: Identity, base_sequence: i32, options: &ProducerOptions) -> BatchBuilder {
    let builder = BatchBuilder::new(options.codec);
    match identity {
        Identity::NONE => builder,
        Identity { id, epoch } => builder.producer(id, epoch, base_sequence),
    }
}

/// Kafka's `DefaultRecordBatch.incrementSequence`: after the largest number comes 0.
fn sequence_after(sequence: i32, records: usize) -> i32 {
    ((sequence as u64 + records as u64) % (1 << 31)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap_to_zero_as_kafkas_do() {
        assert_eq!(sequence_after(0, 10), 10);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 2, 10), 7);
    }
}
