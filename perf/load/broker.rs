//! The four requests and their answers, by hand: CreateTopics v2, ListOffsets v1, Produce v7, Fetch v4.

use ringlog::base::crc32c;

const CLIENT_ID: &[u8] = b"perf-load";
const TOPIC_ALREADY_EXISTS: i16 = 36;
/// How long the broker may keep a fetch waiting; the next one follows at once, so it bounds nothing but silence.
const FETCH_WAIT_MS: i32 = 500;
const FETCH_BYTES: i32 = 1 << 20;
const REQUEST_TIMEOUT_MS: i32 = 30_000;
/// Bytes of a record batch before its first record (Kafka's `DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
const BATCH_HEADER_BYTES: usize = 61;
/// What a batch's own length field does not count: base offset and that field.
const BATCH_LENGTH_FROM: usize = 12;
/// The CRC covers a batch from here: everything after itself.
const CRC_FROM: usize = 21;

/// Big-endian bytes put together.
struct Frame(Vec<u8>);

impl Frame {
    fn request(key: i16, version: i16, correlation: i32) -> Frame {
        let mut frame = Frame(vec![0; 4]);
        frame.i16(key).i16(version).i32(correlation).string(CLIENT_ID);
        frame
    }

    fn i8(&mut self, v: i8) -> &mut Frame {
        self.0.push(v as u8);
        self
    }

    fn i16(&mut self, v: i16) -> &mut Frame {
        self.0.extend(v.to_be_bytes());
        self
    }

    fn i32(&mut self, v: i32) -> &mut Frame {
        self.0.extend(v.to_be_bytes());
        self
    }

    fn i64(&mut self, v: i64) -> &mut Frame {
        self.0.extend(v.to_be_bytes());
        self
    }

    fn string(&mut self, v: &[u8]) -> &mut Frame {
        self.i16(v.len() as i16);
        self.0.extend(v);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let size = (self.0.len() - 4) as i32;
        self.0[..4].copy_from_slice(&size.to_be_bytes());
        self.0
    }
}

/// Big-endian bytes taken apart; an answer that ends early is an error, not a panic.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.0.split_at_checked(len).ok_or("an answer ends early")?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("took that many"))
    }

    fn i16(&mut self) -> Result<i16, String> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, String> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, String> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        let len = self.i16()?;
        self.take(usize::try_from(len).unwrap_or(0))
    }

    fn varint(&mut self) -> Result<i64, String> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.array::<1>()?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err("a number of more than ten bytes".into())
    }
}

/// Creates a topic of one partition with these settings.
pub fn create_topic(topic: &str, settings: &[(&str, &str)]) -> Vec<u8> {
    let mut frame = Frame::request(19, 2, 0);
    frame.i32(1).string(topic.as_bytes()).i32(1).i16(1).i32(0);
    frame.i32(settings.len() as i32);
    for (name, value) in settings {
        frame.string(name.as_bytes()).string(value.as_bytes());
    }
    frame.i32(REQUEST_TIMEOUT_MS).i8(0);
    frame.finish()
}

pub fn read_create_topic(answer: &[u8]) -> Result<(), String> {
    let mut a = Answer(answer);
    let (_correlation, _throttle_ms, _topics) = (a.i32()?, a.i32()?, a.i32()?);
    let _name = a.string()?;
    match a.i16()? {
        0 | TOPIC_ALREADY_EXISTS => Ok(()),
        error => Err(format!("CreateTopics: error {error}")),
    }
}

/// Asks for the end of partition 0.
pub fn end_offset(topic: &str) -> Vec<u8> {
    list_offset(topic, -1)
}

/// Asks for the first offset of partition 0.
pub fn start_offset(topic: &str) -> Vec<u8> {
    list_offset(topic, -2)
}

fn list_offset(topic: &str, timestamp: i64) -> Vec<u8> {
    let mut frame = Frame::request(2, 1, 0);
    frame
        .i32(-1)
        .i32(1)
        .string(topic.as_bytes())
        .i32(1)
        .i32(0)
        .i64(timestamp);
    frame.finish()
}

/// The offset, or Kafka's error code: the leader may not be ready right after the topic was created.
pub fn read_offset(answer: &[u8]) -> Result<Result<i64, i16>, String> {
    let mut a = Answer(answer);
    let (_correlation, _topics) = (a.i32()?, a.i32()?);
    let _name = a.string()?;
    let (_partitions, _partition) = (a.i32()?, a.i32()?);
    let error = a.i16()?;
    let (_timestamp, offset) = (a.i64()?, a.i64()?);
    Ok(if error == 0 { Ok(offset) } else { Err(error) })
}

pub fn fetch(topic: &str, offset: i64) -> Vec<u8> {
    let mut frame = Frame::request(1, 4, 0);
    frame.i32(-1).i32(FETCH_WAIT_MS).i32(1).i32(FETCH_BYTES).i8(0);
    frame
        .i32(1)
        .string(topic.as_bytes())
        .i32(1)
        .i32(0)
        .i64(offset)
        .i32(FETCH_BYTES);
    frame.finish()
}

/// Hands each record's offset and message number to `each`. Batches may begin before the offset asked for. Or Kafka's error code.
pub fn read_fetch(answer: &[u8], mut each: impl FnMut(i64, u64)) -> Result<Result<(), i16>, String> {
    let mut a = Answer(answer);
    let (_correlation, _throttle_ms) = (a.i32()?, a.i32()?);
    for _topic in 0..a.i32()? {
        let _name = a.string()?;
        for _partition in 0..a.i32()? {
            let (_index, error, _high_watermark, _stable) = (a.i32()?, a.i16()?, a.i64()?, a.i64()?);
            if error != 0 {
                return Ok(Err(error));
            }
            for _aborted in 0..a.i32()? {
                a.take(16)?;
            }
            let bytes = a.i32()?;
            read_batches(a.take(usize::try_from(bytes).unwrap_or(0))?, &mut each)?;
        }
    }
    Ok(Ok(()))
}

fn read_batches(bytes: &[u8], each: &mut impl FnMut(i64, u64)) -> Result<(), String> {
    let mut batches = Answer(bytes);
    // The last batch may be cut where the answer's size limit fell.
    while batches.0.len() >= BATCH_HEADER_BYTES {
        let base_offset = batches.i64()?;
        let length = usize::try_from(batches.i32()?).map_err(|_| "a batch of negative length")?;
        let Ok(body) = batches.take(length) else {
            return Ok(());
        };
        let mut records = Answer(body);
        records.take(BATCH_HEADER_BYTES - BATCH_LENGTH_FROM - 4)?;
        for _record in 0..records.i32()? {
            let length = records.varint()?;
            let mut record = Answer(records.take(usize::try_from(length).unwrap_or(0))?);
            record.take(1)?;
            let (_timestamp_delta, offset_delta) = (record.varint()?, record.varint()?);
            let key_len = record.varint()?;
            record.take(usize::try_from(key_len).unwrap_or(0))?;
            let _value_len = record.varint()?;
            each(base_offset + offset_delta, u64::from_be_bytes(record.array()?));
        }
    }
    Ok(())
}

/// The offset a produced message got, or Kafka's error code.
pub fn read_produce(answer: &[u8]) -> Result<Result<i64, i16>, String> {
    let mut a = Answer(answer);
    let (_correlation, _topics) = (a.i32()?, a.i32()?);
    let _name = a.string()?;
    let (_partitions, _partition) = (a.i32()?, a.i32()?);
    let error = a.i16()?;
    let offset = a.i64()?;
    Ok(if error == 0 { Ok(offset) } else { Err(error) })
}

/// A produce request of one batch, and where that begins in it.
pub fn produce(topic: &str, acks: i16, batch: &[u8]) -> (Vec<u8>, usize) {
    let mut frame = Frame::request(0, 7, 0);
    frame.i16(-1).i16(acks).i32(REQUEST_TIMEOUT_MS);
    frame
        .i32(1)
        .string(topic.as_bytes())
        .i32(1)
        .i32(0)
        .i32(batch.len() as i32);
    let batch_from = frame.0.len();
    frame.0.extend(batch);
    (frame.finish(), batch_from)
}

/// A produce request of one message, built once and patched for each: the encoder must not be what is measured.
pub struct ProduceTemplate {
    frame: Vec<u8>,
    batch_from: usize,
    value_from: usize,
}

impl ProduceTemplate {
    /// A request whose message is `value_bytes` long, at least 8.
    pub fn new(topic: &str, acks: i16, value_bytes: usize) -> ProduceTemplate {
        let (batch, value_from) = batch_of_one(value_bytes);
        let (frame, batch_from) = produce(topic, acks, &batch);
        ProduceTemplate {
            frame,
            batch_from,
            value_from: batch_from + value_from,
        }
    }

    /// The request for message `number`, stamped with the wall clock's `now_ms`.
    pub fn fill(&mut self, number: u64, now_ms: i64) -> &[u8] {
        let batch = &mut self.frame[self.batch_from..];
        batch[27..35].copy_from_slice(&now_ms.to_be_bytes());
        batch[35..43].copy_from_slice(&now_ms.to_be_bytes());
        self.frame[8..12].copy_from_slice(&(number as i32).to_be_bytes());
        self.frame[self.value_from..self.value_from + 8].copy_from_slice(&number.to_be_bytes());
        let crc = crc32c(&self.frame[self.batch_from + CRC_FROM..]);
        let crc_at = self.batch_from + CRC_FROM - 4;
        self.frame[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
        &self.frame
    }
}

/// A record batch (magic 2) of one record without a key, and where its value begins.
fn batch_of_one(value_bytes: usize) -> (Vec<u8>, usize) {
    // Attributes, timestamp delta, offset delta, null key.
    let mut record = vec![0, 0, 0, 1];
    put_varint(&mut record, value_bytes as i64);
    let value_at = record.len();
    // Not all the same byte, so that nothing on the way profits from it.
    record.extend((0..value_bytes).map(|i| (i * 131 + 7) as u8));
    record.push(0);

    let mut batch = Frame(Vec::new());
    batch
        .i64(0)
        .i32(0)
        .i32(-1)
        .i8(2)
        .i32(0)
        .i16(0)
        .i32(0)
        .i64(0)
        .i64(0)
        .i64(-1)
        .i16(-1)
        .i32(-1)
        .i32(1);
    debug_assert_eq!(batch.0.len(), BATCH_HEADER_BYTES);
    let mut bytes = batch.0;
    put_varint(&mut bytes, record.len() as i64);
    let value_from = bytes.len() + value_at;
    bytes.extend(record);
    let length = (bytes.len() - BATCH_LENGTH_FROM) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    (bytes, value_from)
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_produced_batch_reads_back_its_message_number() {
        for value_bytes in [8, 128, 100_000] {
            let mut template = ProduceTemplate::new("t", -1, value_bytes);
            let batch_from = template.batch_from;
            let mut batch = template.fill(77, 1_700_000_000_000)[batch_from..].to_vec();
            batch[..8].copy_from_slice(&5i64.to_be_bytes());
            let mut seen = Vec::new();
            read_batches(&batch, &mut |offset, number| seen.push((offset, number))).unwrap();
            assert_eq!(seen, [(5, 77)]);
        }
    }

    #[test]
    fn a_batch_cut_at_the_end_of_an_answer_is_left_out() {
        let mut template = ProduceTemplate::new("t", -1, 64);
        let batch_from = template.batch_from;
        let batch = template.fill(1, 0)[batch_from..].to_vec();
        let two = [&batch[..], &batch[..batch.len() - 1]].concat();
        let mut seen = 0;
        read_batches(&two, &mut |_, _| seen += 1).unwrap();
        assert_eq!(seen, 1);
    }
}
