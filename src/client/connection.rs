//! One connection to one broker: requests go out at once, answers come back in order, each is matched to its request.
//!
//! Two tasks serve a connection: one sends what is queued, one receives. They end when the connection is closed: by
//! its last handle's drop, by a request without an answer in time, or by the peer. Whatever was waiting then gets
//! the reason.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::{ClientError, HostPort};
use crate::io;
use crate::io::local::{Notify, Receiver, Sender, oneshot};
use crate::io::net::{Reader, Stream, Writer};
use crate::wire::api::ApiKey;
use crate::wire::error::ErrorCode;
use crate::wire::frame;
use crate::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{Message, Request};

/// Frames up to this long are put together from what the socket gives; longer ones are received straight into
/// their own memory.
const COPIED_FRAME_BYTES: usize = 64 * 1024;
/// Unanswered requests wait while this much is queued: without answers nothing else would hold them back.
const QUEUED_BYTES_MAX: usize = 8 << 20;
/// Bytes that a frame's own length field takes.
const LENGTH_BYTES: usize = 4;

/// How connections are made and kept.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Sent with every request, for the broker's logs and quotas.
    pub client_id: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take. Kafka's `request.timeout.ms`.
    pub request_timeout: Duration,
    /// Requests sent and not answered; more wait. A pipeline deeper than this only hides a slow broker.
    pub in_flight_max: usize,
    /// The longest answer accepted. Fetch answers are the long ones: their limit plus one batch that is larger.
    pub answer_bytes_max: usize,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            client_id: "ringlog-cli".into(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            in_flight_max: 64,
            answer_bytes_max: 128 << 20,
        }
    }
}

/// A handle on a connection. Clones share it; the last one's drop closes it.
#[derive(Clone)]
pub struct Connection(Rc<Handle>);

struct Handle(Rc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close("closed by this side");
    }
}

struct Shared {
    address: HostPort,
    options: Rc<ConnectOptions>,
    state: RefCell<State>,
    /// Something to send, or closed.
    outgoing: Notify,
    /// An answer made room for a request, or closed.
    room: Notify,
}

#[derive(Default)]
struct State {
    /// Served versions by API key, once negotiated.
    versions: BTreeMap<i16, (i16, i16)>,
    queue: Vec<Bytes>,
    queued_bytes: usize,
    awaited: VecDeque<Awaited>,
    next_correlation: i32,
    closed: Option<String>,
}

struct Awaited {
    correlation: i32,
    /// Gets the frame from after its length on.
    answer: Sender<Bytes>,
}

/// An answer on its way.
pub struct Pending {
    shared: Rc<Shared>,
    answer: Receiver<Bytes>,
    key: ApiKey,
    version: i16,
    sent_at: crate::base::Instant,
}

/// A whole answer; the messages decoded from it borrow its bytes.
pub struct Answer {
    address: HostPort,
    frame: Bytes,
    key: ApiKey,
    version: i16,
}

impl Connection {
    /// Connects and agrees on versions.
    pub async fn connect(address: &HostPort, options: Rc<ConnectOptions>) -> Result<Connection, ClientError> {
        let failed = |reason: String| ClientError::Connect {
            address: address.clone(),
            reason,
        };
        let stream = io::timeout(options.connect_timeout, connect_any(address))
            .await
            .map_err(|_| failed(format!("no answer within {:?}", options.connect_timeout)))?
            .map_err(|e| failed(e.to_string()))?;
        let (reader, writer) = stream.split();
        let shared = Rc::new(Shared {
            address: address.clone(),
            options,
            state: RefCell::default(),
            outgoing: Notify::new(),
            room: Notify::new(),
        });
        io::spawn(send_loop(shared.clone(), writer));
        io::spawn(receive_loop(shared.clone(), reader));
        let connection = Connection(Rc::new(Handle(shared)));
        connection.negotiate().await?;
        Ok(connection)
    }

    /// Whom it connects to.
    pub fn address(&self) -> &HostPort {
        &self.shared().address
    }

    /// Whether requests can't be sent any more.
    pub fn is_closed(&self) -> bool {
        self.shared().state.borrow().closed.is_some()
    }

    /// The highest version of a request that both sides know.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        let ours = R::KEY.schema().map(|schema| schema.versions.clone());
        let theirs = self.shared().state.borrow().versions.get(&R::KEY.0).copied();
        ours.zip(theirs)
            .map(|(ours, (low, high))| (low.max(*ours.start()), high.min(*ours.end())))
            .filter(|(low, high)| low <= high)
            .map(|(_, high)| high)
            .ok_or(ClientError::Unsupported {
                address: self.address().clone(),
                api: R::KEY.name(),
            })
    }

    /// Sends a request and waits for its answer.
    pub async fn call<R: Request>(&self, request: &R) -> Result<Answer, ClientError> {
        self.send(request).await?.answer().await
    }

    /// Queues a request, once there is room for it; the answer is awaited apart, so that several can be on their
    /// way. Requests leave in the order of these calls.
    pub async fn send<R: Request>(&self, request: &R) -> Result<Pending, ClientError> {
        let version = self.version_of::<R>()?;
        loop {
            if self.in_flight() < self.shared().options.in_flight_max {
                return self.send_now(request, version);
            }
            self.shared().room.notified().await;
        }
    }

    /// Queues a request that the broker never answers (Produce with acks 0), once there is room for it.
    pub async fn send_unanswered<R: Request>(&self, request: &R) -> Result<(), ClientError> {
        let version = self.version_of::<R>()?;
        while self.shared().state.borrow().queued_bytes > QUEUED_BYTES_MAX {
            self.shared().room.notified().await;
        }
        self.enqueue(request, version, None)
    }

    /// Requests sent and not answered yet.
    pub fn in_flight(&self) -> usize {
        self.shared().state.borrow().awaited.len()
    }

    fn shared(&self) -> &Rc<Shared> {
        &self.0.0
    }

    fn send_now<R: Request>(&self, request: &R, version: i16) -> Result<Pending, ClientError> {
        let (sender, receiver) = oneshot();
        self.enqueue(request, version, Some(sender))?;
        Ok(Pending {
            shared: self.shared().clone(),
            answer: receiver,
            key: R::KEY,
            version,
            sent_at: io::now(),
        })
    }

    fn enqueue<R: Request>(
        &self,
        request: &R,
        version: i16,
        answer: Option<Sender<Bytes>>,
    ) -> Result<(), ClientError> {
        let shared = self.shared();
        let mut state = shared.state.borrow_mut();
        if let Some(reason) = &state.closed {
            return Err(ClientError::Lost {
                address: shared.address.clone(),
                reason: reason.clone(),
            });
        }
        let correlation = state.next_correlation;
        state.next_correlation = correlation.wrapping_add(1);
        let segments = frame::encode_request(
            R::KEY,
            version,
            correlation,
            Some(&shared.options.client_id),
            request,
        )
        .map_err(|e| ClientError::TooLarge {
            what: format!("{}: {e}", R::KEY.name()),
        })?;
        state.queued_bytes += segments.iter().map(Bytes::len).sum::<usize>();
        state.queue.extend(segments);
        if let Some(answer) = answer {
            state.awaited.push_back(Awaited { correlation, answer });
        }
        drop(state);
        shared.outgoing.notify();
        Ok(())
    }

    /// KIP-511: asks with version 3; a broker that knows only others answers in version 0 which those are.
    async fn negotiate(&self) -> Result<(), ClientError> {
        const ASKED: i16 = 3;
        let request = ApiVersionsRequest {
            client_software_name: "ringlog".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let mut answer = self.send_now(&request, ASKED)?.answer().await?;
        let asked_error = answer
            .frame
            .get(LENGTH_BYTES..LENGTH_BYTES + 2)
            .map(|b| i16::from_be_bytes([b[0], b[1]]));
        if asked_error == Some(ErrorCode::UNSUPPORTED_VERSION.0) {
            answer = self.send_now(&request, 0)?.answer().await?;
        }
        let response: ApiVersionsResponse<'_> = answer.decode()?;
        if response.error_code != ErrorCode::NONE.0 {
            return Err(ClientError::refused(
                "ApiVersions",
                ErrorCode(response.error_code),
                None,
            ));
        }
        let versions = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)));
        self.shared().state.borrow_mut().versions = versions.collect();
        Ok(())
    }
}

/// Tries each address that a name stands for, in the resolver's order.
async fn connect_any(address: &HostPort) -> std::io::Result<Stream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in resolve(address)? {
        match Stream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn resolve(address: &HostPort) -> std::io::Result<Vec<SocketAddr>> {
    io::net::resolve_now(&address.host, address.port)
}

impl Pending {
    /// Waits for the answer, no longer than the connection's request timeout.
    pub async fn answer(self) -> Result<Answer, ClientError> {
        let Pending {
            shared,
            answer,
            key,
            version,
            sent_at,
        } = self;
        let after = shared.options.request_timeout;
        let left = (sent_at + after).since(io::now());
        match io::timeout(left, answer).await {
            Ok(Some(frame)) => Ok(Answer {
                address: shared.address.clone(),
                frame,
                key,
                version,
            }),
            Ok(None) => Err(shared.lost()),
            Err(_) => {
                let error = ClientError::NoAnswer {
                    address: shared.address.clone(),
                    api: key.name(),
                    after,
                };
                // Answers come in order: what is behind the missing one can't be trusted to come either.
                shared.close(&error.to_string());
                Err(error)
            }
        }
    }
}

impl Answer {
    /// The answer as `M`, which must be the response type of the request it belongs to.
    pub fn decode<'a, M: Message<'a>>(&'a self) -> Result<M, ClientError> {
        match frame::decode_response(self.key, self.version, &self.frame) {
            Ok((_correlation, message)) => Ok(message),
            Err(e) => {
                let reason = format!("{}: {e}", self.key.name());
                Err(ClientError::Malformed {
                    address: self.address.clone(),
                    reason,
                })
            }
        }
    }

    /// The version in which it was asked for and answered.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The part of the answer that `bytes`, decoded from it, stands in: shared, not copied.
    pub fn slice_of(&self, bytes: &[u8]) -> Bytes {
        self.frame.slice_ref(bytes)
    }
}

impl Shared {
    fn lost(&self) -> ClientError {
        let reason = self
            .state
            .borrow()
            .closed
            .clone()
            .unwrap_or_else(|| "closed".into());
        ClientError::Lost {
            address: self.address.clone(),
            reason,
        }
    }

    /// Ends the connection; the first reason given stays.
    fn close(&self, reason: &str) {
        let mut state = self.state.borrow_mut();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason.into());
        state.queue.clear();
        state.queued_bytes = 0;
        let awaited = std::mem::take(&mut state.awaited);
        drop(state);
        // Dropping the senders wakes those who wait, and they find `closed`.
        drop(awaited);
        self.outgoing.notify();
        self.room.notify();
    }

    /// Matches one received frame to the oldest request without an answer.
    fn accept(&self, frame: Bytes) -> Result<(), String> {
        let correlation = frame
            .get(..LENGTH_BYTES)
            .ok_or("an answer without a correlation id")?;
        let correlation = i32::from_be_bytes(correlation.try_into().expect("four bytes"));
        let mut state = self.state.borrow_mut();
        let awaited = state
            .awaited
            .pop_front()
            .ok_or("an answer that nothing asked for")?;
        if awaited.correlation != correlation {
            return Err(format!(
                "an answer to request {correlation}, not {}",
                awaited.correlation
            ));
        }
        drop(state);
        // Nobody may be waiting any more: then the answer is dropped.
        let _ = awaited.answer.send(frame);
        self.room.notify();
        Ok(())
    }
}

async fn send_loop(shared: Rc<Shared>, mut writer: Writer) {
    loop {
        let (segments, closed) = {
            let mut state = shared.state.borrow_mut();
            state.queued_bytes = 0;
            (std::mem::take(&mut state.queue), state.closed.is_some())
        };
        if closed {
            writer.shutdown();
            return;
        }
        if segments.is_empty() {
            shared.outgoing.notified().await;
        } else if let Err(e) = writer.send(segments).await {
            shared.close(&e.to_string());
        } else {
            shared.room.notify();
        }
    }
}

async fn receive_loop(shared: Rc<Shared>, mut reader: Reader) {
    let reason = match receive_frames(&shared, &mut reader).await {
        Ok(()) => "the broker closed it".into(),
        Err(reason) => reason,
    };
    shared.close(&reason);
}

async fn receive_frames(shared: &Shared, reader: &mut Reader) -> Result<(), String> {
    let mut received = BytesMut::new();
    loop {
        while let Some(frame) = split_frame(&mut received, shared.options.answer_bytes_max)? {
            shared.accept(frame)?;
        }
        let missing = missing_bytes(&received);
        if missing > COPIED_FRAME_BYTES {
            received.reserve(missing);
            received = reader
                .recv_exact(received, missing)
                .await
                .map_err(|e| e.to_string())?;
            continue;
        }
        match reader.recv().await {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            Ok(None) if received.is_empty() => return Ok(()),
            Ok(None) => return Err("the broker closed it inside an answer".into()),
            Err(e) => return Err(e.to_string()),
        }
        if shared.state.borrow().closed.is_some() {
            return Ok(());
        }
    }
}

fn announced_bytes(received: &[u8]) -> Option<usize> {
    let length = received.first_chunk::<LENGTH_BYTES>()?;
    Some(u32::from_be_bytes(*length) as usize)
}

/// Bytes the frame begun still lacks; 0 while its length isn't known.
fn missing_bytes(received: &[u8]) -> usize {
    announced_bytes(received).map_or(0, |bytes| (LENGTH_BYTES + bytes).saturating_sub(received.len()))
}

fn split_frame(received: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, String> {
    let Some(bytes) = announced_bytes(received) else {
        return Ok(None);
    };
    if bytes > bytes_max {
        return Err(format!("an answer of {bytes} bytes, more than {bytes_max}"));
    }
    if received.len() < LENGTH_BYTES + bytes {
        return Ok(None);
    }
    received.advance(LENGTH_BYTES);
    Ok(Some(received.split_to(bytes).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_split_where_they_end() {
        let mut received = BytesMut::new();
        let mut frames = Vec::new();
        for byte in b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c\0\0" {
            received.extend_from_slice(&[*byte]);
            frames.extend(split_frame(&mut received, 100).unwrap());
        }
        assert_eq!(frames, [&b"ab"[..], b"", b"c"]);
        assert_eq!(&received[..], b"\0\0");
    }

    #[test]
    fn an_announced_length_is_checked_before_memory_is_reserved() {
        let mut received = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
        assert!(split_frame(&mut received, 1 << 20).is_err());
    }

    #[test]
    fn missing_bytes_count_from_the_announced_length() {
        assert_eq!(missing_bytes(b"\0\0"), 0);
        assert_eq!(missing_bytes(b"\0\0\0\x0a"), 10);
        assert_eq!(missing_bytes(b"\0\0\0\x0aabc"), 7);
    }
}
