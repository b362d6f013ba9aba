//! One fetch session.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::TopicId;
use crate::base::{FetchSessionId, Instant, PartitionIndex, TopicPartition};
use crate::partition::{Interest, Marks, ReadRange};
use crate::shard::message::WatchId;
use crate::shard::reading::{ReadAnswer, ReadOutcome, Wanted};
use crate::wire::ErrorCode;

/// What a partition of a session counts for: its entry here, its places in three maps, the interest at its owner.
const PARTITION_BYTES: usize = 320;
/// And a topic, without its name.
const TOPIC_BYTES: usize = 160;
/// A session that has given out so many places ends; its client begins another.
const PLACES_MAX: u32 = u32::MAX / 2;

/// A topic as the client names it: from Fetch 13 on by its id (KIP-516).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchTopicName {
    /// By id.
    Id(TopicId),
    /// By name.
    Name(Rc<str>),
}

/// A partition that a request names.
#[derive(Clone, Debug)]
pub struct SessionPartition {
    /// Its topic.
    pub topic: FetchTopicName,
    /// Its index.
    pub index: PartitionIndex,
    /// What is wanted of it.
    pub range: ReadRange,
}

/// A partition to read for an answer, or to answer without.
pub struct Planned {
    /// Where it stands in the session.
    pub place: u32,
    /// Its topic.
    pub topic: FetchTopicName,
    /// Its index.
    pub index: PartitionIndex,
    /// What to read; or why there is nothing to read.
    pub target: Result<Wanted, ErrorCode>,
}

/// A session; see the module. Before it is kept it is the plain list of one request.
pub struct FetchSession {
    /// Set while it is kept.
    pub(super) id: FetchSessionId,
    /// What the next request must say.
    pub(super) epoch: i32,
    pub(super) by_id: bool,
    pub(super) is_follower: bool,
    pub(super) created: Instant,
    pub(super) last_used: Instant,
    topics: BTreeMap<FetchTopicName, Topic>,
    names_bytes: usize,
    /// By place.
    entries: BTreeMap<u32, Entry>,
    /// Places by turn: those that were answered with records go behind all others (KIP-74).
    ready: BTreeMap<u64, u32>,
    /// Never used twice, so that late news of a partition that was forgotten meets nobody.
    next_place: u32,
    next_turn: u64,
    /// News came since the last plan.
    has_news: bool,
    parked: Option<WatchId>,
}

struct Topic {
    /// Of a topic that is named by its id: the name that the id has had.
    known_name: Option<Rc<str>>,
    places: BTreeMap<PartitionIndex, u32>,
}

struct Entry {
    topic: FetchTopicName,
    index: PartitionIndex,
    range: ReadRange,
    /// The partition, as of the last plan.
    target: Option<TopicPartition>,
    /// What the client knows of the log; nothing at first and after an error.
    told: Option<Marks>,
    turn: u64,
    /// Its owner told of a change since the last plan.
    has_news: bool,
}

impl FetchSession {
    /// An empty one; `by_id` if its topics are named by their ids.
    pub(super) fn new(by_id: bool, is_follower: bool, now: Instant) -> FetchSession {
        FetchSession {
            id: FetchSessionId::NONE,
            epoch: 0,
            by_id,
            is_follower,
            created: now,
            last_used: now,
            topics: BTreeMap::new(),
            names_bytes: 0,
            entries: BTreeMap::new(),
            ready: BTreeMap::new(),
            next_place: 0,
            next_turn: 0,
            has_news: false,
            parked: None,
        }
    }

    /// How many partitions it has.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What it counts for, in bytes of memory.
    pub(super) fn size_bytes(&self) -> usize {
        self.entries.len() * PARTITION_BYTES + self.topics.len() * TOPIC_BYTES + self.names_bytes
    }

    /// Whether places are left to give out. One request names far fewer than are kept back here.
    pub(super) fn has_places(&self) -> bool {
        self.next_place < PLACES_MAX
    }

    /// Adds a partition, or takes over what is now wanted of it.
    pub(super) fn want(&mut self, partition: SessionPartition) {
        let SessionPartition { topic, index, range } = partition;
        if let Some(place) = self.place_of(&topic, index) {
            let entry = self.entries.get_mut(&place).expect("a place in use");
            entry.range = range;
            self.ready.insert(entry.turn, place);
            return;
        }
        let place = self.next_place;
        self.next_place += 1;
        let turn = self.take_turn();
        self.topic_mut(&topic).places.insert(index, place);
        self.ready.insert(turn, place);
        self.entries.insert(
            place,
            Entry {
                topic,
                index,
                range,
                target: None,
                told: None,
                turn,
                has_news: false,
            },
        );
    }

    /// Takes a partition out; what its owner is to forget.
    pub(super) fn forget(
        &mut self,
        topic: &FetchTopicName,
        index: PartitionIndex,
    ) -> Option<(TopicPartition, Interest)> {
        let known = self.topics.get_mut(topic)?;
        let place = known.places.remove(&index)?;
        if known.places.is_empty() {
            self.topics.remove(topic);
            self.names_bytes -= topic.name_bytes();
        }
        let entry = self.entries.remove(&place)?;
        self.ready.remove(&entry.turn);
        self.interest(place, &entry)
    }

    /// What the owners of all its partitions are to forget.
    pub(super) fn interests(&self) -> Vec<(TopicPartition, Interest)> {
        let interest = |(place, entry): (&u32, &Entry)| self.interest(*place, entry);
        self.entries.iter().filter_map(interest).collect()
    }

    fn interest(&self, place: u32, entry: &Entry) -> Option<(TopicPartition, Interest)> {
        let session = self.id;
        let is_kept = session != FetchSessionId::NONE;
        let target = entry.target.filter(|_| is_kept)?;
        Some((target, Interest { session, place }))
    }

    fn place_of(&self, topic: &FetchTopicName, index: PartitionIndex) -> Option<u32> {
        self.topics.get(topic)?.places.get(&index).copied()
    }

    fn topic_mut(&mut self, topic: &FetchTopicName) -> &mut Topic {
        if !self.topics.contains_key(topic) {
            self.names_bytes += topic.name_bytes();
        }
        self.topics.entry(topic.clone()).or_insert_with(|| Topic {
            known_name: None,
            places: BTreeMap::new(),
        })
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }

    /// The places of what may have something to answer, in turn: each is to be [planned](Self::plan). News that come
    /// from here on are for the next time.
    pub fn begin_plan(&mut self) -> Vec<u32> {
        self.has_news = false;
        self.ready.values().copied().collect()
    }

    /// What there is to read for a place; nothing when it has gone. `find` names the partition of a topic, and keeps the name that
    /// belongs to an id in the place it is given.
    pub fn plan(
        &mut self,
        place: u32,
        find: impl FnOnce(
            &FetchTopicName,
            &mut Option<Rc<str>>,
            PartitionIndex,
        ) -> Result<TopicPartition, ErrorCode>,
    ) -> Option<Planned> {
        let is_kept = self.id != FetchSessionId::NONE;
        let entry = self.entries.get_mut(&place)?;
        let topic = self
            .topics
            .get_mut(&entry.topic)
            .expect("an entry's topic is there");
        entry.has_news = false;
        let found = find(&entry.topic, &mut topic.known_name, entry.index);
        entry.target = found.ok().or(entry.target);
        let interest = is_kept.then_some(Interest {
            session: self.id,
            place,
        });
        Some(Planned {
            place,
            topic: entry.topic.clone(),
            index: entry.index,
            target: found.map(|partition| Wanted {
                partition,
                range: entry.range,
                interest,
            }),
        })
    }

    /// Whether a fetch may wait for its partitions: one that isn't ready is idle.
    pub fn has_idle(&self) -> bool {
        self.ready.len() < self.entries.len()
    }

    /// Lets `watch` fire at the next news. False when news came since the plan: there is nothing to wait for.
    pub fn park(&mut self, watch: WatchId) -> bool {
        self.parked = Some(watch);
        !self.has_news
    }

    /// Whoever is parked on it, to be woken.
    pub(super) fn unpark(&mut self) -> Option<WatchId> {
        self.parked.take()
    }

    /// A partition has changed; who is to be woken. The place may be gone.
    pub(super) fn changed(&mut self, place: u32) -> Option<WatchId> {
        let entry = self.entries.get_mut(&place)?;
        entry.has_news = true;
        self.has_news = true;
        self.ready.insert(entry.turn, place);
        self.parked.take()
    }

    /// Takes note of a planned partition's answer, which is about to be sent; whether it says anything new.
    pub fn settle(&mut self, place: u32, answer: &ReadAnswer) -> bool {
        let is_kept = self.id != FetchSessionId::NONE;
        let turn = self.next_turn + 1;
        let Some(entry) = self.entries.get_mut(&place) else {
            return false;
        };
        let ReadOutcome::Read(segments) = &answer.outcome else {
            entry.told = None;
            return true;
        };
        let is_changed = entry.told != answer.marks;
        entry.told = answer.marks;
        if !segments.is_empty() {
            self.ready.remove(&entry.turn);
            self.next_turn = turn;
            entry.turn = turn;
            self.ready.insert(turn, place);
            return true;
        }
        let at_end = answer
            .marks
            .is_some_and(|marks| entry.range.offset >= marks.high_watermark);
        if is_kept && at_end && !entry.has_news {
            self.ready.remove(&entry.turn);
        }
        is_changed
    }
}

impl FetchTopicName {
    fn name_bytes(&self) -> usize {
        match self {
            FetchTopicName::Id(_) => 0,
            FetchTopicName::Name(name) => name.len(),
        }
    }
}
