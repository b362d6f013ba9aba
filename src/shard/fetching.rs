//! Fetch sessions across cores: the core that owns a partition tells the core that keeps the session of changes.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::{CoreId, FetchSessionId, PartitionIndex, TopicPartition};
use crate::io;
use crate::partition::Interest;
use crate::wire::ErrorCode;

use super::fetch_session::{self, Ended, FetchContext, FetchSessions, FetchTopicName, SessionRequest};
use super::message::Request;
use super::{Shard, TimeSlice};

impl Shard {
    /// What a fetch request is to be answered from (KIP-227). One that names very much lets others in between.
    ///
    /// # Errors
    /// The error that the whole answer is.
    pub async fn fetch_context(
        self: &Rc<Self>,
        request: SessionRequest,
        slice: &mut TimeSlice,
    ) -> Result<FetchContext, ErrorCode> {
        let context = self.with_fetch_sessions(|sessions| sessions.begin(request.opening, io::now()))?;
        let want = |partition| self.fetch_sessions.borrow_mut().want(&context, partition);
        slice.each(request.partitions, want).await;
        let forget = |(topic, index)| {
            self.with_fetch_sessions(|sessions| sessions.forget(&context, &topic, index));
        };
        slice.each(request.forgotten, forget).await;
        self.with_fetch_sessions(|sessions| sessions.complete(context))
    }

    /// Keeps the session of a full fetch for the requests that follow, if it is worth its room; its id, or
    /// [`FetchSessionId::NONE`].
    pub fn keep_fetch_session(self: &Rc<Self>, context: FetchContext) -> FetchSessionId {
        self.with_fetch_sessions(|sessions| sessions.keep(context, io::now(), io::random_u64()))
    }

    /// Does something with the sessions of this core, and what is left to do about those that it ended.
    fn with_fetch_sessions<T>(self: &Rc<Self>, work: impl FnOnce(&mut FetchSessions) -> T) -> T {
        let (done, ended) = {
            let mut sessions = self.fetch_sessions.borrow_mut();
            let done = work(&mut sessions);
            (done, sessions.take_ended())
        };
        self.settle_ended(ended);
        done
    }

    /// The partition that a fetch names. `known_name` is the name that a topic's id was last seen with: an id that is gone
    /// may have left its name to another topic.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION.
    pub fn find_fetched(
        &self,
        topic: &FetchTopicName,
        known_name: &mut Option<Rc<str>>,
        index: PartitionIndex,
    ) -> Result<TopicPartition, ErrorCode> {
        let image = self.image.borrow();
        let named = match topic {
            FetchTopicName::Name(name) => image.topic_by_name(name),
            FetchTopicName::Id(id) => image.topic(*id),
        };
        let Some(found) = named else {
            let successor = known_name.as_ref().and_then(|name| image.topic_by_name(name));
            return Err(match (topic, known_name) {
                (FetchTopicName::Id(_), None) => ErrorCode::UNKNOWN_TOPIC_ID,
                _ if successor.is_some_and(|topic| topic.partitions.contains_key(&index)) => {
                    ErrorCode::INCONSISTENT_TOPIC_ID
                }
                _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            });
        };
        if let FetchTopicName::Id(_) = topic {
            known_name.get_or_insert_with(|| Rc::from(found.name.as_str()));
        }
        if !found.partitions.contains_key(&index) {
            return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
        Ok(TopicPartition {
            topic: found.id,
            partition: index,
        })
    }

    /// Wakes whoever is parked on the session, and lets the partitions' owners forget it.
    fn settle_ended(self: &Rc<Self>, ended: Vec<Ended>) {
        for ended in ended {
            if let Some(parked) = ended.parked {
                self.watch_fired(parked);
            }
            self.end_interests(ended.interests);
            if let Some(elsewhere) = ended.elsewhere {
                self.end_fetch_session(elsewhere);
            }
        }
    }

    /// Ends a session that another core keeps; nobody waits for it.
    fn end_fetch_session(self: &Rc<Self>, session: FetchSessionId) {
        let home = fetch_session::home(session, self.node.cores);
        self.tell(home, Request::EndFetchSession(session));
    }

    pub(super) fn end_fetch_session_here(self: &Rc<Self>, session: FetchSessionId) {
        let ended = {
            let mut sessions = self.fetch_sessions.borrow_mut();
            sessions.remove(session);
            sessions.take_ended()
        };
        self.settle_ended(ended);
    }

    /// Makes the owners forget interests.
    fn end_interests(self: &Rc<Self>, interests: Vec<(TopicPartition, Interest)>) {
        let mut by_core: BTreeMap<CoreId, Vec<(TopicPartition, Interest)>> = BTreeMap::new();
        for (partition, interest) in interests {
            let owner = self.owner(partition);
            by_core.entry(owner).or_default().push((partition, interest));
        }
        for (core, interests) in by_core {
            if core == self.core {
                self.end_interests_here(&interests);
            } else {
                self.tell(core, Request::EndInterests(interests));
            }
        }
    }

    pub(super) fn end_interests_here(&self, interests: &[(TopicPartition, Interest)]) {
        let mut owned = self.owned.borrow_mut();
        for (partition, interest) in interests {
            if let Some(partition) = owned.get_mut(*partition) {
                partition.interests_mut().remove(*interest);
            }
        }
    }

    /// Asks, and lets a task of its own wait for the answer.
    pub(super) fn tell(self: &Rc<Self>, core: CoreId, request: Request) {
        let shard = self.clone();
        io::spawn(async move { shard.link.ask(core, request).await });
    }

    /// How a partition of this core tells of its changes.
    pub(super) fn interest_teller(self: &Rc<Self>) -> Rc<dyn Fn(Interest)> {
        let shard = Rc::downgrade(self);
        Rc::new(move |interest| {
            let Some(shard) = shard.upgrade() else { return };
            let home = fetch_session::home(interest.session, shard.node.cores);
            if home == shard.core {
                shard.fetch_session_changed(interest);
            } else {
                shard.link.changed(home, interest);
            }
        })
    }

    /// A partition of a session of this core has changed. A session that is gone is not an error.
    pub(super) fn fetch_session_changed(&self, interest: Interest) {
        let parked = self.fetch_sessions.borrow().changed(interest);
        if let Some(parked) = parked {
            self.watch_fired(parked);
        }
    }
}
