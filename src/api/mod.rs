//! Kafka's APIs, one file each: read the request, ask the shard, build the reply.
//!
//! [`table::APIS`] names every API with its versions and its function; dispatch and the ApiVersions answer both come from it.
//! A request's future does nothing until it is first polled, and the connection polls its requests in the order in
//! which they came: so what a function does before its first wait happens in request order, also among produce requests.

mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod asked;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_quorum;
mod describe_topic_partitions;
mod endpoints;
mod fetch;
mod find_coordinator;
mod incremental_alter_configs;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod produce;
mod record_errors;
mod sasl;
mod table;

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::shard::{AskedFrame, Shard};
use crate::wire::frame::{self, RequestStart};
use crate::wire::{DecodeError, Decoder, Encode, Message, Str};

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Clients and brokers.
    Broker,
    /// The controller's own (`controller.listener.names`).
    Controller,
}

/// Where a request came from.
pub struct Origin {
    /// What that listener is for.
    pub role: Role,
    /// The name of the listener that accepted the connection.
    pub listener: Rc<str>,
    /// The client's address.
    pub peer: SocketAddr,
}

/// What becomes of a request.
pub enum Reply {
    /// Send these bytes: a whole frame, its size included.
    Send(Vec<Bytes>),
    /// The request asked for no answer (`acks=0`).
    Silent,
    /// Close the connection, as Kafka does; the reason is for the log.
    Close(String),
}

/// One request, its header read.
pub struct Request {
    /// The whole frame, without its size.
    pub frame: BytesMut,
    /// Where the body starts in it.
    pub body_at: usize,
    /// The API's key.
    pub key: i16,
    /// The version asked for.
    pub version: i16,
    /// Comes back in the answer.
    pub correlation_id: i32,
    /// Where it came from.
    pub origin: Rc<Origin>,
    /// Set by an API that [overlaps](Started::overlaps).
    pub begun: Begun,
}

/// Whether a request has begun all that must happen in the order of the requests, so that the next may begin.
#[derive(Clone, Debug, Default)]
pub struct Begun(Rc<Cell<bool>>);

impl Begun {
    /// From here on the next request may begin.
    pub fn set(&self) {
        self.0.set(true);
    }

    /// Whether the next request may begin.
    pub fn is_set(&self) -> bool {
        self.0.get()
    }
}

/// A request under way.
pub type Pending = Pin<Box<dyn Future<Output = Reply>>>;

/// A request that its connection polls.
pub struct Started {
    /// What answers it; starts with its first poll.
    pub future: Pending,
    /// Whether it changes nothing and so need not run when nobody will read the answer.
    pub only_reads: bool,
    /// Of one that may run beside those of its connection that also may: whether it has begun. They begin in order, and
    /// then none waits for another.
    pub overlaps: Option<Begun>,
}

const PRODUCE: i16 = 0;
/// Key of the one API that waits long and changes nothing.
const FETCH: i16 = 1;

/// A frame from this size on may name as much as [`LargeRequests`](crate::shard::LargeRequests) are about, at four bytes each.
const LARGE_FRAME_BYTES: usize = 16 << 10;

/// Reads the header of `frame` and finds its API.
pub fn start(shard: Rc<Shard>, origin: Rc<Origin>, frame: BytesMut) -> Started {
    match frame::read_request_start(&frame) {
        Err(error) => Started {
            future: closed(format!("a malformed request header: {error}")),
            only_reads: true,
            overlaps: None,
        },
        Ok(RequestStart {
            key,
            version,
            correlation_id,
            body_at,
        }) => {
            let begun = Begun::default();
            let request = Request {
                frame,
                body_at,
                key,
                version,
                correlation_id,
                origin,
                begun: begun.clone(),
            };
            Started {
                future: dispatch(shard, request),
                only_reads: key == FETCH,
                overlaps: (key == PRODUCE).then_some(begun),
            }
        }
    }
}

fn dispatch(shard: Rc<Shard>, request: Request) -> Pending {
    let Request { key, version, .. } = request;
    match table::find(key, request.origin.role) {
        None => closed(format!("API key {key} is not served")),
        Some(api) if !api.versions.contains(&version) => api_versions::refuse_version(request),
        Some(api) if api.takes_turns && request.frame.len() >= LARGE_FRAME_BYTES => Box::pin(async move {
            let _admission = shard.large_requests().admit_large().await;
            (api.serve)(shard, request).await
        }),
        Some(api) => (api.serve)(shard, request),
    }
}

fn closed(reason: String) -> Pending {
    Box::pin(std::future::ready(Reply::Close(reason)))
}

impl Request {
    /// The body as message `M`. Bytes behind it are ignored, as Kafka ignores them.
    pub fn body<'a, M: Message<'a>>(&'a self) -> Result<M, DecodeError> {
        self.counted_body().map(|(body, _)| body)
    }

    /// The body, and how many elements there are in all its arrays: see [`LargeRequests`](crate::shard::LargeRequests).
    pub fn counted_body<'a, M: Message<'a>>(&'a self) -> Result<(M, usize), DecodeError> {
        let mut decoder = Decoder::of_request(&self.frame[self.body_at..]);
        let body = M::decode(&mut decoder, self.version)?;
        Ok((body, decoder.elements_read()))
    }

    /// What the client calls itself, if it says so.
    pub fn client_id(&self) -> Option<Str<'_>> {
        frame::read_request_header(&self.frame).ok()?.1
    }

    /// Its frame, for a core that reads it again; this request can still be answered, and no longer be read.
    fn hand_over(&mut self) -> AskedFrame {
        AskedFrame {
            frame: std::mem::take(&mut self.frame),
            body_at: self.body_at,
            version: self.version,
        }
    }

    /// The reply that carries `body`.
    pub fn reply(&self, body: &impl Encode) -> Reply {
        match frame::encode_response(self.key, self.version, self.correlation_id, body) {
            Ok(segments) => Reply::Send(segments),
            // A fault of ours that one client meets must not take the broker from the others.
            Err(error) => Reply::Close(format!(
                "an answer to API {} version {} does not encode: {error}",
                self.key, self.version
            )),
        }
    }

    /// What a body that doesn't decode comes to: Kafka closes the connection.
    pub fn malformed(&self, error: DecodeError) -> Reply {
        Reply::Close(format!(
            "a malformed request, API {} version {}: {error}",
            self.key, self.version
        ))
    }
}
