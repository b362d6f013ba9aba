//! A consumer in a fetch session (KIP-227): after the first request it names only what changed on its side, and is told only what
//! changed on the broker's.

use std::collections::BTreeMap;
use std::time::Duration;

use ringlog::base::TopicId;
use ringlog::client::{ClientError, Cluster, Connection};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::fetch_response::FetchResponse;
use ringlog::wire::{ErrorCode, Records};

use crate::clients::{TOPIC, records_in};
use crate::model::Read;

/// One consumer's place in a topic, and its session.
pub struct Session {
    cluster: Cluster,
    topic: TopicId,
    wait_max: Duration,
    positions: BTreeMap<i32, i64>,
    connection: Option<Connection>,
    id: i32,
    epoch: i32,
    /// What the broker doesn't know yet.
    news: BTreeMap<i32, i64>,
}

impl Session {
    pub fn new(cluster: Cluster, topic: TopicId, from: &[i64], wait_max: Duration) -> Session {
        let positions: BTreeMap<i32, i64> = (0..).zip(from.iter().copied()).collect();
        Session {
            cluster,
            topic,
            wait_max,
            news: positions.clone(),
            positions,
            connection: None,
            id: 0,
            epoch: 0,
        }
    }

    /// One request's records, by partition. After an error the session has to be begun anew, and the next call does.
    pub async fn next(&mut self) -> Result<Vec<(i32, Vec<Read>)>, ClientError> {
        match self.try_next().await {
            Ok(records) => Ok(records),
            Err(error) => {
                self.connection = None;
                (self.id, self.epoch) = (0, 0);
                self.news = self.positions.clone();
                Err(error)
            }
        }
    }

    async fn try_next(&mut self) -> Result<Vec<(i32, Vec<Read>)>, ClientError> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => self.cluster.any().await?,
        };
        self.connection = Some(connection.clone());
        let answer = connection.call(&self.request()).await?;
        let response: FetchResponse<'_> = answer.decode()?;
        refusal("a fetch session", response.error_code)?;
        self.id = response.session_id;
        self.epoch = if self.id == 0 { 0 } else { self.epoch + 1 };
        self.news.clear();
        let mut all = Vec::new();
        for topic in response.responses.iter() {
            for partition in topic.partitions.iter() {
                refusal("a partition", partition.error_code)?;
                let Some(Records::Wire(bytes)) = &partition.records else {
                    continue;
                };
                let (index, from) = (
                    partition.partition_index,
                    self.positions[&partition.partition_index],
                );
                let records = records_in(bytes, from);
                if let Some(last) = records.last() {
                    self.positions.insert(index, last.offset + 1);
                    self.news.insert(index, last.offset + 1);
                }
                all.push((index, records));
            }
        }
        if self.id == 0 {
            self.news = self.positions.clone();
        }
        Ok(all)
    }

    fn request(&self) -> FetchRequest<'static> {
        let partition = |(index, offset): (&i32, &i64)| FetchPartition {
            partition: *index,
            fetch_offset: *offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            topic_id: self.topic,
            partitions: self.news.iter().map(partition).collect(),
        };
        let topics = if self.news.is_empty() {
            Vec::new()
        } else {
            vec![topic]
        };
        FetchRequest {
            max_wait_ms: self.wait_max.as_millis() as i32,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_id: self.id,
            session_epoch: self.epoch,
            topics: topics.into(),
            ..Default::default()
        }
    }
}

fn refusal(about: &str, code: i16) -> Result<(), ClientError> {
    match ErrorCode(code) {
        ErrorCode::NONE => Ok(()),
        code => Err(ClientError::refused(about, code, None)),
    }
}
