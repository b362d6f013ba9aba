//! The controller, on core 0: one change of the metadata at a time.
//!
//! A change is decided against the image (`metadata::controller`, pure), committed (`Quorum::propose`), applied on this core, then on
//! every other; only then is it answered. Who comes meanwhile waits for its turn.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use crate::base::{CoreId, TopicId, TopicPartition};
use crate::io::local::{Sender, oneshot};
use crate::io::{Planted, is_planted, random_uuid, spawn, wall_now};
use crate::log::clean_start;
use crate::log::dir::CheckpointedOffsets;
use crate::log::{LogError, Opened};
use crate::metadata::Image;
use crate::metadata::controller::{
    self, CreateError, CreatedTopic, DeleteError, DeleteTarget, DeletedTopic, ProducerIdBlock, Records,
};
use crate::partition::Refusal;
use crate::quorum::{Quorum, QuorumError};
use crate::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use crate::wire::{DecodeError, ErrorCode, Str};

use super::Shard;
use super::asked::AskedFrame;
use super::checkpoints::CoreOffsets;
use super::message::{Reply, Request};

/// The core that holds the metadata log.
pub const CONTROLLER_CORE: CoreId = CoreId(0);

/// Topics to create.
pub enum NewTopics {
    /// As a CreateTopics request asks.
    Asked(AskedFrame),
    /// By name, with the broker's defaults.
    Named(Vec<String>),
}

/// What became of each topic to create, or why the request as a whole was refused.
pub type Created = Result<Vec<(String, Result<CreatedTopic, CreateError>)>, Refusal>;

/// What became of each topic to delete, or why the request as a whole was refused.
pub type Deleted = Result<Vec<(DeleteTarget, Result<DeletedTopic, DeleteError>)>, Refusal>;

/// How a node was stopped cleanly.
#[derive(Debug, Default)]
pub struct CleanStop {
    /// The broker's epoch (KIP-966).
    pub broker_epoch: i64,
    /// Where the logs of each directory ended, in the order of `log.dirs`; none of one that is offline.
    pub offsets: Vec<Option<CheckpointedOffsets>>,
    /// What they were like then, by directory.
    pub logs: Vec<Vec<clean_start::Entry>>,
}

/// Core 0's hold on the metadata log.
pub(super) struct Controller {
    quorum: RefCell<Option<Quorum>>,
    busy: Cell<bool>,
    waiting: RefCell<VecDeque<Sender<Turn>>>,
}

/// The right to change the metadata; passes on when dropped.
pub(super) struct Turn(Rc<Controller>);

impl NewTopics {
    /// Calls `decide` with the request; a frame that was read once is read again here.
    fn with_request<T>(&self, decide: impl FnOnce(&CreateTopicsRequest<'_>) -> T) -> Result<T, DecodeError> {
        match self {
            NewTopics::Asked(asked) => asked.body().map(|request| decide(&request)),
            NewTopics::Named(names) => {
                let topic = |name: &String| CreatableTopic {
                    name: Str::from(name.clone()),
                    num_partitions: -1,
                    replication_factor: -1,
                    ..Default::default()
                };
                let topics = names.iter().map(topic).collect();
                Ok(decide(&CreateTopicsRequest {
                    topics,
                    ..Default::default()
                }))
            }
        }
    }
}

impl Controller {
    fn new(quorum: Quorum) -> Rc<Controller> {
        Rc::new(Controller {
            quorum: RefCell::new(Some(quorum)),
            busy: Cell::new(false),
            waiting: RefCell::default(),
        })
    }

    /// Commits `records` as one change. Only the holder of the turn calls this, so the quorum is never missed while it is away.
    async fn propose(&self, records: Records) -> io::Result<Vec<Bytes>> {
        let quorum = self.quorum.borrow_mut().take();
        let Some(mut quorum) = quorum else {
            return Err(io::Error::other("the metadata log is closed"));
        };
        let outcome = quorum.propose(&records, wall_now()).await;
        *self.quorum.borrow_mut() = Some(quorum);
        outcome.map_err(io::Error::other)
    }

    /// What `of` finds out or does, unless the metadata log is closed. Only for the holder of the turn.
    pub(super) fn with_quorum<T>(&self, of: impl FnOnce(&mut Quorum) -> T) -> Option<T> {
        self.quorum.borrow_mut().as_mut().map(of)
    }

    pub(super) async fn turn(self: &Rc<Self>) -> Turn {
        if !self.busy.replace(true) {
            return Turn(self.clone());
        }
        let (sender, receiver) = oneshot();
        self.waiting.borrow_mut().push_back(sender);
        receiver.await.expect("who waits in line is served")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        loop {
            let next = self.0.waiting.borrow_mut().pop_front();
            match next {
                None => return self.0.busy.set(false),
                Some(gone) if gone.is_closed() => {}
                Some(next) => {
                    let _ = next.send(Turn(self.0.clone()));
                    return;
                }
            }
        }
    }
}

impl Shard {
    /// Opens the node (on core 0): the metadata log, then every core's partitions. After an unclean stop every partition that this
    /// node leads gets a new leader epoch first.
    ///
    /// # Errors
    /// A text that says what could not be opened.
    pub async fn open(self: &Rc<Self>) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("cannot open the metadata log: {error}");
        let identity = self.node.identity();
        let dir = &self.node.metadata_dir;
        let (quorum, image) = Quorum::open(&self.node.config, &dir.path, identity, dir.opened, wall_now())
            .await
            .map_err(|error| failed(&error))?;
        let controller = Controller::new(quorum);
        self.controller.replace(Some(controller.clone()));
        *self.image.borrow_mut() = image;
        // A log that no start of this node is in was begun just now.
        if self.image.borrow().broker(self.node.id()).is_none() {
            self.refuse_partitions_without_their_log()
                .map_err(|error| format!("log.dirs: {error}"))?;
        }
        self.set_strays_aside()
            .map_err(|error| format!("log.dirs: {error}"))?;
        self.finish_moves()
            .map_err(|error| format!("log.dirs: {error}"))?;
        let found = self
            .find_partitions()
            .map_err(|error| format!("log.dirs: {error}"))?;
        self.remove_unfinished_moves(&found)
            .map_err(|error| format!("log.dirs: {error}"))?;
        self.commit_start(&controller, &found)
            .await
            .map_err(|error| failed(&error))?;
        self.warn_of_offline();
        let image = self.image.borrow().clone();
        let opened: Vec<_> = self
            .link
            .peers()
            .map(|peer| spawn(self.clone().open_peer(peer, image.clone())))
            .collect();
        let mut outcome = self.open_owned().await;
        for opened in opened {
            outcome = outcome.and(opened.await);
        }
        outcome.map_err(|error| format!("cannot open the logs: {error}"))?;
        self.all_are_open()
    }

    async fn open_peer(self: Rc<Self>, peer: CoreId, image: Image) -> Result<(), LogError> {
        match self.link.ask(peer, Request::Open(Box::new(image))).await {
            Reply::Opened(opened) => opened,
            _ => unreachable!("an image is answered with what opening came to"),
        }
    }

    /// Commits what a start adds to the log. The other cores have no image yet, and no core has a partition open: they
    /// are opened by the image that comes of this, each as its files were left.
    async fn commit_start(
        &self,
        controller: &Controller,
        found: &BTreeMap<TopicPartition, TopicId>,
    ) -> io::Result<()> {
        let node = self.node.id();
        let initial = controller::initial_records(&self.image.borrow());
        self.commit_to_image(controller, initial).await?;
        self.take_broker_configs();
        let incarnation = TopicId(random_uuid());
        let registration = self.node.registration(
            incarnation,
            &self.image.borrow(),
            &self.config(),
            self.online_ids(),
        );
        let register = controller::register_broker(&registration, self.image.borrow().next_offset());
        self.commit_to_image(controller, register).await?;
        let all_online = self.online_dirs.offline().is_empty();
        let assigned = controller::assign_directories(&self.image.borrow(), node, found, all_online);
        self.commit_all_here(controller, assigned).await?;
        let left = controller::leave_offline_directories(&self.image.borrow(), node);
        self.commit_all_here(controller, left).await?;
        if self.was_left_by_a_crash() && !is_planted(Planted::EpochNotBumped) {
            let bumps = controller::bump_epochs_after_unclean_stop(&self.image.borrow(), node);
            self.commit_all_here(controller, bumps).await?;
        }
        // Behind the bumps, so that no partition gets two new epochs.
        let elected = controller::elect_leaders(&self.image.borrow(), node);
        self.commit_all_here(controller, elected).await
    }

    fn was_left_by_a_crash(&self) -> bool {
        self.node.metadata_dir.opened == Opened::AfterCrash || self.node.dirs.is_any_after_crash()
    }

    /// Commits any number of records, as many batches as it takes.
    async fn commit_all_here(&self, controller: &Controller, records: Records) -> io::Result<()> {
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let batch = records
                .by_ref()
                .take(controller::RECORDS_PER_REQUEST_MAX)
                .collect();
            self.commit_to_image(controller, batch).await?;
        }
        Ok(())
    }

    async fn commit_to_image(&self, controller: &Controller, records: Records) -> io::Result<()> {
        if !records.is_empty() {
            for batch in controller.propose(records).await? {
                self.apply_to_image(&batch);
            }
        }
        Ok(())
    }

    /// Creates topics; when this returns, every core knows them.
    pub async fn create_topics(self: &Rc<Self>, topics: NewTopics) -> Created {
        let Some(controller) = self.controller() else {
            return match self
                .link
                .ask(CONTROLLER_CORE, Request::CreateTopics(topics))
                .await
            {
                Reply::Created(created) => created,
                _ => unreachable!("topics to create are answered with what became of them"),
            };
        };
        let turn = controller.turn().await;
        let decided = topics.with_request(|request| {
            controller::create_topics(&self.image.borrow(), request, &self.config(), || {
                TopicId(random_uuid())
            })
        });
        // The frame was read before it came here; a second reading cannot fail.
        let decision = decided.map_err(|_| Refusal::from(ErrorCode::INVALID_REQUEST))?;
        self.commit(turn, decision.records).await?;
        Ok(decision.answers)
    }

    /// Deletes topics; when this returns, no core serves them.
    pub async fn delete_topics(self: &Rc<Self>, targets: Vec<DeleteTarget>) -> Deleted {
        let Some(controller) = self.controller() else {
            return match self
                .link
                .ask(CONTROLLER_CORE, Request::DeleteTopics(targets))
                .await
            {
                Reply::Deleted(deleted) => deleted,
                _ => unreachable!("topics to delete are answered with what became of them"),
            };
        };
        let turn = controller.turn().await;
        let enabled = self.node.config.delete_topics();
        let decision = controller::delete_topics(&self.image.borrow(), &targets, enabled);
        self.commit(turn, decision.records).await?;
        Ok(decision.answers)
    }

    /// A block of producer ids that nobody else has or ever gets: it is committed before it is handed out.
    pub(super) async fn producer_id_block(self: &Rc<Self>) -> Result<ProducerIdBlock, Refusal> {
        let Some(controller) = self.controller() else {
            return match self.link.ask(CONTROLLER_CORE, Request::ProducerIdBlock).await {
                Reply::ProducerIds(block) => block,
                _ => unreachable!("a block of ids is answered with its outcome"),
            };
        };
        let turn = controller.turn().await;
        let (block, records) = {
            let image = self.image.borrow();
            controller::allocate_producer_ids(&image, self.node.id(), self.broker_epoch())
                .ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?
        };
        self.commit(turn, records).await?;
        Ok(block)
    }

    /// Commits `records` and applies them on every core. A change that has begun goes through whatever becomes of who asked
    /// for it: it has a task of its own, which holds the turn to its end.
    pub(super) async fn commit(self: &Rc<Self>, turn: Turn, records: Records) -> Result<(), Refusal> {
        if records.is_empty() {
            return Ok(());
        }
        let shard = self.clone();
        spawn(async move { shard.commit_everywhere(&turn.0, records).await }).await
    }

    async fn commit_everywhere(
        self: &Rc<Self>,
        controller: &Rc<Controller>,
        records: Records,
    ) -> Result<(), Refusal> {
        let proposed = controller.propose(records).await;
        self.end_if_the_log_is_lost(controller);
        for batch in proposed.map_err(refusal)? {
            let told = self.ask_peers(|| Request::Apply(batch.clone()));
            let is_one_gone = self.apply(&batch).await;
            told.await;
            if is_one_gone {
                self.write_checkpoints().await;
            }
        }
        self.snapshot_if_due(controller);
        Ok(())
    }

    /// A metadata log in doubt takes no more changes: as in Kafka, nothing goes on without it.
    fn end_if_the_log_is_lost(&self, controller: &Controller) {
        if controller.with_quorum(|quorum| quorum.has_failed()) == Some(true) {
            let path = self.node.metadata_dir.path.display();
            self.end_node(format!(
                "the metadata log in {path} could not be written or flushed"
            ));
        }
    }

    /// Lets every core accept connections.
    pub async fn let_all_listen(self: &Rc<Self>) {
        self.ask_peers(|| Request::Listen).await;
    }

    /// Lets the clients go, closes every core's partitions, then the metadata log, and lets every core end.
    ///
    /// # Errors
    /// What could not be flushed: the stop is then not a clean one.
    pub async fn stop_all(self: &Rc<Self>) -> Result<CleanStop, String> {
        let broker_epoch = self.broker_epoch();
        self.end_all_clients().await;
        // A change that has begun is made on every core first; none begins after it.
        let controller = self.controller();
        let _turn = match &controller {
            Some(controller) => Some(controller.turn().await),
            None => None,
        };
        let replies = self.ask_peers(|| Request::Stop).await;
        let (mut outcome, mut offsets) = (Ok(()), CoreOffsets::default());
        let mut logs: Vec<Vec<clean_start::Entry>> = Vec::new();
        logs.resize_with(self.node.dirs.all().count(), Vec::new);
        let theirs = replies.into_iter().filter_map(|reply| match reply {
            Reply::Closed(closed) => Some(closed),
            _ => None,
        });
        for closed in theirs.chain([self.close_owned().await]) {
            match closed {
                Ok(closed) => {
                    offsets.add(closed.offsets);
                    let by_dir = closed.logs.into_iter();
                    by_dir.for_each(|(dir, log)| logs[dir.0].push(log));
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        let offsets = self.named_offsets(offsets).await;
        let quorum = controller.and_then(|controller| controller.quorum.borrow_mut().take());
        if let Some(quorum) = quorum {
            outcome = outcome.and(quorum.close().await);
        }
        self.order_stop();
        match outcome {
            Ok(()) => Ok(CleanStop {
                broker_epoch,
                offsets,
                logs,
            }),
            Err(error) => Err(format!("the stop was not clean: {error}")),
        }
    }

    pub(super) fn controller(&self) -> Option<Rc<Controller>> {
        self.controller.borrow().clone()
    }
}

/// A change that fits into no batch will not the next time either: that is told from what the disk refuses.
fn refusal(error: io::Error) -> Refusal {
    let quorum = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<QuorumError>());
    match quorum {
        Some(QuorumError::Batch(error)) => Refusal::new(ErrorCode::POLICY_VIOLATION, error.to_string()),
        _ => Refusal::new(
            ErrorCode::KAFKA_STORAGE_ERROR,
            format!("the metadata log could not be written: {error}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_turn_that_came_to_someone_who_is_gone_passes_on() {
        let controller = Rc::new(Controller {
            quorum: RefCell::new(None),
            busy: Cell::new(false),
            waiting: RefCell::default(),
        });
        let Poll::Ready(first) = poll(pin!(controller.turn())) else {
            panic!("nobody has the turn")
        };
        let (mut gone, mut last) = (Box::pin(controller.turn()), pin!(controller.turn()));
        assert!(poll(gone.as_mut()).is_pending() && poll(last.as_mut()).is_pending());
        drop(first);
        drop(gone);
        assert!(poll(last).is_ready());
    }
}
