//! `ringlog replay`: a recorded feed becomes records again, with its own gaps or as fast as it goes.
//!
//! Each record of the recording becomes one of the topic: its payload is the bytes that stand in the file, its header
//! `n` the position in the file (from 0, eight bytes, big-endian), so that completeness and order can be proved from
//! the topic alone.

mod dbn_records;
mod file;
mod pace;
mod report;
mod source;
mod target;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::file::Recording;
use self::pace::{Pacer, Speed};
use self::report::Report;
use self::source::Item;
use super::Failure;
use super::args::{ClusterArgs, NewTopicArgs, SendArgs};
use super::values;
use crate::base::{Instant, Timestamp};
use crate::client::{Partitioner, Producer, Record, TopicHandle};
use crate::io;

/// Records sent in a row without a pause before the other tasks get their turn.
const TURN_RECORDS: u64 = 64;
/// The header that carries a record's position in the recording.
const POSITION_HEADER: &str = "n";

/// Play a recorded feed, with its own gaps or as fast as it goes
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "FILE is Databento's binary encoding (.dbn, versions 1 to 3) or lines of text, either one plain or in zstd; its \
                  content tells which. A record's value is the DBN record's or the line's bytes, its header n the position \
                  in the file (u64, big-endian). Keys are the id's decimal digits as text. Ack latency counts from the time a \
                  record was due.\n\n\
                  Example:\n  ringlog replay esh4-mbo.dbn.zst --topic ticks --speed 1 --gap-max 5ms --key instrument"
)]
pub struct ReplayArgs {
    /// The recording
    file: PathBuf,
    /// The topic; created if it is missing
    #[arg(long)]
    topic: String,
    /// A factor of the recorded speed, max, or a rate like 5000/s [default: 1, max for text]
    #[arg(long, value_name = "X|max|N/s")]
    speed: Option<Speed>,
    /// Cut longer gaps to this
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    gap_max: Option<Duration>,
    /// What becomes the record's key
    #[arg(long, value_enum, default_value_t)]
    key: KeyArg,
    /// Which time becomes the record's timestamp
    #[arg(long, value_enum, default_value_t)]
    timestamps: TimestampsArg,
    /// No progress while it runs
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    new_topic: NewTopicArgs,
    #[command(flatten)]
    send: SendArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum KeyArg {
    /// The instrument's id.
    Instrument,
    /// The order's id, in a market-by-order recording.
    Order,
    /// None: records go to partitions in turn.
    #[default]
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TimestampsArg {
    /// When the record is sent.
    #[default]
    Send,
    /// When the feed had it; the topic must not drop it for its age.
    Recorded,
}

/// Runs the command.
pub async fn run(args: ReplayArgs) -> Result<(), Failure> {
    let options = args.send.producer_options()?;
    let mut recording = Recording::open(&args.file).await?;
    if !recording.advance().await? {
        return Err(Failure::Failed(format!(
            "{}: no records in it",
            args.file.display()
        )));
    }
    let speed = args.check(&recording)?;
    let cluster = args.cluster.connect().await?;
    let oldest = args.recorded_timestamp(&recording.item());
    target::prepare(&cluster, &args.topic, &args.new_topic, oldest).await?;

    let report = Rc::new(RefCell::new(Report::new(io::now(), args.send.is_acknowledged())));
    let acknowledged = report.clone();
    let producer = Producer::start(
        cluster,
        options,
        Box::new(move |delivery| acknowledged.borrow_mut().acknowledge(&delivery)),
    )
    .await?;
    let topic = producer.topic(&args.topic).await?;
    let player = Player {
        pacer: Pacer::new(speed, args.gap_max),
        partitioner: Partitioner::new(topic.partitions),
        args: &args,
        producer: &producer,
        topic,
        report: report.clone(),
    };
    report.borrow_mut().start(io::now());
    if !args.quiet {
        io::spawn(report::show_progress(report.clone()));
    }
    let result = player.play(&mut recording).await;
    report.borrow_mut().finish();
    eprint!("{}", report.borrow().summary(io::now()));
    result
}

impl ReplayArgs {
    /// Whether the recording has what the options ask for; the speed, by default as the format allows.
    fn check(&self, recording: &Recording) -> Result<Speed, Failure> {
        let text = !recording.is_dbn();
        let lacking = match (self.key, self.timestamps, self.speed) {
            _ if !text => None,
            (KeyArg::Instrument | KeyArg::Order, ..) => Some("lines of text have no ids: --key none"),
            (_, TimestampsArg::Recorded, _) => Some("lines of text have no times: --timestamps send"),
            (.., Some(Speed::Times(_))) => {
                Some("lines of text have no times: --speed max, or a rate like --speed 5000/s")
            }
            _ => None,
        };
        match lacking {
            Some(reason) => Err(Failure::Usage(format!("{}: {reason}", self.file.display()))),
            None => Ok(self
                .speed
                .unwrap_or(if text { Speed::Max } else { Speed::Times(1.0) })),
        }
    }

    /// The timestamp that the record must keep, if it must keep one.
    fn recorded_timestamp(&self, item: &Item<'_>) -> Option<Timestamp> {
        let recorded = item
            .recorded_ns
            .filter(|_| self.timestamps == TimestampsArg::Recorded)?;
        Some(Timestamp((recorded / 1_000_000) as i64))
    }

    fn key<'a>(&self, item: &Item<'_>, buffer: &'a mut String) -> Result<Option<&'a [u8]>, Failure> {
        use std::fmt::Write;
        buffer.clear();
        let written = match self.key {
            KeyArg::None => return Ok(None),
            KeyArg::Instrument => item.instrument_id.map(|id| write!(buffer, "{id}")),
            KeyArg::Order => item.order_id.map(|id| write!(buffer, "{id}")),
        };
        let position = item.position;
        match written {
            Some(written) => written.expect("a string takes everything"),
            None => {
                return Err(Failure::Failed(format!(
                    "record {position} has no order id: it is not market-by-order"
                )));
            }
        }
        Ok(Some(buffer.as_bytes()))
    }
}

struct Player<'a> {
    args: &'a ReplayArgs,
    producer: &'a Producer,
    topic: TopicHandle,
    pacer: Pacer,
    partitioner: Partitioner,
    report: Rc<RefCell<Report>>,
}

impl Player<'_> {
    /// Sends every record from the current one on, each when it is due, and waits for the last acknowledgement.
    async fn play(mut self, recording: &mut Recording) -> Result<(), Failure> {
        let start = io::now();
        let mut key = String::new();
        let mut in_a_row = 0;
        loop {
            let item = recording.item();
            let due = self
                .pacer
                .due(item.recorded_ns)
                .map_or_else(io::now, |after| start + after);
            if due > io::now() {
                io::sleep_until(due).await;
                in_a_row = 0;
            }
            self.send(&item, due, &mut key).await?;
            in_a_row += 1;
            if in_a_row == TURN_RECORDS {
                io::yield_now().await;
                in_a_row = 0;
            }
            if !recording.advance().await? {
                break;
            }
        }
        Ok(self.producer.flush().await?)
    }

    async fn send(&mut self, item: &Item<'_>, due: Instant, key: &mut String) -> Result<(), Failure> {
        let key = self.args.key(item, key)?;
        let position = item.position.to_be_bytes();
        let record = Record {
            timestamp: self.args.recorded_timestamp(item).unwrap_or_else(io::wall_now),
            key,
            value: Some(item.payload),
            headers: &[(POSITION_HEADER, Some(&position))],
        };
        let partition = self.partitioner.partition(key, item.payload.len());
        self.producer.send(self.topic, partition, record, due).await?;
        self.report.borrow_mut().send();
        Ok(())
    }
}
