//! The task that answers the other cores.
//!
//! It never waits for anything but the next message, and for its turn between long appends: a request that cannot be
//! answered in the step in which it arrives goes on in a task of its own.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use crate::base::{CoreId, TopicPartition};
use crate::io;
use crate::partition::Refusal;
use crate::wire::batch::Arrived;

use super::message::{Message, Reply, Request};
use super::{Shard, TimeSlice};

impl Shard {
    pub(super) async fn receive(self: Rc<Self>) {
        let mut slice = TimeSlice::default();
        loop {
            let (from, message) = self.link.receive().await;
            match message {
                Message::Reply { slot, reply } => self.link.deliver(from, slot, reply),
                Message::Fired(watch) => self.watch_fired(watch),
                Message::Changed(interest) => self.fetch_session_changed(interest),
                Message::Request {
                    slot,
                    request: Request::Append { partition, batch },
                } => {
                    let append = || self.append_for(from, slot, partition, batch);
                    slice.spend(append).await;
                }
                Message::Request { slot, request } => {
                    start(self.clone().answer(from, slot, request)).await;
                }
            }
        }
    }

    /// Appends for a peer, and answers it now or when the append counts.
    fn append_for(self: &Rc<Self>, from: CoreId, slot: u32, partition: TopicPartition, batch: Arrived) {
        self.try_closed(partition);
        let outcome = self.append_now(partition, batch);
        match outcome {
            Ok(appended) if let Some(after) = appended.after => {
                let link = self.link.clone();
                let settle = move |outcome: Result<(), Refusal>| {
                    link.reply(from, slot, Reply::Appended(outcome.map(|()| appended)));
                };
                self.settle_when_committed(partition, after, Box::new(settle));
            }
            settled => self.link.reply(from, slot, Reply::Appended(settled)),
        }
    }

    async fn answer(self: Rc<Self>, from: CoreId, slot: u32, request: Request) {
        let reply = match request {
            Request::Append { partition, batch } => return self.append_for(from, slot, partition, batch),
            Request::Read(request) => Reply::Read(self.read_here(from, request).await),
            Request::Unwatch(watch) => {
                self.end_watch(from, watch);
                Reply::Done
            }
            Request::EndInterests(interests) => {
                self.end_interests_here(&interests);
                Reply::Done
            }
            Request::EndFetchSession(session) => {
                self.end_fetch_session_here(session);
                Reply::Done
            }
            Request::Place(visitor) => Reply::Place(self.place_here(visitor).await),
            Request::EndPlace(visitor) => {
                self.end_place_here(visitor);
                Reply::Done
            }
            Request::CloseOne => Reply::ClosedOne(self.close_one_here()),
            Request::FindOffset(find) => Reply::Found(self.find_offset_here(find).await),
            Request::FindEpochEnd(find) => Reply::EpochEnd(self.find_epoch_end_here(find)),
            Request::CreateTopics(topics) => Reply::Created(self.create_topics(topics).await),
            Request::DeleteTopics(targets) => Reply::Deleted(self.delete_topics(targets).await),
            Request::CreatePartitions(asked) => Reply::Grown(self.create_partitions(asked).await),
            Request::AlterConfigs {
                changes,
                validate_only,
            } => Reply::Altered(self.alter_configs(changes, validate_only).await),
            Request::ProducerIdBlock => Reply::ProducerIds(self.producer_id_block().await),
            Request::Open(image) => Reply::Opened(self.open_image(*image).await),
            Request::DeleteRecords { partition, before } => {
                Reply::Start(self.delete_records_here(partition, before))
            }
            Request::Checkpoint => Reply::Checkpointed(self.checkpoint().await),
            Request::Offsets => Reply::Offsets(self.offsets_here().await),
            Request::Apply(batch) => {
                self.apply(&batch).await;
                Reply::Done
            }
            Request::LogSizes(wanted) => Reply::LogSizes(self.log_sizes_here(wanted).await),
            Request::DirFailed { dir, reason } => {
                self.dir_has_failed(dir, reason).await;
                Reply::Done
            }
            Request::CloseDir(dir) => {
                self.close_dir_here(dir);
                Reply::Done
            }
            Request::MoveReplica { partition, to } => Reply::Moved(self.move_replica_here(partition, to)),
            Request::ReplicaMoved { partition, dir } => {
                self.assign_replica(partition, dir).await;
                Reply::Done
            }
            Request::Listen => {
                self.order_listen();
                Reply::Done
            }
            Request::EndClients => {
                self.end_clients_here().await;
                Reply::Done
            }
            Request::End => {
                self.order_stop();
                Reply::Done
            }
            Request::Stop => {
                let closed = self.close_owned().await;
                self.link.reply(from, slot, Reply::Closed(closed));
                self.order_stop();
                return;
            }
        };
        self.link.reply(from, slot, reply);
    }
}

/// Runs `future` to its first wait; what remains goes on in a task of its own.
async fn start(future: impl Future<Output = ()> + 'static) {
    let mut future = Box::pin(future);
    let done = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
    if !done {
        io::spawn(future);
    }
}
