//! `ringlog consume`: records to standard output.

use std::collections::BTreeMap;

use clap::Args;

use super::Failure;
use super::args::ClusterArgs;
use super::format::{Format, Printable};
use super::values::Start;
use crate::base::{Offset, PartitionIndex};
use crate::client::admin::{self, OffsetAt};
use crate::client::{Cluster, FetchOptions, Fetched, Fetcher};
use crate::wire::batch;

/// Output is written when this much has gathered, and after each answer.
const OUTPUT_BYTES: usize = 64 * 1024;
/// A packed batch may unpack to this much: far more than any broker's `message.max.bytes` packs, far less than memory.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// Print records
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Formats: {topic} {partition} {offset} {timestamp} {key} {value} {headers} {header.NAME}, with :hex or \
                  :u64 (eight bytes, big-endian) after a key, value or header, as in {value:hex}; \\n \\t \\r \\0; {{ and }}.\n\n\
                  Example:\n  ringlog consume --topic ticks --partition 0 --offset earliest --format '{offset} {value}\\n'"
)]
pub struct ConsumeArgs {
    /// The topic
    #[arg(long)]
    topic: String,
    /// A partition; may be repeated [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// Where to begin: earliest, latest, an offset, or @ and milliseconds since 1970
    #[arg(long, value_name = "WHERE", default_value = "earliest")]
    offset: Start,
    /// Stop after this many records
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// How to print a record
    #[arg(long, value_name = "TEMPLATE", default_value = "{value}\\n")]
    format: Format,
    /// Wait for new records at the end, instead of stopping there
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs the command.
pub async fn run(args: ConsumeArgs) -> Result<(), Failure> {
    let cluster = args.cluster.connect().await?;
    cluster.refresh(&[&args.topic], false).await?;
    let partitions = args.partitions(&cluster)?;
    let mut positions = start_positions(&cluster, &args.topic, &partitions, args.offset).await?;
    let ends = match args.follow {
        true => None,
        false => Some(admin::list_offsets(&cluster, &args.topic, &partitions, OffsetAt::Latest).await?),
    };
    if let Some(ends) = &ends {
        positions.retain(|partition, offset| *offset < ends[partition]);
    }
    let mut fetcher = Fetcher::new(cluster, &args.topic, positions, FetchOptions::default());
    let mut printer = Printer {
        args: &args,
        left: args.max.unwrap_or(u64::MAX),
        output: Vec::new(),
    };
    while printer.left > 0 && !fetcher.positions().is_empty() {
        for fetched in fetcher.next().await? {
            let end = ends.as_ref().map(|ends| ends[&fetched.partition]);
            printer.print(&fetched, end)?;
            if end.is_some_and(|end| fetched.next >= end) {
                fetcher.leave(fetched.partition);
            }
        }
        printer.flush()?;
    }
    Ok(())
}

impl ConsumeArgs {
    fn partitions(&self, cluster: &Cluster) -> Result<Vec<PartitionIndex>, Failure> {
        let topic = cluster.topic(&self.topic);
        let count = topic.map_or(0, |topic| topic.partitions.len()) as i32;
        if let Some(missing) = self.partition.iter().find(|partition| **partition >= count) {
            let text = format!(
                "topic {:?} has {count} partitions, from 0: no partition {missing}",
                self.topic
            );
            return Err(Failure::Failed(text));
        }
        Ok(match self.partition.is_empty() {
            true => (0..count).map(PartitionIndex).collect(),
            false => self.partition.iter().copied().map(PartitionIndex).collect(),
        })
    }
}

async fn start_positions(
    cluster: &Cluster,
    topic: &str,
    partitions: &[PartitionIndex],
    start: Start,
) -> Result<BTreeMap<PartitionIndex, Offset>, Failure> {
    let at = match start {
        Start::Earliest => OffsetAt::Earliest,
        Start::Latest => OffsetAt::Latest,
        Start::Time(time) => OffsetAt::Time(time),
        Start::At(offset) => return Ok(partitions.iter().map(|partition| (*partition, offset)).collect()),
    };
    Ok(admin::list_offsets(cluster, topic, partitions, at).await?)
}

struct Printer<'a> {
    args: &'a ConsumeArgs,
    left: u64,
    output: Vec<u8>,
}

impl Printer<'_> {
    /// Prints the records from the offset asked for up to `end`, as many as are left.
    fn print(&mut self, fetched: &Fetched, end: Option<Offset>) -> Result<(), Failure> {
        let damaged = |e: &dyn std::fmt::Display| {
            Failure::Failed(format!(
                "partition {} of {}: {e}",
                fetched.partition, self.args.topic
            ))
        };
        for batch in batch::batches(&fetched.batches) {
            // The last may be cut short; the next answer brings it whole.
            let Ok(batch) = batch else { break };
            if !batch.crc_is_valid() {
                return Err(damaged(&format!(
                    "the batch at offset {} is corrupt: its checksum is wrong",
                    batch.base_offset()
                )));
            }
            if batch.is_control() {
                continue;
            }
            let payload = batch.payload(UNPACKED_BYTES_MAX).map_err(|e| damaged(&e))?;
            for record in batch.records(&payload) {
                let record = record.map_err(|e| damaged(&e))?;
                let offset = record.offset;
                if self.left == 0 {
                    return Ok(());
                }
                if offset < fetched.from || end.is_some_and(|end| offset >= end) {
                    continue;
                }
                let headers: Vec<_> = record.headers.collect();
                let printable = Printable {
                    topic: &self.args.topic,
                    partition: fetched.partition,
                    offset,
                    timestamp: record.timestamp,
                    key: record.key,
                    value: record.value,
                    headers: &headers,
                };
                self.args.format.write(&printable, &mut self.output);
                self.left -= 1;
            }
            if self.output.len() >= OUTPUT_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        super::print(&self.output)?;
        self.output.clear();
        Ok(())
    }
}
