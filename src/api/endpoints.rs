//! How this node's brokers are named to a client, by the listener through which it came.

use crate::base::BrokerId;
use crate::shard::Shard;

use super::Origin;

/// One broker as a client of one listener sees it.
pub struct Endpoint {
    pub broker: BrokerId,
    pub host: String,
    pub port: u16,
}

/// The brokers to name to who came through `origin`'s listener. Without an address advertised under that listener's name there
/// is none.
pub fn endpoints(shard: &Shard, origin: &Origin) -> Vec<Endpoint> {
    let own = shard
        .node()
        .advertised
        .iter()
        .chain(&shard.node().controllers)
        .find(|listener| *listener.name == *origin.listener);
    own.map(|listener| Endpoint {
        broker: this_broker(shard),
        host: listener.host.clone(),
        port: listener.port,
    })
    .into_iter()
    .collect()
}

/// The broker id under which this node is advertised: with routing by node, the node's own.
pub fn this_broker(shard: &Shard) -> BrokerId {
    BrokerId(shard.config().node_id().0)
}

/// Kafka's bit set of what anyone may do with a topic without an authorizer (`AclEntry.supportedOperations(TOPIC)`):
/// READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
pub const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

/// The same for the cluster: CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
pub const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// What stands where the operations were not asked for.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
