//! What is asked of a log, step by step, as chance has it.

use std::rc::Rc;
use std::time::Duration;

use ringlog::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use ringlog::io::{self, may_pass, wall_now};
use ringlog::log::producers::{Sequence, SequenceError};
use ringlog::log::{AppendError, LogError, ReadLimits, names};
use ringlog::wire::batch::{BatchBuilder, BatchView, ControlType};
use ringlog::wire::compression::Codec;

use super::check::{aborted_in, check, expect_appended, records_in};
use super::life::{Life, partition_dir, rest};
use super::story::{Batch, Record};

const CODECS: [Codec; 8] = [
    Codec::None,
    Codec::None,
    Codec::None,
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];
/// The first of them are idempotent only, the others write in transactions.
const PRODUCERS: u64 = 5;
const IDEMPOTENT: u64 = 3;
const KEYS: u64 = 7;

fn below(limit: u64) -> u64 {
    io::random_u64() % limit
}

/// Does one thing.
pub async fn step(life: &Rc<Life>) {
    let is_compacted = life.plan.is_compacted;
    match below(100) {
        0..40 => append(life).await,
        40..45 => io::sleep(Duration::from_micros(below(9_000))).await,
        45..54 => end_a_transaction(life).await,
        54..58 => send_again(life),
        58..60 => send_wrongly(life),
        60..68 => life.flush_beside(),
        68..71 => life.checkpoint_beside(),
        71..76 => read(life).await,
        76..79 => read_committed(life),
        79..81 => check_if_whole(life),
        81..85 if is_compacted => life.compact_beside(),
        81..83 => delete_records(life).await,
        83..85 => retain(life),
        85 | 86 if !is_compacted && below(3) == 0 => truncate(life).await,
        87 => life.with(|log| log.release_files()),
        _ => io::sleep(Duration::from_micros(below(9_000))).await,
    }
    if below(4) > 0 {
        life.keep_up_beside();
    }
    io::yield_now().await;
}

// --- appends ---

async fn append(life: &Rc<Life>) {
    let batch = next_batch(life);
    let mut builder = BatchBuilder::new(CODECS[below(CODECS.len() as u64) as usize])
        .at(Offset(batch.base), LeaderEpoch(batch.leader_epoch));
    if let Some((id, epoch, sequence)) = batch.producer {
        builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    }
    if batch.is_transactional {
        builder = builder.transactional();
    }
    for record in &batch.records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.add(Timestamp(record.timestamp), key, value, &[]);
    }
    if let Some(produced) = batch.produced() {
        let sequence = life.with(|log| log.check_producer(&produced));
        assert_eq!(sequence, Ok(Sequence::New), "{batch:?}");
    }
    write(life, batch, builder).await;
}

/// Puts it into the log and the story, if it may be.
async fn write(life: &Rc<Life>, mut batch: Batch, builder: BatchBuilder) {
    let bytes = builder.build();
    batch.size_bytes = bytes.len();
    match life.with(|log| log.append(&bytes, wall_now())) {
        Ok(appended) => {
            life.tell(format_args!("appended {:?}", appended));
            let mut story = life.story();
            if appended.rolled {
                let next = names::offset_file(appended.base_offset, names::NEXT);
                let is_spare = !io::fs::exists_now(partition_dir().join(next)).unwrap_or(false);
                story.counts.rolls_onto_spares += u64::from(is_spare);
                story.counts.rolls_without += u64::from(!is_spare);
            }
            story.counts.appends += 1;
            story.append(batch);
        }
        Err(AppendError::LargerThanSegment { bytes, max }) => assert!(bytes > max as usize),
        Err(AppendError::Disk(error)) if may_pass(&error) => {}
        Err(AppendError::Disk(_)) => life.doubt().await,
        Err(error) => panic!("{error}"),
    }
}

fn next_batch(life: &Life) -> Batch {
    let story = life.story();
    let id = below(PRODUCERS + 2);
    let is_transactional = (IDEMPOTENT..PRODUCERS).contains(&id);
    let producer = (id < PRODUCERS).then(|| {
        let known = story.producers.get(&(id as i64)).cloned().unwrap_or_default();
        // Now and then a producer begins anew, but not in the middle of a transaction.
        match below(30) == 0 && known.open_since.is_none() {
            true => (id as i64, known.epoch + 1, 0),
            false => (id as i64, known.epoch, known.next_sequence()),
        }
    });
    let count = if below(5) == 0 {
        1 + below(12)
    } else {
        1 + below(2)
    };
    Batch {
        base: story.end,
        records: (0..count)
            .map(|n| any_record(life.plan.is_compacted, story.end as u64 + n))
            .collect(),
        leader_epoch: story.lives,
        producer,
        is_transactional,
        is_abort: None,
        size_bytes: 0,
    }
}

fn any_record(has_key: bool, number: u64) -> Record {
    let key = (has_key || below(2) == 0).then(|| below(KEYS).to_be_bytes().to_vec());
    let is_tombstone = key.is_some() && below(8) == 0;
    let mut value = number.to_be_bytes().to_vec();
    value.resize(8 + below(60) as usize, 7);
    Record {
        key,
        value: (!is_tombstone).then_some(value),
        timestamp: wall_now().0 - below(40) as i64 * below(2) as i64,
    }
}

/// A marker: of a transaction that is open, or of none.
async fn end_a_transaction(life: &Rc<Life>) {
    let id = IDEMPOTENT + below(PRODUCERS - IDEMPOTENT);
    let is_abort = below(2) == 0;
    let (batch, known) = {
        let story = life.story();
        let Some(known) = story.producers.get(&(id as i64)).cloned() else {
            return;
        };
        let control_type = if is_abort {
            ControlType::Abort
        } else {
            ControlType::Commit
        };
        let record = Record {
            key: Some(control_type.key().to_vec()),
            value: Some(vec![0; 6]),
            timestamp: wall_now().0,
        };
        let batch = Batch {
            base: story.end,
            records: vec![record],
            leader_epoch: story.lives,
            producer: Some((id as i64, known.epoch, -1)),
            is_transactional: true,
            is_abort: Some(is_abort),
            size_bytes: 0,
        };
        (batch, known)
    };
    let mut builder = BatchBuilder::new(Codec::None)
        .producer(ProducerId(id as i64), ProducerEpoch(known.epoch), -1)
        .transactional()
        .control()
        .at(Offset(batch.base), LeaderEpoch(batch.leader_epoch));
    let control_type = if is_abort {
        ControlType::Abort
    } else {
        ControlType::Commit
    };
    builder.add_control(Timestamp(batch.records[0].timestamp), control_type, &[0; 6]);
    life.story().counts.commits += u64::from(!is_abort && known.open_since.is_some());
    write(life, batch, builder).await;
}

/// One of a producer's last batches comes again: it is known, and where it is.
fn send_again(life: &Life) {
    let story = life.story();
    let Some(producer) = story.producers.get(&(below(PRODUCERS) as i64)) else {
        return;
    };
    let known = if story.is_compacted {
        1
    } else {
        producer.batches.len()
    };
    let sure = producer.batches.iter().rev().take(known);
    if let Some(batch) = sure.clone().nth(below(5) as usize).or(sure.clone().next()) {
        let sequence = life.with(|log| log.check_producer(batch));
        let Ok(Sequence::Duplicate(earlier)) = sequence else {
            panic!("{batch:?} again: {sequence:?}");
        };
        assert_eq!(earlier.base_offset, batch.base_offset);
    }
}

/// What isn't the next is refused: a gap, and an epoch of the past.
fn send_wrongly(life: &Life) {
    let story = life.story();
    let id = below(IDEMPOTENT) as i64;
    let Some(newest) = story
        .producers
        .get(&id)
        .and_then(|producer| producer.batches.back())
    else {
        return;
    };
    let expected = story.producers[&id].next_sequence();
    let mut wrong = *newest;
    wrong.first_sequence = expected + 1 + below(9) as i32;
    let refused = life.with(|log| log.check_producer(&wrong));
    assert_eq!(refused, Err(SequenceError::OutOfOrder { expected }));
    let mut fenced = *newest;
    fenced.epoch.0 -= 1;
    let refused = life.with(|log| log.check_producer(&fenced));
    assert_eq!(
        refused,
        Err(SequenceError::Fenced {
            current: newest.epoch
        })
    );
}

// --- reads ---

/// Reads at any offset; what comes is what was appended there.
async fn read(life: &Rc<Life>) {
    let (start, end) = life.with(|log| (log.start_offset().0, log.end_offset().0));
    let offset = start + below((end - start + 1) as u64) as i64;
    let limits = ReadLimits {
        bytes_max: below(3_000) as usize,
        upper: Offset(i64::MAX),
        at_least_one: true,
    };
    let Ok(plan) = life.with(|log| log.read(Offset(offset), limits)) else {
        return;
    };
    let Ok(bytes) = plan.run().await else { return };
    let story = life.story();
    assert_eq!(bytes.is_empty(), offset == end, "{offset} of {start}..{end}");
    let (found, next) = records_in(&bytes);
    found.iter().for_each(|found| expect_appended(found, &story));
    assert!(next.is_none_or(|next| next > offset));
    if !story.is_compacted
        && let Ok(first) = BatchView::first(&bytes)
    {
        let holder = story.holder(offset).expect("it was appended");
        assert_eq!(
            first.base_offset().0,
            holder.base,
            "the batch that holds {offset}"
        );
    }
}

/// The aborted transactions of any range.
fn read_committed(life: &Life) {
    let mut story = life.story();
    let (start, end) = (story.start, story.stable_end());
    if start >= end || story.is_disk_bad {
        return;
    }
    let from = start + below((end - start) as u64) as i64;
    let upper = from + 1 + below((end - from) as u64) as i64;
    let told = life.with(|log| aborted_in(log, from, upper));
    story.counts.aborted_read += u64::from(!told.is_empty());
    if !story.is_compacted {
        let mut expected = story.aborted();
        expected.retain(|aborted| aborted.marker >= from && aborted.first < upper);
        assert_eq!(told, expected, "aborted in {from}..{upper}");
    }
}

fn check_if_whole(life: &Life) {
    let story = life.story();
    if !story.is_disk_bad {
        life.with(|log| check(log, &story));
    }
}

// --- what takes records away ---

/// Moves the start up to any offset; it is answered, and so stays, once the checkpoints are written.
async fn delete_records(life: &Rc<Life>) {
    let (start, end) = life.with(|log| (log.start_offset().0, log.end_offset().0));
    let before = start + below((end - start + 1) as u64) as i64;
    life.tell(format_args!("deletes up to {before}"));
    life.with(|log| log.delete_records_before(Offset(before)));
    life.story().start = before;
    if life.checkpoint().await.is_ok() {
        let mut story = life.story();
        story.start_sure = story.start_sure.max(before);
        story.counts.deletions += 1;
    }
}

/// Deletes old segments, and none that must stay.
fn retain(life: &Rc<Life>) {
    let now = wall_now();
    let before = life.with(|log| log.start_offset().0);
    let removal = life.with(|log| log.delete_old_segments_now(now, log.end_offset()));
    let (start, size_bytes) = life.with(|log| (log.start_offset().0, log.size_bytes()));
    life.tell(format_args!("retains {before}.. to {start}"));
    let mut story = life.story();
    let gone = story
        .batches
        .iter()
        .filter(|batch| (before..start).contains(&(batch.next() - 1)));
    for batch in gone {
        let is_old = now.0 - batch.max_timestamp() > life.plan.options.retention_ms;
        let is_beyond = size_bytes as i64 >= life.plan.options.retention_bytes;
        assert!(
            is_old || is_beyond,
            "{batch:?} is neither old nor too much: {size_bytes} bytes stay"
        );
    }
    story.counts.retentions += u64::from(start > before);
    story.start = start;
    if let Ok(removal) = removal {
        io::spawn(removal.run());
    }
}

/// Takes back what lies behind some offset, mostly a little, sometimes everything.
async fn truncate(life: &Rc<Life>) {
    life.come_to_rest().await;
    let (start, end) = life.with(|log| (log.start_offset().0, log.end_offset().0));
    let (to, is_full) = match below(8) {
        0 => (end + below(9) as i64 - 4, true),
        1 | 2 => (start + below((end - start + 1) as u64) as i64, false),
        _ => ((end - below(12) as i64).max(0), false),
    };
    let to = to.max(0);
    life.tell(format_args!("truncates {start}..{end} to {to}, fully: {is_full}"));
    {
        let mut story = life.story();
        story.counts.truncations += 1;
        story.counts.full_truncations += u64::from(is_full);
        story.truncate(to, is_full);
    }
    match run_truncation(life, to, is_full).await {
        Ok(()) => {}
        Err(_) => return life.doubt().await,
    }
    end_truncation(life).await;
    check_if_whole(life);
}

/// Makes a truncation last, of this life or of the one before.
pub async fn end_truncation(life: &Life) {
    while !life.flush().await || life.checkpoint().await.is_err() {
        rest().await;
    }
    life.story().before_truncation = None;
}

async fn run_truncation(life: &Life, to: i64, is_full: bool) -> Result<(), LogError> {
    let now = wall_now();
    let at = |error| LogError::Io {
        path: partition_dir(),
        error,
    };
    let begun = life.with(|log| match is_full {
        true => log.begin_full_truncation(Offset(to), now),
        false => log.begin_truncation(Offset(to), now),
    });
    let truncated = begun.map_err(at)?.run().await.map_err(at)?;
    life.with(|log| log.end_truncation(truncated, now))?.run().await;
    Ok(())
}
