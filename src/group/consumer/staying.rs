//! A heartbeat of a member that is or comes to be in the group.

use super::leaving::{expression_tombstone, tombstones};
use super::reconcile::Way;
use super::record::{GroupMetadata, MemberId, Record};
use super::regexes::{self, Resolution};
use super::state::State;
use super::target::target_record;
use super::topics::metadata_hash;
use super::{Answer, Around, Epoch, Heartbeat, Member, Now, Partitions, Refusal};
use crate::wire::ErrorCode;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The least time between two looks at which topics the regular expressions match.
const BETWEEN_RESOLUTIONS_MS: i64 = 10_000;

/// What comes of a heartbeat.
pub(super) struct Stayed {
    pub member: Member,
    /// The static member whose place it took.
    pub replaced: Option<MemberId>,
    pub records: Vec<Record>,
    pub answer: Answer,
    /// Whether what the member has, or has to give up, is another than before.
    pub reconciled: bool,
    /// Whether the group has looked at its topics.
    pub saw_topics: bool,
    pub resolution: Option<Resolution>,
}

/// What the group remembers and the log doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Whether the topics may have changed since the group looked at them.
    pub topics_may_have_changed: bool,
    /// Whether a [`Resolution`] is under way.
    pub resolving: bool,
}

/// A heartbeat with all that there is to decide it by.
pub(super) struct Staying<'a> {
    pub state: &'a State,
    pub remembered: Remembered,
    pub now: Now,
    pub around: Around<'a>,
    pub heartbeat: &'a Heartbeat,
}

/// How a member's regular expression changed.
#[derive(Default)]
struct ExpressionChange {
    changed: bool,
    /// What the member reads by it is known at once, so that the group can go by it.
    resolved: bool,
    needs_resolution: bool,
    /// The expression that nobody reads by any more.
    dropped: Option<Arc<str>>,
}

impl Staying<'_> {
    /// # Errors
    ///
    /// GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID,
    /// INVALID_REGULAR_EXPRESSION.
    pub fn decide(&self) -> Result<Stayed, Refusal> {
        self.check_room()?;
        let (before, replaced) = self.find()?;
        let mut records = replaced.map_or_else(Vec::new, |old| self.replacement(old, &before));
        let told = before.told(self.heartbeat);
        if told != before {
            records.push(told.metadata_record());
        }
        let expression = self.expression_change(&before, &told)?;
        records.extend(expression.dropped.iter().map(expression_tombstone));
        let names_changed = told.names != before.names;
        let must_bump = names_changed || expression.resolved;
        let saw_topics = must_bump || self.remembered.topics_may_have_changed;
        let mut epoch = self.state.epoch;
        if saw_topics {
            epoch = self.look_at_topics(&before, &told, &expression, must_bump, &mut records);
        }
        let replaced = replaced.map(|old| old.id.clone());
        let (target_epoch, target) = self.target(&told, replaced.as_ref(), epoch, &mut records);
        let member = self.reconcile(&told, target_epoch, &target, names_changed || expression.changed)?;
        if member != told {
            records.push(member.assignment_record());
        }
        Ok(Stayed {
            answer: self.answer(&before, &member),
            reconciled: member != told,
            resolution: self.resolution(&before, &told, expression.needs_resolution),
            member,
            replaced,
            records,
            saw_topics,
        })
    }

    fn check_room(&self) -> Result<(), Refusal> {
        let members_max = self.around.settings.members_max;
        if self.state.members.len() < members_max
            || self.state.members.contains_key(&*self.heartbeat.member_id)
        {
            return Ok(());
        }
        let message = format!("The group has its most, {members_max} members.");
        Err(Refusal::new(ErrorCode::GROUP_MAX_SIZE_REACHED, message))
    }

    /// The member as it is before this heartbeat, and the static member whose place it takes.
    fn find(&self) -> Result<(Member, Option<&Member>), Refusal> {
        let heartbeat = self.heartbeat;
        if heartbeat.member_epoch != Epoch::JOIN {
            let member = match &heartbeat.instance_id {
                None => self.state.known_member(&heartbeat.member_id)?,
                Some(instance_id) => self
                    .state
                    .known_static_member(instance_id, &heartbeat.member_id)?,
            };
            self.check_epoch(member)?;
            return Ok((member.clone(), None));
        }
        let id: MemberId = match heartbeat.member_id.as_str() {
            "" => heartbeat.new_member_id.as_str().into(),
            own => own.into(),
        };
        let holder = heartbeat
            .instance_id
            .as_ref()
            .and_then(|instance_id| self.state.static_member(instance_id));
        let Some(holder) = holder else {
            return Ok((
                self.state
                    .members
                    .get(&id)
                    .cloned()
                    .unwrap_or_else(|| Member::new(id)),
                None,
            ));
        };
        if !holder.uses_classic_protocol() && holder.epoch != Epoch::STATIC_LEAVE {
            let message = format!(
                "The instance id is in use by member {}, which has not left.",
                holder.id
            );
            return Err(Refusal::new(ErrorCode::UNRELEASED_INSTANCE_ID, message));
        }
        Ok((holder.back_as(id), Some(holder)))
    }

    /// A member says the epoch that it was told last, or, if that answer was lost, the one before with nothing that it shouldn't have.
    fn check_epoch(&self, member: &Member) -> Result<(), Refusal> {
        let said = self.heartbeat.member_epoch;
        let lost_an_answer = || {
            let says_it_has = self.heartbeat.topic_partitions.as_ref();
            said == member.previous_epoch
                && says_it_has
                    .is_some_and(|all| all.each().all(|(topic, p)| member.assigned.contains(topic, p)))
        };
        if said == member.epoch || (said < member.epoch && lost_an_answer()) {
            return Ok(());
        }
        let message = format!(
            "The member's epoch is {}, not {said}; it must abandon all its partitions and join again.",
            member.epoch
        );
        Err(Refusal::new(ErrorCode::FENCED_MEMBER_EPOCH, message))
    }

    /// The records by which `new` takes the place of `old`, its instance id, what it should have and what it has.
    fn replacement(&self, old: &Member, new: &Member) -> Vec<Record> {
        let target = self
            .state
            .targets
            .get(&old.id)
            .map_or(Partitions::EMPTY, |target| target);
        let mut records = tombstones(&old.id).to_vec();
        records.push(new.metadata_record());
        records.push(target_record(&new.id, target));
        records.push(new.assignment_record());
        records
    }

    fn expression_change(&self, before: &Member, told: &Member) -> Result<ExpressionChange, Refusal> {
        let mut change = ExpressionChange {
            changed: before.expression != told.expression,
            ..Default::default()
        };
        if !change.changed {
            return Ok(change);
        }
        change.dropped = before
            .expression()
            .filter(|old| self.state.readers_by(old) == 1)
            .cloned();
        match told.expression() {
            Some(new) if self.state.readers_by(new) == 0 => {
                regexes::check(new).map_err(|bad| bad_expression(new, &bad))?;
                change.needs_resolution = true;
            }
            Some(new) => change.resolved = self.state.resolved.contains_key(new),
            None => change.resolved = true,
        }
        Ok(change)
    }

    /// What the topics that the group reads look like now; a new group epoch if they look otherwise, or if there `must` be one.
    fn look_at_topics(
        &self,
        before: &Member,
        told: &Member,
        expression: &ExpressionChange,
        must: bool,
        records: &mut Vec<Record>,
    ) -> Epoch {
        let dropped: BTreeSet<Arc<str>> = expression.dropped.iter().cloned().collect();
        let read = self.state.topics_read(&[before], Some(told), &dropped);
        let metadata_hash = metadata_hash(read, self.around.topics);
        let mut epoch = self.state.epoch;
        if must || metadata_hash != self.state.metadata_hash {
            epoch = epoch.next();
            records.push(Record::GroupMetadata(Some(GroupMetadata {
                epoch,
                metadata_hash,
            })));
        }
        if self.state.has_partition_metadata {
            records.push(Record::PartitionMetadata { present: false });
        }
        epoch
    }

    /// What the member should have, and since which epoch: by a new assignment if one is needed and may be made.
    fn target(
        &self,
        told: &Member,
        replaced: Option<&MemberId>,
        epoch: Epoch,
        records: &mut Vec<Record>,
    ) -> (Epoch, Cow<'_, Partitions>) {
        let settings = self.around.settings;
        if self.state.assignment_epoch >= epoch || !self.state.may_assign(self.now.wall, settings) {
            return (
                self.state.assignment_epoch,
                Cow::Borrowed(self.state.target_of(told)),
            );
        }
        let new = self
            .state
            .new_target(told, replaced, epoch, self.now, settings, self.around.topics);
        records.extend(new.records);
        (epoch, Cow::Owned(new.of_updated))
    }

    fn reconcile(
        &self,
        told: &Member,
        epoch: Epoch,
        target: &Partitions,
        reads_others: bool,
    ) -> Result<Member, Refusal> {
        if !reads_others && told.is_reconciled_to(epoch) {
            return Ok(told.clone());
        }
        let topics = self.around.topics;
        let reads = self
            .state
            .topics_of(told)
            .filter_map(|name| topics.by_name(name))
            .map(|topic| topic.id)
            .collect();
        let way = Way {
            state: self.state,
            epoch,
            target,
            reads: &reads,
            reads_others,
            says_it_has: self.heartbeat.topic_partitions.as_ref(),
        };
        way.step(told)
    }

    fn answer(&self, before: &Member, member: &Member) -> Answer {
        let joins = self.heartbeat.member_epoch == Epoch::JOIN;
        let tell_all = joins || self.heartbeat.is_full() || before.assigned != member.assigned;
        Answer {
            member_id: member.id.clone(),
            member_epoch: member.epoch,
            heartbeat_interval_ms: self.around.settings.heartbeat_interval_ms,
            assignment: tell_all.then(|| member.assigned.partitions()),
        }
    }

    /// Looks anew at which topics the regular expressions match: when there is one of which that isn't known, when there are new topics,
    /// and when it has been long; but not all the time, since each look goes over all topics.
    fn resolution(&self, before: &Member, told: &Member, needed: bool) -> Option<Resolution> {
        if self.remembered.resolving || (!needed && self.state.expressions.is_empty()) {
            return None;
        }
        let last = self.state.resolved.values().next();
        let age_ms = last.map(|last| self.now.wall.0.saturating_sub(last.timestamp.0));
        if age_ms.is_some_and(|age_ms| (0..=BETWEEN_RESOLUTIONS_MS).contains(&age_ms)) {
            return None;
        }
        let expressions = self.expressions_with(before, told);
        let is_old =
            age_ms.is_none_or(|age_ms| age_ms < 0 || age_ms > self.around.settings.expression_refresh_ms);
        let has_new_topics = last.map_or(0, |last| last.version) < self.around.topics.newest_topic_version();
        let is_due = needed || expressions.len() != self.state.resolved.len() || has_new_topics || is_old;
        (is_due && !expressions.is_empty()).then(|| Resolution::of(expressions))
    }

    /// The regular expressions that members read by, once this one has changed.
    fn expressions_with(&self, before: &Member, told: &Member) -> BTreeSet<Arc<str>> {
        let mut expressions: BTreeSet<Arc<str>> = self.state.expressions.keys().cloned().collect();
        if let Some(old) = before.expression()
            && self.state.readers_by(old) <= 1
        {
            expressions.remove(old);
        }
        expressions.extend(told.expression().cloned());
        expressions
    }
}

fn bad_expression(expression: &str, bad: &regexes::BadExpression) -> Refusal {
    let message = format!(
        "SubscribedTopicRegex `{expression}` is not a valid regular expression: {}.",
        bad.0
    );
    Refusal::new(ErrorCode::INVALID_REGULAR_EXPRESSION, message)
}
