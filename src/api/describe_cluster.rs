//! DescribeCluster (key 60), versions 0–2: the brokers as seen through the client's listener (KIP-700).
//!
//! Controllers are not reachable for clients (`endpoint_type` 2, KIP-919): as a broker of Kafka does, that is
//! answered with MISMATCHED_ENDPOINT_TYPE.

use std::rc::Rc;

use crate::shard::Shard;
use crate::wire::messages::describe_cluster_request::DescribeClusterRequest;
use crate::wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use crate::wire::{ErrorCode, Str};

use super::endpoints::{self, CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED};
use super::{Reply, Request};

/// `endpoint_type` of brokers, the only one served here.
const BROKERS: i8 = 1;

/// Answers a DescribeCluster request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let (endpoint_type, with_operations) = {
        let body: DescribeClusterRequest = match request.body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        (body.endpoint_type, body.include_cluster_authorized_operations)
    };
    if endpoint_type != BROKERS {
        return request.reply(&DescribeClusterResponse {
            error_code: ErrorCode::MISMATCHED_ENDPOINT_TYPE.0,
            error_message: Some(Str::from("the request was sent to an endpoint of another type")),
            ..Default::default()
        });
    }
    let brokers = endpoints::endpoints(&shard, &request.origin)
        .into_iter()
        .map(|endpoint| DescribeClusterBroker {
            broker_id: endpoint.broker.0,
            host: Str::from(endpoint.host),
            port: i32::from(endpoint.port),
            ..Default::default()
        });
    request.reply(&DescribeClusterResponse {
        endpoint_type,
        cluster_id: Str::from(shard.node().cluster_id.as_str()),
        controller_id: endpoints::this_broker(&shard).0,
        brokers: brokers.collect(),
        cluster_authorized_operations: if with_operations {
            CLUSTER_OPERATIONS
        } else {
            OPERATIONS_NOT_ASKED
        },
        ..Default::default()
    })
}
