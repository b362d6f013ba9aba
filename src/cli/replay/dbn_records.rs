//! Databento's binary encoding (DBN) as a recording's records, by the `dbn` crate's decoder without I/O.
//!
//! Versions 1 to 3. Each record is given as the bytes that stand in the file: nothing is upgraded.

use dbn::decode::dbn::fsm::{DbnFsm, ProcessResult};
use dbn::{
    BboMsg, CbboMsg, Cmbp1Msg, MboMsg, Mbp1Msg, Mbp10Msg, RecordRef, TradeMsg, UNDEF_TIMESTAMP,
    VersionUpgradePolicy,
};

use super::source::{Item, SourceError};

/// The decoder's buffer to begin with; it grows to what one push and one record need.
const BUFFER_BYTES: usize = 256 * 1024;
/// The largest metadata header accepted: it lists symbols, and a day of every instrument of a venue stays below.
const METADATA_BYTES_MAX: usize = 64 << 20;
/// Version byte and metadata length stand before this.
const PRELUDE_BYTES: usize = 8;
/// Every record of versions 1 to 3 is a multiple of this long. The decoder hands out typed references, which
/// only then stay aligned.
const RECORD_ALIGN_BYTES: usize = 8;
/// A record's first byte is its length in units of this.
const LENGTH_UNIT_BYTES: usize = 4;

/// Splits a DBN stream into its records.
pub struct DbnRecords {
    fsm: DbnFsm,
    /// The stream's first bytes, kept until its header's claims are checked.
    prelude: Vec<u8>,
    prelude_checked: bool,
    metadata_seen: bool,
    records: u64,
    current: Current,
}

#[derive(Default)]
struct Current {
    payload: Vec<u8>,
    recorded_ns: Option<u64>,
    instrument_id: u32,
    order_id: Option<u64>,
}

impl DbnRecords {
    /// A splitter at the start of a stream.
    pub fn new() -> Result<DbnRecords, SourceError> {
        let fsm = DbnFsm::builder()
            .upgrade_policy(VersionUpgradePolicy::AsIs)
            .buffer_size(BUFFER_BYTES)
            .build()
            .map_err(|e| SourceError(format!("DBN: {e}")))?;
        Ok(DbnRecords {
            fsm,
            prelude: Vec::new(),
            prelude_checked: false,
            metadata_seen: false,
            records: 0,
            current: Current::default(),
        })
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        if self.prelude_checked {
            self.fsm.write_all(bytes);
            return Ok(());
        }
        self.prelude.extend_from_slice(bytes);
        if self.prelude.len() < PRELUDE_BYTES {
            return Ok(());
        }
        self.check_prelude()?;
        self.prelude_checked = true;
        self.fsm.write_all(&std::mem::take(&mut self.prelude));
        Ok(())
    }

    /// Moves to the next whole record.
    pub fn advance(&mut self, ended: bool) -> Result<bool, SourceError> {
        loop {
            self.check_alignment()?;
            match self.fsm.process() {
                ProcessResult::Record(()) => {
                    self.records += 1;
                    self.keep_current();
                    return Ok(true);
                }
                ProcessResult::Metadata(_) => self.metadata_seen = true,
                ProcessResult::ReadMore(_) if !ended => return Ok(false),
                ProcessResult::ReadMore(_) if self.metadata_seen && self.fsm.data().is_empty() => {
                    return Ok(false);
                }
                ProcessResult::ReadMore(_) => return Err(self.error("the file ends inside it")),
                ProcessResult::Err(e) => return Err(self.error(e)),
            }
        }
    }

    /// The current record.
    pub fn item(&self) -> Item<'_> {
        Item {
            position: self.records - 1,
            payload: &self.current.payload,
            recorded_ns: self.current.recorded_ns,
            instrument_id: Some(self.current.instrument_id),
            order_id: self.current.order_id,
        }
    }

    fn keep_current(&mut self) {
        let record = self.fsm.last_record().expect("process just decoded one");
        self.current.payload.clear();
        self.current.payload.extend_from_slice(record.as_ref());
        self.current.recorded_ns = Some(recorded_ns(&record)).filter(|&ns| ns != UNDEF_TIMESTAMP);
        self.current.instrument_id = record.header().instrument_id;
        self.current.order_id = record.try_get::<MboMsg>().ok().map(|mbo| mbo.order_id);
    }

    /// The decoder reserves what the header claims, so a false claim is caught before it sees it.
    fn check_prelude(&self) -> Result<(), SourceError> {
        let metadata_bytes = u32::from_le_bytes(self.prelude[4..8].try_into().expect("four bytes")) as usize;
        if metadata_bytes > METADATA_BYTES_MAX {
            return Err(SourceError(format!(
                "DBN: the header claims {metadata_bytes} bytes of metadata, more than {METADATA_BYTES_MAX}"
            )));
        }
        Ok(())
    }

    fn check_alignment(&self) -> Result<(), SourceError> {
        let Some(&units) = self.fsm.data().first().filter(|_| self.metadata_seen) else {
            return Ok(());
        };
        let bytes = usize::from(units) * LENGTH_UNIT_BYTES;
        if bytes.is_multiple_of(RECORD_ALIGN_BYTES) {
            return Ok(());
        }
        Err(self.error(format_args!("its length of {bytes} bytes is no DBN record's")))
    }

    fn error(&self, what: impl std::fmt::Display) -> SourceError {
        match self.metadata_seen {
            true => SourceError(format!("DBN record {}: {what}", self.records)),
            false => SourceError(format!("DBN header: {what}")),
        }
    }
}

/// When the feed had it: `ts_recv` where the record has one, else `ts_event`.
///
/// Not by the crate's own `raw_index_ts`: that one panics on a record shorter than its type should be, which an
/// older version's or a broken file's may be.
fn recorded_ns(record: &RecordRef<'_>) -> u64 {
    macro_rules! ts_recv {
        ($($message:ty),*) => {
            $(if let Ok(message) = record.try_get::<$message>() {
                return message.ts_recv;
            })*
        };
    }
    ts_recv!(MboMsg, TradeMsg, Mbp1Msg, Mbp10Msg, Cmbp1Msg, BboMsg, CbboMsg);
    record.header().ts_event
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbn::{Dataset, MboMsg, Metadata, RecordHeader, SType, Schema, rtype};

    fn header() -> Vec<u8> {
        let metadata = Metadata::builder()
            .version(1)
            .dataset(Dataset::GlbxMdp3)
            .schema(Some(Schema::Mbo))
            .start(0)
            .stype_in(Some(SType::RawSymbol))
            .stype_out(SType::InstrumentId)
            .build();
        let mut bytes = Vec::new();
        dbn::encode::dbn::MetadataEncoder::new(&mut bytes)
            .encode(&metadata)
            .unwrap();
        bytes
    }

    fn mbo(order_id: u64, ts_recv: u64) -> Vec<u8> {
        let message = MboMsg {
            hd: RecordHeader::new::<MboMsg>(rtype::MBO, 1, 17077, ts_recv - 1),
            order_id,
            ts_recv,
            ..Default::default()
        };
        message.as_ref().to_vec()
    }

    fn read_all(file: &[u8], piece: usize) -> Result<Vec<(Vec<u8>, u64, u64)>, SourceError> {
        let mut records = DbnRecords::new()?;
        let mut read = Vec::new();
        let mut take_whole = |records: &mut DbnRecords, ended| {
            while records.advance(ended)? {
                let item = records.item();
                assert_eq!(item.position, read.len() as u64);
                assert_eq!(item.instrument_id, Some(17077));
                read.push((
                    item.payload.to_vec(),
                    item.recorded_ns.unwrap(),
                    item.order_id.unwrap(),
                ));
            }
            Ok(())
        };
        for bytes in file.chunks(piece) {
            records.push(bytes)?;
            take_whole(&mut records, false)?;
        }
        take_whole(&mut records, true)?;
        Ok(read)
    }

    #[test]
    fn records_come_out_byte_for_byte_in_any_pieces() {
        let records: Vec<Vec<u8>> = (1..=100).map(|n| mbo(n, n * 10)).collect();
        let file = [header(), records.concat()].concat();
        for piece in [1, 7, 56, 4096] {
            let read = read_all(&file, piece).unwrap();
            assert_eq!(read.len(), 100);
            for (n, (payload, recorded_ns, order_id)) in (1..).zip(read) {
                assert_eq!(payload, records[n as usize - 1]);
                assert_eq!((recorded_ns, order_id), (n * 10, n));
            }
        }
    }

    #[test]
    fn a_record_cut_short_is_an_error_that_names_it() {
        let file = [header(), mbo(1, 10), mbo(2, 20)].concat();
        let error = read_all(&file[..file.len() - 1], 64).unwrap_err();
        assert_eq!(error.0, "DBN record 1: the file ends inside it");
        let error = read_all(&file[..20], 64).unwrap_err();
        assert_eq!(error.0, "DBN header: the file ends inside it");
    }

    #[test]
    fn claims_of_the_header_are_checked_before_anything_is_reserved() {
        let mut file = header();
        file[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(
            read_all(&file, 64)
                .unwrap_err()
                .0
                .contains("claims 4294967295 bytes")
        );
    }

    #[test]
    fn odd_record_lengths_are_refused() {
        for units in [0u8, 1, 3, 15] {
            let mut record = mbo(1, 10);
            record[0] = units;
            let file = [header(), record].concat();
            assert!(
                read_all(&file, 4096).unwrap_err().0.starts_with("DBN record 0: "),
                "{units}"
            );
        }
    }

    #[test]
    fn a_record_shorter_than_its_type_has_no_order_id_and_does_not_panic() {
        let mut record = mbo(1, 10);
        record[0] = 24 / 4;
        record.truncate(24);
        let mut records = DbnRecords::new().unwrap();
        records.push(&[header(), record].concat()).unwrap();
        assert!(records.advance(true).unwrap());
        assert_eq!(
            (records.item().order_id, records.item().recorded_ns),
            (None, Some(9))
        );
    }
}
