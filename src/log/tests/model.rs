//! Random steps against a log that is only a list of batches.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append {
        records: Vec<(i64, usize)>,
        producer: Option<i64>,
        gap: i64,
        new_epoch: bool,
    },
    CloseAndOpen,
    /// The process dies; of the last segment's file so much is left, of 1000.
    Crash {
        kept: usize,
    },
    /// The process dies, and a byte near the end of the last segment's file has changed.
    CrashChanged {
        back: usize,
    },
    LoseIndexes,
    LoseSnapshots,
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec((0i64..300, 0usize..300), 1..5);
    let producer = prop::option::of(1i64..4);
    let append = (
        records,
        producer,
        prop_oneof![9 => Just(0i64), 1 => 1i64..5],
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        30 => append.prop_map(|(records, producer, gap, new_epoch)| {
            Step::Append { records, producer, gap, new_epoch }
        }),
        2 => Just(Step::CloseAndOpen),
        2 => (0usize..=1000).prop_map(|kept| Step::Crash { kept }),
        1 => (1usize..400).prop_map(|back| Step::CrashChanged { back }),
        1 => Just(Step::LoseIndexes),
        1 => Just(Step::LoseSnapshots),
        1 => Just(Step::Expire),
    ]
}

/// The log as a list of batches.
#[derive(Default)]
struct Model {
    batches: Vec<Vec<u8>>,
    start: i64,
    /// A segment's base offset: where a log ends whose last segment a crash emptied.
    base: i64,
    epoch: i32,
    clock: i64,
    /// Since a retention: the log still knows producers whose batches are gone, which the model does not.
    forgot_producers: bool,
}

impl Model {
    fn header(&self, n: usize) -> BatchHeader {
        BatchHeader::parse(&self.batches[n]).unwrap()
    }

    fn headers(&self) -> Vec<BatchHeader> {
        (0..self.batches.len()).map(|n| self.header(n)).collect()
    }

    fn end(&self) -> i64 {
        let last = self
            .headers()
            .last()
            .map_or(self.start, |header| header.next_offset().0);
        last.max(self.base)
    }

    fn producers(&self) -> BTreeMap<i64, (i16, i32)> {
        let mut states = BTreeMap::new();
        for header in self.headers().iter().filter(|header| header.producer_id.0 >= 0) {
            let last = header.base_sequence + (header.last_offset.0 - header.base_offset.0) as i32;
            states.insert(header.producer_id.0, (header.producer_epoch.0, last));
        }
        states
    }

    fn next_batch(&mut self, records: &[(i64, usize)], producer: Option<i64>, gap: i64) -> Vec<u8> {
        let base = self.end() + gap;
        let producer = producer.filter(|_| !self.forgot_producers);
        let sequence = producer
            .and_then(|id| self.producers().get(&id).map(|state| state.1 + 1))
            .unwrap_or(0);
        let producer = match producer {
            Some(id) => Producer {
                id,
                epoch: 0,
                sequence,
            },
            None => Producer {
                id: -1,
                epoch: -1,
                sequence: -1,
            },
        };
        let values: Vec<String> = records.iter().map(|record| "v".repeat(record.1)).collect();
        self.clock += 40;
        let records: Vec<(i64, &str)> = records
            .iter()
            .zip(&values)
            .map(|((late, _), value)| (self.clock - late, value.as_str()))
            .collect();
        batch_of(base, self.epoch, producer, &records)
    }

    fn timestamps(&self) -> Vec<(i64, i64)> {
        let mut found = Vec::new();
        for bytes in &self.batches {
            let view = crate::wire::batch::BatchView::first(bytes).unwrap();
            for record in view.records(view.raw_records()) {
                let record = record.unwrap();
                found.push((record.offset.0, record.timestamp.0));
            }
        }
        found
    }

    fn check(&self, log: &Log) {
        assert_eq!(
            (log.start_offset().0, log.end_offset().0),
            (self.start, self.end())
        );
        assert_eq!(
            log.size_bytes() as usize,
            self.batches.iter().map(Vec::len).sum::<usize>()
        );
        assert_eq!(read_all(log), self.batches.concat());
        let headers = self.headers();
        for offset in self.start..self.end() {
            let read = log
                .read(Offset(offset), ReadLimits { bytes_max: 0, ..ALL })
                .unwrap()
                .run_now()
                .unwrap();
            let wanted = headers.iter().position(|header| header.last_offset.0 >= offset);
            let wanted = wanted.map_or(&[][..], |n| &self.batches[n]);
            assert_eq!(read, wanted, "offset {offset}");
            let before = headers.iter().rfind(|header| header.base_offset.0 <= offset);
            if let Some(before) = before {
                assert_eq!(log.epoch_of(Offset(offset)), Some(before.leader_epoch));
            }
        }
        let states: BTreeMap<i64, (i16, i32)> = log
            .producers()
            .iter()
            .map(|(id, state)| {
                (
                    id.0,
                    (state.epoch().0, state.batches().last().unwrap().last_sequence),
                )
            })
            .collect();
        assert!(self.forgot_producers || states == self.producers(), "{states:?}");
        self.check_timestamps(log);
    }

    fn check_timestamps(&self, log: &Log) {
        let records = self.timestamps();
        let found = |plan: LookupPlan| plan.run_now().unwrap().map(|f| (f.offset.0, f.timestamp.0));
        for target in (700..self.clock + 50).step_by(37) {
            let wanted = records.iter().find(|record| record.1 >= target).copied();
            let plan = log.offset_for_timestamp(Timestamp(target)).unwrap();
            assert_eq!(found(plan), wanted, "timestamp {target}");
        }
        let max = records.iter().map(|record| record.1).max();
        let wanted = records.iter().find(|record| Some(record.1) == max).copied();
        assert_eq!(found(log.offset_of_max_timestamp().unwrap()), wanted);
    }
}

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 2500,
        segment_ms: 700,
        index_interval_bytes: 300,
        ..LogOptions::default()
    }
}

/// Forgets the batches of the last segment that end behind `bytes` of its file.
fn cut(model: &mut Model, log: &Log, bytes: u64) {
    let base = log.active().base();
    model.base = base.0;
    let mut at = 0;
    let headers = model.headers();
    let kept = headers.iter().take_while(|header| {
        if header.base_offset >= base {
            at += header.size_bytes as u64;
        }
        at <= bytes
    });
    let kept = kept.count();
    model.batches.truncate(kept);
}

/// As the upkeep does: else a crash that empties the last segment leaves nothing that tells where it began.
fn name_segments(log: &mut Log) {
    for segment in &mut log.segments {
        segment.name_now().unwrap();
    }
}

fn reopen(dir: &Path, log: &mut Option<Log>, opened: Opened) {
    drop(log.take());
    *log = Some(open(dir, options(), opened).0);
}

fn run(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut model = Model {
        clock: 1000,
        ..Model::default()
    };
    let mut log = Some(open(dir, options(), Opened::AfterCleanStop).0);
    for step in steps {
        match step {
            Step::Append {
                records,
                producer,
                gap,
                new_epoch,
            } => {
                model.epoch += i32::from(*new_epoch);
                let bytes = model.next_batch(records, *producer, *gap);
                let log = log.as_mut().unwrap();
                if let Some(produced) = BatchHeader::parse(&bytes).unwrap().produced() {
                    assert_eq!(log.check_producer(&produced), Ok(Sequence::New));
                }
                log.append(&bytes, NOW).unwrap();
                model.batches.push(bytes);
                continue;
            }
            Step::CloseAndOpen => {
                close(log.take().unwrap());
                reopen(dir, &mut log, Opened::AfterCleanStop);
            }
            Step::Crash { kept } => {
                name_segments(log.as_mut().unwrap());
                let path = log.as_ref().unwrap().active().path(names::LOG);
                let len = std::fs::metadata(&path).unwrap().len();
                let kept = len * *kept as u64 / 1000;
                cut(&mut model, log.as_ref().unwrap(), kept);
                std::fs::File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(kept)
                    .unwrap();
                reopen(dir, &mut log, Opened::AfterCrash);
            }
            Step::CrashChanged { back } => {
                name_segments(log.as_mut().unwrap());
                let path = log.as_ref().unwrap().active().path(names::LOG);
                let mut bytes = std::fs::read(&path).unwrap();
                // Offset and epoch are not under the CRC; the rest is, or is the CRC.
                let at = bytes.len().saturating_sub(*back);
                let free = batches(&bytes).iter().any(|(start, _)| {
                    (*start..start + 8).contains(&at) || (start + 12..start + 16).contains(&at)
                });
                if let Some(byte) = bytes.get_mut(at).filter(|_| !free) {
                    *byte ^= 0x40;
                    cut(&mut model, log.as_ref().unwrap(), at as u64);
                    std::fs::write(&path, bytes).unwrap();
                }
                reopen(dir, &mut log, Opened::AfterCrash);
            }
            Step::LoseIndexes | Step::LoseSnapshots => {
                close(log.take().unwrap());
                let lost = if matches!(step, Step::LoseIndexes) {
                    "index"
                } else {
                    "snapshot"
                };
                for name in offset_files(dir).keys().filter(|name| name.ends_with(lost)) {
                    std::fs::remove_file(dir.join(name)).unwrap();
                }
                reopen(dir, &mut log, Opened::AfterCleanStop);
            }
            Step::Expire => {
                // Everything but the active segment's last batches is old.
                let log = log.as_mut().unwrap();
                log.options_mut().retention_bytes = 3000;
                log.settle_now();
                remove(log.delete_old_segments_now(NOW, log.end_offset()).unwrap());
                log.options_mut().retention_bytes = -1;
                let base = log.segments[0].base();
                let end = model.end();
                model
                    .batches
                    .retain(|bytes| BatchHeader::parse(bytes).unwrap().base_offset >= base);
                model.start = base.0;
                assert!(!model.batches.is_empty() || base.0 == end);
                model.forgot_producers = true;
            }
        }
        model.check(log.as_ref().unwrap());
    }
    model.check(log.as_ref().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_log_does_what_a_list_of_batches_does(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
