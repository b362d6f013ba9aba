//! The members of a classic group, and what must always agree with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::events::{Protocol, metadata_bytes};
use super::ids::{InstanceId, MemberId, Token};
use crate::wire::ErrorCode;

/// One member.
#[derive(Clone, Debug)]
pub struct Member {
    /// What the coordinator calls it.
    pub id: MemberId,
    /// What it calls itself, if it is static.
    pub instance_id: Option<InstanceId>,
    /// `client.id` of its first join.
    pub client_id: Arc<str>,
    /// Where that came from.
    pub client_host: Arc<str>,
    /// What it can do, and how long it may take.
    pub terms: Terms,
    /// Its share, as the leader has put it; empty where it has none.
    pub assignment: Bytes,
    /// Its first join is not answered yet.
    pub is_new: bool,
    /// Its join that waits for the phase's end.
    join: Option<Token>,
    /// Its sync that waits for the leader's.
    sync: Option<Token>,
}

/// What each of a member's joins says anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// How long it may take to join again.
    pub rebalance_timeout_ms: i32,
    /// What it can do, the best first; each name once.
    pub protocols: Vec<Protocol>,
}

/// All of them. Invariants: the leader is a member; one member of an instance id; `unsynced` are members and `pending` are
/// none; the counts are those of the members.
#[derive(Debug, Default)]
pub struct Members {
    by_id: BTreeMap<MemberId, Member>,
    by_instance: BTreeMap<InstanceId, MemberId>,
    leader: Option<MemberId>,
    /// Those that were given an id to come back with.
    pending: BTreeSet<MemberId>,
    /// Those that have not asked for their assignment in this generation.
    unsynced: BTreeSet<MemberId>,
    /// How many members know each protocol.
    supporters: BTreeMap<Arc<str>, usize>,
    /// How many wait for the answer to a join.
    joining: usize,
    metadata_bytes: usize,
}

impl Member {
    /// A member that asks for nothing.
    pub fn new(
        id: MemberId,
        instance_id: Option<InstanceId>,
        client: (Arc<str>, Arc<str>),
        terms: Terms,
    ) -> Member {
        Member {
            id,
            instance_id,
            client_id: client.0,
            client_host: client.1,
            terms,
            assignment: Bytes::new(),
            is_new: false,
            join: None,
            sync: None,
        }
    }

    /// Whether it waits for the answer to a join.
    pub fn is_joining(&self) -> bool {
        self.join.is_some()
    }

    /// Whether it needs no heartbeat now: it waits for an answer, and will be heard of after it.
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    /// What it has brought for `protocol`; empty if it doesn't know it.
    pub fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let mut known = self.terms.protocols.iter();
        let chosen = known.find(|known| Some(&*known.name) == protocol);
        chosen.map_or_else(Bytes::new, |chosen| chosen.metadata.clone())
    }

    /// The first of `candidates` in its own order.
    fn vote(&self, candidates: &BTreeSet<&Arc<str>>) -> Option<&Arc<str>> {
        let mut names = self.terms.protocols.iter().map(|protocol| &protocol.name);
        names.find(|name| candidates.contains(name))
    }
}

impl Terms {
    /// With each protocol once, as it is named first.
    pub fn new(session_timeout_ms: i32, rebalance_timeout_ms: i32, protocols: Vec<Protocol>) -> Terms {
        let mut terms = Terms {
            session_timeout_ms,
            rebalance_timeout_ms,
            protocols,
        };
        let mut seen = BTreeSet::new();
        terms
            .protocols
            .retain(|protocol| seen.insert(protocol.name.clone()));
        terms
    }
}

impl Members {
    /// How many.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// The ids of all.
    pub fn ids(&self) -> Vec<MemberId> {
        self.by_id.keys().cloned().collect()
    }

    /// The member of that id.
    pub fn get(&self, id: &MemberId) -> Option<&Member> {
        self.by_id.get(id)
    }

    /// The static member that calls itself so.
    pub fn of_instance(&self, instance_id: &InstanceId) -> Option<&MemberId> {
        self.by_instance.get(instance_id)
    }

    /// The member of that id and, if it says one, that instance id (Kafka's `validateMember`).
    pub fn known(&self, id: &MemberId, instance_id: Option<&InstanceId>) -> Result<&Member, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let newest = self
                .of_instance(instance_id)
                .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if newest != id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
        }
        self.get(id).ok_or(ErrorCode::UNKNOWN_MEMBER_ID)
    }

    /// Who assigns.
    pub fn leader(&self) -> Option<&MemberId> {
        self.leader.as_ref()
    }

    /// Whether it is `id` who assigns.
    pub fn is_leader(&self, id: &MemberId) -> bool {
        self.leader.as_ref() == Some(id)
    }

    /// Bytes of the names and metadata of all protocols of all members.
    pub fn metadata_bytes(&self) -> usize {
        self.metadata_bytes
    }

    /// The longest that a member may take to join again.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        let timeouts = self.iter().map(|member| member.terms.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0)
    }

    /// Adds `member`, whose id and instance id nobody has. The first leads. It is pending no more.
    pub fn add(&mut self, member: Member) {
        debug_assert!(!self.by_id.contains_key(&member.id), "an id is one member's");
        let id = member.id.clone();
        self.pending.remove(&id);
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.insert(instance_id.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.count(&member.terms.protocols);
        self.joining += usize::from(member.join.is_some());
        self.by_id.insert(id, member);
    }

    /// Removes the member or the pending one of that id, with the join and the sync that it waits for. If it led, the
    /// first of the others does.
    pub fn remove(&mut self, id: &MemberId) -> Option<(Member, Option<Token>, Option<Token>)> {
        self.pending.remove(id);
        self.unsynced.remove(id);
        let mut member = self.by_id.remove(id)?;
        self.uncount(&member.terms.protocols);
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.by_id.keys().next().cloned();
        }
        let (join, sync) = (member.join.take(), member.sync.take());
        self.joining -= usize::from(join.is_some());
        Some((member, join, sync))
    }

    /// Gives the member `old` the id `new`: its instance has started again. Returns what the old one waited for.
    pub fn rename(&mut self, old: &MemberId, new: &MemberId) -> (Option<Token>, Option<Token>) {
        let led = self.is_leader(old);
        let was_unsynced = self.unsynced.contains(old);
        let Some((mut member, join, sync)) = self.remove(old) else {
            return (None, None);
        };
        member.id = new.clone();
        member.is_new = false;
        self.add(member);
        if led {
            self.leader = Some(new.clone());
        }
        if was_unsynced {
            self.unsynced.insert(new.clone());
        }
        (join, sync)
    }

    /// Puts new terms in the place of the member's, and what it waits for now. Returns both as they were.
    pub fn update(
        &mut self,
        id: &MemberId,
        terms: Terms,
        join: Option<Token>,
    ) -> Option<(Terms, Option<Token>)> {
        let before = self.by_id.get_mut(id)?;
        let terms_before = std::mem::replace(&mut before.terms, terms);
        let join_before = std::mem::replace(&mut before.join, join);
        self.uncount(&terms_before.protocols);
        let after = self.by_id.get(id)?.terms.protocols.clone();
        self.count(&after);
        self.joining = self.joining + usize::from(join.is_some()) - usize::from(join_before.is_some());
        Some((terms_before, join_before))
    }

    /// Lets the member wait for the answer to a join; for one that is about to be [added](Members::add).
    pub fn let_join(member: &mut Member, join: Token) {
        member.join = Some(join);
    }

    /// Lets the member wait for the leader's sync. Returns the sync that it waited with before.
    pub fn let_sync(&mut self, id: &MemberId, sync: Token) -> Option<Token> {
        self.by_id.get_mut(id)?.sync.replace(sync)
    }

    /// Takes out the join that the member waits with.
    pub fn take_join(&mut self, id: &MemberId) -> Option<Token> {
        let join = self.by_id.get_mut(id)?.join.take();
        self.joining -= usize::from(join.is_some());
        join
    }

    /// Takes out the sync that the member waits with.
    pub fn take_sync(&mut self, id: &MemberId) -> Option<Token> {
        self.by_id.get_mut(id)?.sync.take()
    }

    /// Gives the member its share.
    pub fn assign(&mut self, id: &MemberId, assignment: Bytes) {
        if let Some(member) = self.by_id.get_mut(id) {
            member.assignment = assignment;
        }
    }

    /// The member has had the answer to a join.
    pub fn greet(&mut self, id: &MemberId) {
        if let Some(member) = self.by_id.get_mut(id) {
            member.is_new = false;
        }
    }

    /// How many wait for the answer to a join.
    pub fn joining(&self) -> usize {
        self.joining
    }

    /// Whether nobody is missing who may still join: no member, and none that was given an id for it.
    pub fn have_all_joined(&self) -> bool {
        self.joining == self.by_id.len() && self.pending.is_empty()
    }

    /// Dynamic members that have not joined.
    pub fn absent_dynamic(&self) -> Vec<MemberId> {
        let absent = self
            .iter()
            .filter(|member| !member.is_joining() && member.instance_id.is_none());
        absent.map(|member| member.id.clone()).collect()
    }

    /// Whether there is a leader that has joined: the one there was, or else the first that has.
    pub fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = self.leader.as_ref().and_then(|id| self.by_id.get(id)) else {
            return false;
        };
        if !leader.is_joining() {
            let Some(joined) = self.iter().find(|member| member.is_joining()) else {
                return false;
            };
            self.leader = Some(joined.id.clone());
        }
        true
    }

    /// Makes `id` the leader, if it is a member, or else the first that is.
    pub fn set_leader(&mut self, id: Option<&str>) {
        let named = id.and_then(|id| self.by_id.get_key_value(id));
        let leader = named.or_else(|| self.by_id.first_key_value());
        self.leader = leader.map(|(id, _)| id.clone());
    }

    /// Gives out `id` for a member to come back with.
    pub fn expect(&mut self, id: MemberId) {
        debug_assert!(!self.by_id.contains_key(&id), "who is a member joins as one");
        self.pending.insert(id);
    }

    /// Whether `id` was given out, and nobody has joined with it.
    pub fn is_pending(&self, id: &MemberId) -> bool {
        self.pending.contains(id)
    }

    /// How many ids were given out with which nobody has joined.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes back the ids that were given out.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// Waits for the sync of each.
    pub fn expect_syncs(&mut self) {
        self.unsynced = self.by_id.keys().cloned().collect();
    }

    /// Waits for no sync.
    pub fn forget_syncs(&mut self) {
        self.unsynced.clear();
    }

    /// The member has asked for its assignment. Whether all have.
    pub fn synced(&mut self, id: &MemberId) -> bool {
        self.unsynced.remove(id);
        self.unsynced.is_empty()
    }

    /// Who has not asked for its assignment.
    pub fn unsynced(&self) -> Vec<MemberId> {
        self.unsynced.iter().cloned().collect()
    }

    /// Whether there is one of `protocols` that all members know.
    pub fn support_any(&self, protocols: &[Protocol]) -> bool {
        protocols
            .iter()
            .any(|protocol| self.supporters_of(&protocol.name) == self.len())
    }

    /// The protocol that most prefer of those that all know; of equals the first by name. None only of no members: each that
    /// came knew one that all the others do.
    pub fn elect_protocol(&self) -> Option<Arc<str>> {
        let known_by_all = self
            .supporters
            .iter()
            .filter(|(_, known_by)| **known_by == self.len());
        let candidates: BTreeSet<_> = known_by_all.map(|(name, _)| name).collect();
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for vote in self.iter().filter_map(|member| member.vote(&candidates)) {
            *votes.entry(vote).or_default() += 1;
        }
        let most = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
        most.map(|(name, _)| name.clone())
    }

    fn supporters_of(&self, protocol: &str) -> usize {
        self.supporters.get(protocol).copied().unwrap_or(0)
    }

    fn count(&mut self, protocols: &[Protocol]) {
        self.metadata_bytes += metadata_bytes(protocols);
        for protocol in protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, protocols: &[Protocol]) {
        self.metadata_bytes -= metadata_bytes(protocols);
        for protocol in protocols {
            let left = self.supporters_of(&protocol.name).saturating_sub(1);
            if left == 0 {
                self.supporters.remove(&protocol.name);
            } else {
                self.supporters.insert(protocol.name.clone(), left);
            }
        }
    }
}

#[cfg(test)]
impl Members {
    /// Holds what is counted against what is there.
    pub fn check(&self) {
        let mut supporters: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        let names = self.iter().flat_map(|member| &member.terms.protocols);
        names.for_each(|protocol| *supporters.entry(protocol.name.clone()).or_default() += 1);
        assert_eq!(supporters, self.supporters);
        let bytes: usize = self
            .iter()
            .map(|member| metadata_bytes(&member.terms.protocols))
            .sum();
        assert_eq!(bytes, self.metadata_bytes);
        assert_eq!(
            self.iter().filter(|member| member.is_joining()).count(),
            self.joining
        );
        let instances = self
            .iter()
            .filter_map(|member| Some((member.instance_id.clone()?, member.id.clone())));
        assert_eq!(instances.collect::<BTreeMap<_, _>>(), self.by_instance);
        assert!(
            self.leader
                .as_ref()
                .is_none_or(|leader| self.by_id.contains_key(leader))
        );
        assert_eq!(self.leader.is_none(), self.is_empty(), "members have a leader");
        assert!(self.unsynced.iter().all(|id| self.by_id.contains_key(id)));
        assert!(self.pending.iter().all(|id| !self.by_id.contains_key(id)));
        assert!(
            self.is_empty() || self.elect_protocol().is_some(),
            "there is a protocol that all know"
        );
    }
}
