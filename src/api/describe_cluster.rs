//! DescribeCluster (key 60), versions 0–2: the brokers as seen through the client's listener, or, through a controller's, the
//! controllers (KIP-700, KIP-919).
//!
//! Who asks for the endpoints of the other kind gets MISMATCHED_ENDPOINT_TYPE. This node is the only controller.

use std::rc::Rc;

use crate::shard::Shard;
use crate::wire::messages::describe_cluster_request::DescribeClusterRequest;
use crate::wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use crate::wire::{ErrorCode, Str};

use super::endpoints::{self, CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED};
use super::{Reply, Request, Role};

/// `endpoint_type` of brokers and of controllers.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers a DescribeCluster request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let (endpoint_type, with_operations) = {
        let body: DescribeClusterRequest = match request.body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        (body.endpoint_type, body.include_cluster_authorized_operations)
    };
    if let Err((code, message)) = check_endpoint_type(endpoint_type, request.origin.role) {
        return request.reply(&DescribeClusterResponse {
            error_code: code.0,
            error_message: Some(Str::from(message)),
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

fn check_endpoint_type(asked: i8, role: Role) -> Result<(), (ErrorCode, String)> {
    match (asked, role) {
        (BROKERS, Role::Broker) | (CONTROLLERS, Role::Controller) => Ok(()),
        (BROKERS | CONTROLLERS, _) => Err((
            ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            "the request was sent to an endpoint of another type".to_owned(),
        )),
        (other, _) => Err((
            ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
            format!("Unsupported endpoint type {other}"),
        )),
    }
}
