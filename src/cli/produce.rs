//! `ringlog produce`: lines of standard input become records.

use clap::Args;

use super::Failure;
use super::args::{ClusterArgs, SendArgs};
use super::lines::Lines;
use super::values::Pair;
use crate::base::PartitionIndex;
use crate::client::{Partitioner, Producer, Record, TopicHandle};
use crate::io;

/// How much of standard input is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// Send lines of standard input as records
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A record with a key goes to the partition that Kafka's Java producer would choose for it.\n\n\
                  Example:\n  printf 'ESH4:4771.25\\nNQH4:16920.5\\n' | ringlog produce --topic ticks --key-separator :"
)]
pub struct ProduceArgs {
    /// The topic; created if it is missing and the broker does that by itself
    #[arg(long)]
    topic: String,
    /// The partition, for every record [default: by key, or in turn]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// What stands between key and value; without it, records have no keys
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// A key or value that reads like this is null
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// A header for every record; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    header: Vec<Pair>,
    #[command(flatten)]
    send: SendArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Runs the command.
pub async fn run(args: ProduceArgs) -> Result<(), Failure> {
    let options = args.send.producer_options()?;
    let cluster = args.cluster.connect().await?;
    let producer = Producer::start(cluster, options, Box::new(|_| {})).await?;
    let topic = producer.topic(&args.topic).await?;
    let mut sender = Sender {
        partitioner: Partitioner::new(topic.partitions),
        args: &args,
        producer,
        topic,
    };
    let mut stdin = io::fs::stdin();
    let mut buffer = vec![0; READ_BYTES];
    let mut lines = Lines::default();
    loop {
        let read = stdin
            .read(&mut buffer)
            .await
            .map_err(|e| Failure::Failed(format!("standard input: {e}")))?;
        lines.push(&buffer[..read]);
        if let Err(failure) = sender.send_all(&mut lines, read == 0).await {
            // The lines before the bad one were good.
            sender.producer.flush().await?;
            return Err(failure);
        }
        if read == 0 {
            break;
        }
    }
    Ok(sender.producer.flush().await?)
}

struct Sender<'a> {
    args: &'a ProduceArgs,
    producer: Producer,
    topic: TopicHandle,
    partitioner: Partitioner,
}

impl Sender<'_> {
    /// Sends the whole lines that were read so far, with the last one when it `is_the_end`.
    async fn send_all(&mut self, lines: &mut Lines, is_the_end: bool) -> Result<(), Failure> {
        while lines.advance(is_the_end).map_err(Failure::Failed)? {
            self.send(lines).await?;
        }
        Ok(())
    }

    async fn send(&mut self, lines: &Lines) -> Result<(), Failure> {
        let (key, value) = self
            .args
            .split(lines.line())
            .map_err(|reason| Failure::Failed(format!("line {}: {reason}", lines.count())))?;
        let partition = match self.args.partition {
            Some(partition) => PartitionIndex(partition),
            None => self.partitioner.partition(key, value.map_or(0, <[u8]>::len)),
        };
        let headers: Vec<(&str, Option<&[u8]>)> = self
            .args
            .header
            .iter()
            .map(|pair| (pair.name.as_str(), Some(pair.value.as_bytes())))
            .collect();
        let record = Record {
            timestamp: io::wall_now(),
            key,
            value,
            headers: &headers,
        };
        Ok(self
            .producer
            .send(self.topic, partition, record, io::now())
            .await?)
    }
}

type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

impl ProduceArgs {
    fn split<'a>(&self, line: &'a [u8]) -> Result<KeyAndValue<'a>, String> {
        let not_null = |bytes: &'a [u8]| match &self.null {
            Some(null) if null.as_bytes() == bytes => None,
            _ => Some(bytes),
        };
        let Some(separator) = &self.key_separator else {
            return Ok((None, not_null(line)));
        };
        let separator = separator.as_bytes();
        let at = line
            .windows(separator.len())
            .position(|window| window == separator);
        let at = at.ok_or_else(|| {
            format!(
                "no key separator {:?}",
                self.key_separator.as_deref().unwrap_or("")
            )
        })?;
        Ok((not_null(&line[..at]), not_null(&line[at + separator.len()..])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: ProduceArgs,
    }

    fn split<'a>(options: &[&str], line: &'a str) -> Result<(Option<&'a str>, Option<&'a str>), String> {
        let words = ["produce", "--topic", "t"].iter().chain(options);
        let args = Command::parse_from(words).args;
        let text = |bytes: Option<&'a [u8]>| bytes.map(|b| std::str::from_utf8(b).unwrap());
        args.split(line.as_bytes())
            .map(|(key, value)| (text(key), text(value)))
    }

    #[test]
    fn lines_become_keys_and_values() {
        let with_key: &[&str] = &["--key-separator", "::", "--null", "NULL"];
        assert_eq!(split(&[], "a:b"), Ok((None, Some("a:b"))));
        assert_eq!(split(&[], ""), Ok((None, Some(""))));
        assert_eq!(split(with_key, "k::v::w"), Ok((Some("k"), Some("v::w"))));
        assert_eq!(split(with_key, "::"), Ok((Some(""), Some(""))));
        assert_eq!(split(with_key, "NULL::v"), Ok((None, Some("v"))));
        assert_eq!(split(with_key, "k::NULL"), Ok((Some("k"), None)));
        assert_eq!(split(&["--null", ""], ""), Ok((None, None)));
        assert_eq!(split(with_key, "no key"), Err("no key separator \"::\"".into()));
    }
}
