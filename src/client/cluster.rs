//! Who leads what: brokers, topics and partitions as Metadata tells them, and a connection to each broker in use.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{ClientError, ConnectOptions, Connection, HostPort};
use crate::base::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use crate::wire::error::ErrorCode;
use crate::wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use crate::wire::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};

/// A handle on a cluster: knows its brokers and keeps the connections to them. Clones share it.
#[derive(Clone)]
pub struct Cluster(Rc<Inner>);

struct Inner {
    bootstrap: HostPort,
    options: Rc<ConnectOptions>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    brokers: BTreeMap<BrokerId, HostPort>,
    controller: Option<BrokerId>,
    cluster_id: Option<String>,
    topics: BTreeMap<String, Rc<Topic>>,
    bootstrap_connection: Option<Connection>,
    connections: BTreeMap<BrokerId, Connection>,
}

/// A topic as Metadata last told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; zero from a broker without ids.
    pub id: TopicId,
    /// Whether the broker keeps it for itself.
    pub is_internal: bool,
    /// Its partitions, by index from 0 on without a gap.
    pub partitions: Vec<Partition>,
}

/// A partition as Metadata last told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its index.
    pub index: PartitionIndex,
    /// Who leads it, if anyone does.
    pub leader: Option<BrokerId>,
    /// The leader's epoch; unknown from older brokers.
    pub leader_epoch: LeaderEpoch,
    /// Everyone who keeps a replica.
    pub replicas: Vec<BrokerId>,
    /// Those of them in sync.
    pub in_sync: Vec<BrokerId>,
}

impl Cluster {
    /// Connects to `bootstrap`, so that a wrong address is known at once.
    pub async fn connect(bootstrap: HostPort, options: ConnectOptions) -> Result<Cluster, ClientError> {
        let inner = Inner {
            bootstrap,
            options: Rc::new(options),
            state: RefCell::default(),
        };
        let cluster = Cluster(Rc::new(inner));
        cluster.any().await?;
        Ok(cluster)
    }

    /// A connection to some broker: the bootstrap address if it answers, else any broker known.
    pub async fn any(&self) -> Result<Connection, ClientError> {
        let kept = self.0.state.borrow().bootstrap_connection.clone();
        if let Some(connection) = kept.filter(|connection| !connection.is_closed()) {
            return Ok(connection);
        }
        let mut result = Connection::connect(&self.0.bootstrap, self.0.options.clone()).await;
        let others: Vec<HostPort> = self.0.state.borrow().brokers.values().cloned().collect();
        for address in others.iter().filter(|address| **address != self.0.bootstrap) {
            if result.is_ok() {
                break;
            }
            result = Connection::connect(address, self.0.options.clone())
                .await
                .or(result);
        }
        let connection = result?;
        self.0.state.borrow_mut().bootstrap_connection = Some(connection.clone());
        Ok(connection)
    }

    /// A connection to this broker, made if there is none.
    pub async fn broker(&self, id: BrokerId) -> Result<Connection, ClientError> {
        let (kept, address) = {
            let state = self.0.state.borrow();
            (
                state.connections.get(&id).cloned(),
                state.brokers.get(&id).cloned(),
            )
        };
        if let Some(connection) = kept.filter(|connection| !connection.is_closed()) {
            return Ok(connection);
        }
        let Some(address) = address else {
            return Err(ClientError::refused(
                format!("broker {id}"),
                ErrorCode::LEADER_NOT_AVAILABLE,
                None,
            ));
        };
        let connection = Connection::connect(&address, self.0.options.clone()).await?;
        self.0
            .state
            .borrow_mut()
            .connections
            .insert(id, connection.clone());
        Ok(connection)
    }

    /// Asks for these topics again. Unknown ones are created if `create` and the broker allows it.
    ///
    /// Errors with the first topic that the broker refuses to tell about; what it told about the others is kept.
    pub async fn refresh(&self, topics: &[&str], create: bool) -> Result<(), ClientError> {
        let asked = topics.iter().map(|name| MetadataRequestTopic {
            topic_id: TopicId::ZERO,
            name: Some((*name).into()),
        });
        self.ask_metadata(Some(asked.collect()), create).await
    }

    /// Asks for every topic there is.
    pub async fn refresh_all(&self) -> Result<Vec<Rc<Topic>>, ClientError> {
        self.0.state.borrow_mut().topics.clear();
        self.ask_metadata(None, false).await?;
        Ok(self.0.state.borrow().topics.values().cloned().collect())
    }

    /// The topic, as last told.
    pub fn topic(&self, name: &str) -> Option<Rc<Topic>> {
        self.0.state.borrow().topics.get(name).cloned()
    }

    /// Who leads the partition, as last told.
    pub fn leader(&self, topic: &str, partition: PartitionIndex) -> Option<BrokerId> {
        let index = usize::try_from(partition.0).ok()?;
        self.0
            .state
            .borrow()
            .topics
            .get(topic)?
            .partitions
            .get(index)?
            .leader
    }

    /// The brokers, as last told.
    pub fn brokers(&self) -> BTreeMap<BrokerId, HostPort> {
        self.0.state.borrow().brokers.clone()
    }

    /// The broker that takes administrative requests, as last told.
    pub fn controller(&self) -> Option<BrokerId> {
        self.0.state.borrow().controller
    }

    /// The cluster's id, as last told.
    pub fn cluster_id(&self) -> Option<String> {
        self.0.state.borrow().cluster_id.clone()
    }

    async fn ask_metadata(
        &self,
        topics: Option<Vec<MetadataRequestTopic<'_>>>,
        create: bool,
    ) -> Result<(), ClientError> {
        let request = MetadataRequest {
            topics: topics.map(Into::into),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer = self.any().await?.call(&request).await?;
        let response: MetadataResponse<'_> = answer.decode()?;
        if response.error_code != ErrorCode::NONE.0 {
            return Err(ClientError::refused(
                "Metadata",
                ErrorCode(response.error_code),
                None,
            ));
        }
        self.learn(&response)
    }

    fn learn(&self, response: &MetadataResponse<'_>) -> Result<(), ClientError> {
        let mut state = self.0.state.borrow_mut();
        let brokers = response.brokers.iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            Some((
                BrokerId(broker.node_id),
                HostPort {
                    host: broker.host.into_owned(),
                    port,
                },
            ))
        });
        state.brokers = brokers.collect();
        state.controller = Some(BrokerId(response.controller_id)).filter(|id| id.0 >= 0);
        state.cluster_id = response.cluster_id.as_ref().map(|id| id.to_string());
        let State {
            connections, brokers, ..
        } = &mut *state;
        connections.retain(|id, connection| {
            brokers
                .get(id)
                .is_some_and(|address| address == connection.address())
        });
        let mut result = Ok(());
        for topic in response.topics.iter() {
            let name = topic.name.clone().unwrap_or_default().into_owned();
            if topic.error_code != ErrorCode::NONE.0 {
                state.topics.remove(&name);
                let refused =
                    ClientError::refused(format!("topic {name:?}"), ErrorCode(topic.error_code), None);
                result = result.and(Err(refused));
                continue;
            }
            state
                .topics
                .insert(name.clone(), Rc::new(learn_topic(name, &topic)));
        }
        result
    }
}

fn learn_topic(name: String, topic: &MetadataResponseTopic<'_>) -> Topic {
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|partition| Partition {
            index: PartitionIndex(partition.partition_index),
            leader: Some(BrokerId(partition.leader_id)).filter(|id| id.0 >= 0),
            leader_epoch: LeaderEpoch(partition.leader_epoch),
            replicas: partition.replica_nodes.iter().map(BrokerId).collect(),
            in_sync: partition.isr_nodes.iter().map(BrokerId).collect(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Topic {
        name,
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions,
    }
}
