//! The fetch sessions that one core keeps: which request belongs to which, and who makes room for whom.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::base::{CoreId, FetchSessionId, Instant, PartitionIndex, TopicPartition};
use crate::partition::Interest;
use crate::shard::message::WatchId;
use crate::wire::ErrorCode;

use super::session::{FetchSession, FetchTopicName, SessionPartition};

/// Epoch of a full fetch that asks for a session (Kafka's `FetchMetadata`).
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a full fetch that wants none, and ends the one it names.
const FINAL_EPOCH: i32 = -1;

/// A session that was not used for so long makes room for any other; one that is younger, for none that is smaller. Kafka's
/// `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`, which is no setting there either.
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// Memory of one core for its sessions. 200,000 partitions fit in; a client that wants more fetches without a session.
const SESSIONS_BYTES_MAX: usize = 64 << 20;

/// The sessions of one core.
pub struct FetchSessions {
    core: CoreId,
    cores: u16,
    slots: usize,
    kept: BTreeMap<FetchSessionId, Rc<RefCell<FetchSession>>>,
    bytes: usize,
    ended: Vec<Ended>,
}

/// What a Fetch request says of its session, and the partitions it names.
pub struct SessionRequest {
    /// Which session, and what for.
    pub opening: SessionOpening,
    /// Partitions to add, or to change.
    pub partitions: Vec<SessionPartition>,
    /// Partitions to leave out from now on.
    pub forgotten: Vec<(FetchTopicName, PartitionIndex)>,
}

/// What a Fetch request says of its session as a whole.
#[derive(Clone, Copy, Debug)]
pub struct SessionOpening {
    /// The session, or [`FetchSessionId::NONE`].
    pub id: FetchSessionId,
    /// The epoch.
    pub epoch: i32,
    /// Whether topics are named by their ids.
    pub by_id: bool,
    /// Whether it comes from a replica.
    pub is_follower: bool,
}

/// What a request is answered from.
#[derive(Clone)]
pub struct FetchContext {
    /// The partitions; of no other request, unless it is a kept session.
    pub session: Rc<RefCell<FetchSession>>,
    /// The epoch that the session still has when the answer is made.
    epoch: i32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Answers everything, and may become a session.
    Full,
    /// Answers everything, once.
    Once,
    /// Answers what changed.
    Incremental,
}

/// A session that is no longer kept, and what is left to do about it; or the news that another core's is to end.
#[derive(Default)]
pub struct Ended {
    /// A fetch that waits for news of it.
    pub parked: Option<WatchId>,
    /// What the owners of its partitions may forget.
    pub interests: Vec<(TopicPartition, Interest)>,
    /// A session that the client gave up, and that another core keeps.
    pub elsewhere: Option<FetchSessionId>,
}

/// How many ids each core gives out.
fn ids_per_core(cores: u16) -> i32 {
    i32::MAX / i32::from(cores.max(1))
}

/// The core that keeps a session; ids are given out by core.
pub fn home(session: FetchSessionId, cores: u16) -> CoreId {
    let core = session.0.max(0) / ids_per_core(cores);
    CoreId(u16::try_from(core).unwrap_or(u16::MAX).min(cores - 1))
}

impl FetchContext {
    /// Whether only what changed is answered.
    pub fn is_incremental(&self) -> bool {
        self.kind == Kind::Incremental
    }

    /// Whether an answer may wait for news. Those of a session that ended don't come.
    pub fn may_wait(&self) -> bool {
        let has_ended = self.is_incremental() && self.session.borrow().id == FetchSessionId::NONE;
        !has_ended && !self.is_outdated()
    }

    /// Whether a later request has taken the session over: this one may not be answered from it.
    pub fn is_outdated(&self) -> bool {
        self.session.borrow().epoch != self.epoch
    }
}

impl FetchSessions {
    /// None yet. Of the `slots` of the node this core has its part.
    pub fn new(core: CoreId, cores: u16, slots: usize) -> FetchSessions {
        let (each, left) = (slots / usize::from(cores), slots % usize::from(cores));
        FetchSessions {
            core,
            cores,
            slots: each + usize::from(core.index() < left),
            kept: BTreeMap::new(),
            bytes: 0,
            ended: Vec::new(),
        }
    }

    /// Begins what a request with this opening is answered from: next come the partitions that it [wants](Self::want), those that it
    /// [forgets](Self::forget), then [its end](Self::complete). Others may be served in between.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
    pub fn begin(&mut self, opening: SessionOpening, now: Instant) -> Result<FetchContext, ErrorCode> {
        match opening.epoch {
            INITIAL_EPOCH => Ok(self.full(opening, Kind::Full, now)),
            FINAL_EPOCH => Ok(self.full(opening, Kind::Once, now)),
            _ => self.incremental(opening, now),
        }
    }

    /// A full fetch ends the session that it names.
    fn full(&mut self, opening: SessionOpening, kind: Kind, now: Instant) -> FetchContext {
        if opening.id != FetchSessionId::NONE {
            self.remove(opening.id);
        }
        let session = FetchSession::new(opening.by_id, opening.is_follower, now);
        FetchContext {
            session: Rc::new(RefCell::new(session)),
            epoch: 0,
            kind,
        }
    }

    fn incremental(&mut self, opening: SessionOpening, now: Instant) -> Result<FetchContext, ErrorCode> {
        let kept = self.kept.get(&opening.id);
        let session = kept.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?.clone();
        let mut state = session.borrow_mut();
        if state.epoch != opening.epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if state.by_id != opening.by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        state.last_used = now;
        state.epoch = next_epoch(state.epoch);
        let epoch = state.epoch;
        drop(state);
        Ok(FetchContext {
            session,
            epoch,
            kind: Kind::Incremental,
        })
    }

    /// Adds a partition to what is answered, or takes over what is now wanted of it.
    pub fn want(&mut self, context: &FetchContext, partition: SessionPartition) {
        self.change(context, |session| session.want(partition));
    }

    /// Takes a partition out of what is answered from now on.
    pub fn forget(&mut self, context: &FetchContext, topic: &FetchTopicName, index: PartitionIndex) {
        let interest = self.change(context, |session| session.forget(topic, index));
        if let Some(interest) = interest {
            self.ended.push(Ended {
                interests: vec![interest],
                ..Ended::default()
            });
        }
    }

    /// Changes a session, which counts for what it then has. One that is not kept, or no longer, counts for nothing.
    fn change<T>(&mut self, context: &FetchContext, change: impl FnOnce(&mut FetchSession) -> T) -> T {
        let mut session = context.session.borrow_mut();
        let bytes_before = session.size_bytes();
        let changed = change(&mut session);
        if session.id != FetchSessionId::NONE {
            self.bytes = self.bytes - bytes_before + session.size_bytes();
        }
        changed
    }

    /// What the request is answered from, now that it is whole. A session that became too large, or empty, ends.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND: too large; a client then fetches without it.
    pub fn complete(&mut self, mut context: FetchContext) -> Result<FetchContext, ErrorCode> {
        let (id, is_empty, has_places) = {
            let session = context.session.borrow();
            (session.id, session.len() == 0, session.has_places())
        };
        if id == FetchSessionId::NONE {
            return Ok(context);
        }
        if !has_places || self.bytes > SESSIONS_BYTES_MAX {
            self.remove(id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        if is_empty {
            self.remove(id);
            context.kind = Kind::Once;
        }
        Ok(context)
    }

    #[cfg(test)]
    pub(super) fn context(
        &mut self,
        request: SessionRequest,
        now: Instant,
    ) -> Result<FetchContext, ErrorCode> {
        let context = self.begin(request.opening, now)?;
        for partition in request.partitions {
            self.want(&context, partition);
        }
        for (topic, index) in &request.forgotten {
            self.forget(&context, topic, *index);
        }
        self.complete(context)
    }

    /// Keeps what a full fetch asked for as a session, if there is room or another one makes room.
    pub fn keep(&mut self, context: FetchContext, now: Instant, random: u64) -> FetchSessionId {
        let mut state = context.session.borrow_mut();
        if context.kind != Kind::Full || !self.has_room(&state, now) {
            return FetchSessionId::NONE;
        }
        let id = self.new_id(random);
        state.id = id;
        state.epoch = next_epoch(INITIAL_EPOCH);
        state.created = now;
        state.last_used = now;
        self.bytes += state.size_bytes();
        self.kept.insert(id, context.session.clone());
        id
    }

    fn has_room(&mut self, new: &FetchSession, now: Instant) -> bool {
        if self.kept.len() >= self.slots {
            let Some(evicted) = self.evictable(new, now) else {
                return false;
            };
            self.remove(evicted);
        }
        self.bytes + new.size_bytes() <= SESSIONS_BYTES_MAX
    }

    /// Who makes room for `new`, if anyone does. The slots are few: they are looked through.
    fn evictable(&self, new: &FetchSession, now: Instant) -> Option<FetchSessionId> {
        let by_use =
            |(id, session): (&FetchSessionId, &Rc<RefCell<FetchSession>>)| (session.borrow().last_used, *id);
        let (last_used, oldest) = self.kept.iter().map(by_use).min()?;
        if now.since(last_used) > EVICTION_AGE {
            return Some(oldest);
        }
        let worth = |(id, session): (&FetchSessionId, &Rc<RefCell<FetchSession>>)| {
            let session = session.borrow();
            let is_old = session.last_used.since(session.created) > EVICTION_AGE;
            let gives_way = is_old || new.is_follower && !session.is_follower;
            gives_way.then(|| (session.is_follower, session.len(), *id))
        };
        let (is_follower, len, id) = self.kept.iter().filter_map(worth).min()?;
        ((new.is_follower, new.len()) > (is_follower, len)).then_some(id)
    }

    fn new_id(&self, random: u64) -> FetchSessionId {
        let ids = ids_per_core(self.cores);
        let first = i32::from(self.core.0) * ids;
        // From 1 on: 0 stands for "none".
        let count = ids as u64 - 1;
        let nth = |n: u64| FetchSessionId(first + 1 + (n % count) as i32);
        (random % count..)
            .map(nth)
            .find(|id| !self.kept.contains_key(id))
            .expect("there are far more ids than slots")
    }

    /// Ends a session, of this core or another.
    pub fn remove(&mut self, id: FetchSessionId) {
        if home(id, self.cores) != self.core {
            self.ended.push(Ended {
                elsewhere: Some(id),
                ..Ended::default()
            });
            return;
        }
        let Some(session) = self.kept.remove(&id) else {
            return;
        };
        let mut state = session.borrow_mut();
        self.bytes -= state.size_bytes();
        self.ended.push(Ended {
            parked: state.unpark(),
            interests: state.interests(),
            elsewhere: None,
        });
        state.id = FetchSessionId::NONE;
    }

    /// A partition of a session has changed; who is to be woken. The session may be gone.
    pub fn changed(&self, interest: Interest) -> Option<WatchId> {
        self.kept
            .get(&interest.session)?
            .borrow_mut()
            .changed(interest.place)
    }

    /// What ended since the last call.
    pub fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    #[cfg(test)]
    pub(super) fn ids(&self) -> Vec<FetchSessionId> {
        self.kept.keys().copied().collect()
    }
}

/// Epochs of a session go from 1 to the largest number and begin again at 1.
fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}
