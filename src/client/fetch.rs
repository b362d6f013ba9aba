//! Reading records from given partitions and offsets on.
//!
//! One Fetch request is always on its way to each leader in use; [`Fetcher::next`] takes the first answer. After a
//! failure that may pass, it asks for the leaders again and goes on at the same offsets. Records of transactions are
//! read as they come, committed or not (Kafka's `read_uncommitted`).

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::admin::by_leader;
use super::connection::Answer;
use super::{ClientError, Cluster};
use crate::base::{BrokerId, Instant, LeaderEpoch, Offset, PartitionIndex};
use crate::io;
use crate::wire::Records;
use crate::wire::batch;
use crate::wire::error::ErrorCode;
use crate::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use crate::wire::messages::fetch_response::{FetchResponse, PartitionData};

/// Session epoch of a fetch outside any session (KIP-227).
const NO_SESSION_EPOCH: i32 = -1;

/// How records are asked for.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// How long the broker may wait for something new. Kafka's `fetch.max.wait.ms`.
    pub wait_max: Duration,
    /// Bytes of records in one answer. Kafka's `fetch.max.bytes`.
    pub answer_bytes_max: i32,
    /// Bytes of one partition's records in one answer. Kafka's `max.partition.fetch.bytes`.
    pub partition_bytes_max: i32,
    /// How long failures that may pass are put up with.
    pub patience: Duration,
    /// The pause before trying again.
    pub retry_backoff: Duration,
}

impl Default for FetchOptions {
    fn default() -> FetchOptions {
        FetchOptions {
            wait_max: Duration::from_millis(500),
            answer_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
            patience: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(100),
        }
    }
}

/// What one answer brought for one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The partition.
    pub partition: PartitionIndex,
    /// The first offset asked for: the first batch may begin before it.
    pub from: Offset,
    /// One after the last whole batch: where the next fetch goes on.
    pub next: Offset,
    /// Offsets below this are on every in-sync replica.
    pub high_watermark: Offset,
    /// Record batches; the last may be cut short.
    pub batches: Bytes,
}

type AnswerFuture = Pin<Box<dyn Future<Output = Result<Answer, ClientError>>>>;

/// Reads one topic's partitions.
pub struct Fetcher {
    cluster: Cluster,
    topic: String,
    options: FetchOptions,
    positions: BTreeMap<PartitionIndex, Offset>,
    on_wire: BTreeMap<BrokerId, AnswerFuture>,
    failing_since: Option<Instant>,
}

impl Fetcher {
    /// A reader that goes on from these offsets. Metadata must know the topic.
    pub fn new(
        cluster: Cluster,
        topic: &str,
        positions: BTreeMap<PartitionIndex, Offset>,
        options: FetchOptions,
    ) -> Fetcher {
        Fetcher {
            cluster,
            topic: topic.into(),
            options,
            positions,
            on_wire: BTreeMap::new(),
            failing_since: None,
        }
    }

    /// The offset that is read next in each partition still read.
    pub fn positions(&self) -> &BTreeMap<PartitionIndex, Offset> {
        &self.positions
    }

    /// Reads this partition no further.
    pub fn leave(&mut self, partition: PartitionIndex) {
        self.positions.remove(&partition);
    }

    /// The next answer's records, by partition; empty when nothing came within the wait. Errors once a failure lasts
    /// longer than the patience, or cannot pass, as with an offset out of range.
    pub async fn next(&mut self) -> Result<Vec<Fetched>, ClientError> {
        loop {
            match self.try_next().await {
                Ok(fetched) => {
                    self.failing_since = None;
                    return Ok(fetched);
                }
                Err(error) => self.recover(error).await?,
            }
        }
    }

    async fn try_next(&mut self) -> Result<Vec<Fetched>, ClientError> {
        self.ask_leaders().await?;
        let (leader, answer) = std::future::poll_fn(|cx| {
            for (leader, future) in &mut self.on_wire {
                if let Poll::Ready(result) = future.as_mut().poll(cx) {
                    return Poll::Ready((*leader, result));
                }
            }
            Poll::Pending
        })
        .await;
        self.on_wire.remove(&leader);
        self.take(&answer?)
    }

    async fn ask_leaders(&mut self) -> Result<(), ClientError> {
        let partitions: Vec<PartitionIndex> = self.positions.keys().copied().collect();
        for (leader, partitions) in by_leader(&self.cluster, &self.topic, &partitions)? {
            if self.on_wire.contains_key(&leader) {
                continue;
            }
            let request = self.request(&partitions);
            let pending = self.cluster.broker(leader).await?.send(&request).await?;
            self.on_wire.insert(leader, Box::pin(pending.answer()));
        }
        assert!(
            !self.on_wire.is_empty(),
            "a reader without partitions was asked for records"
        );
        Ok(())
    }

    fn request(&self, partitions: &[PartitionIndex]) -> FetchRequest<'static> {
        let topic = self.cluster.topic(&self.topic);
        let epoch_of = |index: PartitionIndex| {
            let partition = topic
                .as_ref()
                .and_then(|topic| topic.partitions.get(index.0 as usize));
            partition.map_or(LeaderEpoch::NONE, |partition| partition.leader_epoch)
        };
        let asked = partitions.iter().map(|partition| FetchPartition {
            partition: partition.0,
            current_leader_epoch: epoch_of(*partition).0,
            fetch_offset: self.positions[partition].0,
            partition_max_bytes: self.options.partition_bytes_max,
            ..Default::default()
        });
        FetchRequest {
            max_wait_ms: i32::try_from(self.options.wait_max.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: self.options.answer_bytes_max,
            session_epoch: NO_SESSION_EPOCH,
            topics: vec![FetchTopic {
                topic: self.topic.clone().into(),
                topic_id: topic.as_ref().map(|topic| topic.id).unwrap_or_default(),
                partitions: asked.collect(),
            }]
            .into(),
            ..Default::default()
        }
    }

    fn take(&mut self, answer: &Answer) -> Result<Vec<Fetched>, ClientError> {
        let response: FetchResponse<'_> = answer.decode()?;
        if response.error_code != ErrorCode::NONE.0 {
            return Err(ClientError::refused(
                "Fetch",
                ErrorCode(response.error_code),
                None,
            ));
        }
        let mut fetched = Vec::new();
        let mut failure = None;
        for topic in response.responses.iter() {
            for partition in topic.partitions.iter() {
                match self.take_partition(&partition, answer) {
                    Ok(part) => fetched.extend(part),
                    Err(error) => failure = Some(error),
                }
            }
        }
        // What came is handed out first; the failure shows again at the next fetch.
        match failure {
            Some(failure) if fetched.is_empty() => Err(failure),
            _ => Ok(fetched),
        }
    }

    fn take_partition(
        &mut self,
        data: &PartitionData<'_>,
        answer: &Answer,
    ) -> Result<Option<Fetched>, ClientError> {
        let partition = PartitionIndex(data.partition_index);
        let Some(from) = self.positions.get(&partition).copied() else {
            return Ok(None);
        };
        let about = || format!("partition {partition} of {}", self.topic);
        if data.error_code != ErrorCode::NONE.0 {
            return Err(ClientError::refused(about(), ErrorCode(data.error_code), None));
        }
        let Some(Records::Wire(bytes)) = &data.records else {
            return Ok(None);
        };
        let mut next = from;
        for batch in batch::batches(bytes) {
            // A batch cut short at the end of the answer comes whole in the next one.
            let Ok(batch) = batch else { break };
            next = next.max(Offset(batch.last_offset().0 + 1));
        }
        if next == from {
            return Ok(None);
        }
        self.positions.insert(partition, next);
        let batches = answer.slice_of(bytes);
        Ok(Some(Fetched {
            partition,
            from,
            next,
            high_watermark: Offset(data.high_watermark),
            batches,
        }))
    }

    /// Waits and asks for the leaders again, if the failure may pass and hasn't lasted too long.
    async fn recover(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_retriable() {
            return Err(error);
        }
        let now = io::now();
        let since = *self.failing_since.get_or_insert(now);
        if now.since(since) > self.options.patience {
            return Err(ClientError::GaveUp {
                after: self.options.patience,
                last: Box::new(error),
            });
        }
        io::sleep(self.options.retry_backoff).await;
        match self.cluster.refresh(&[&self.topic], false).await {
            Err(error) if !error.is_retriable() => Err(error),
            _ => Ok(()),
        }
    }
}
