//! What waits for the log: it counts, or is answered, once the record is committed.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::answers::{Answer, JoinAnswer, LeaveAnswer, told_of_append};
use super::ids::{AppendId, Generation, MemberId, Token};
use super::members::Terms;
use super::{Phase, Step};
use crate::wire::ErrorCode;

/// What an append is for.
#[derive(Debug)]
pub enum AfterAppend {
    /// The group was made for a member.
    Birth,
    /// The leader's assignment.
    Assigned(Assigned),
    /// A static member under its new id.
    StaticReturn(Box<StaticReturn>),
    /// Nobody is left; with the answer to who was the last.
    Emptied(Option<(Token, LeaveAnswer)>),
    /// The group is no more.
    Deleted(Option<Token>),
}

/// The shares of a generation's members.
#[derive(Debug)]
pub struct Assigned {
    /// Whose.
    pub generation: Generation,
    /// Each member's; who is not in it gets nothing.
    pub shares: BTreeMap<MemberId, Bytes>,
}

/// A static member that was started again while the group was stable, and what was before.
#[derive(Debug)]
pub struct StaticReturn {
    /// Its id until then.
    pub old_id: MemberId,
    /// Its id since.
    pub new_id: MemberId,
    /// Its terms until then.
    pub terms_before: Terms,
    /// In which it was.
    pub generation: Generation,
    /// Who led.
    pub leader_before: MemberId,
    /// It understands that it leads and is to assign nothing.
    pub may_skip_assignment: bool,
}

/// Appends under way: as many as requests and timeouts that asked for them since the oldest.
#[derive(Debug, Default)]
pub struct Appends {
    next: AppendId,
    under_way: BTreeMap<AppendId, AfterAppend>,
}

impl Appends {
    /// One more.
    pub fn begin(&mut self, after: AfterAppend) -> AppendId {
        let id = self.next;
        self.next = AppendId(id.0 + 1);
        self.under_way.insert(id, after);
        id
    }

    /// Says anew what comes after one that was just begun.
    pub fn replace(&mut self, id: AppendId, after: AfterAppend) {
        self.under_way.insert(id, after);
    }

    /// Whether the assignment of `generation` is under way.
    pub fn is_assigning(&self, generation: Generation) -> bool {
        let is_it =
            |after: &AfterAppend| matches!(after, AfterAppend::Assigned(it) if it.generation == generation);
        self.under_way.values().any(is_it)
    }

    /// Whether there is none.
    pub fn are_done(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Gives up all of them.
    pub fn take_all(&mut self) -> Vec<AfterAppend> {
        std::mem::take(&mut self.under_way).into_values().collect()
    }
}

impl Step<'_> {
    /// One that is not known was given up.
    pub(super) fn appended(&mut self, id: AppendId, result: Result<(), ErrorCode>) {
        let Some(after) = self.group.appends.under_way.remove(&id) else {
            return;
        };
        let result = result.map_err(told_of_append);
        match (after, result) {
            (AfterAppend::Assigned(assigned), result) => self.after_assignment(assigned, result),
            (AfterAppend::StaticReturn(back), Ok(())) => self.welcome_back(*back),
            (AfterAppend::Emptied(Some((token, answer))), Ok(())) => {
                self.answer(token, Answer::Leave(answer))
            }
            (AfterAppend::Deleted(Some(token)), Ok(())) => {
                self.answer(token, Answer::Delete(ErrorCode::NONE))
            }
            (AfterAppend::Birth | AfterAppend::Emptied(None) | AfterAppend::Deleted(None), Ok(())) => {}
            (after, Err(error)) => self.after_failure(after, error),
        }
    }

    /// Somebody may have come or gone meanwhile: then the assignment is void, and has been refused.
    fn after_assignment(&mut self, assigned: Assigned, result: Result<(), ErrorCode>) {
        if self.group.phase != Phase::Completing || self.group.generation != assigned.generation {
            return;
        }
        match result {
            Ok(()) => self.hand_out(assigned.shares),
            Err(error) => {
                self.refuse_syncs(error);
                self.begin_rebalance(format_args!("the assignment could not be written: {error}"));
            }
        }
    }

    /// Answers the join of a static member that goes on as what it was. If a rebalance has begun meanwhile, it has joined
    /// it, and is answered at its end.
    fn welcome_back(&mut self, back: StaticReturn) {
        if self.group.phase != Phase::Stable || self.group.generation != back.generation {
            return;
        }
        let Some(join) = self.group.members.take_join(&back.new_id) else {
            return;
        };
        let mut answer = self.group.joined(&back.new_id);
        if let Answer::Join(answer) = &mut answer {
            let leads = self.group.members.is_leader(&back.new_id);
            answer.skip_assignment = leads && back.may_skip_assignment;
            if leads && !back.may_skip_assignment {
                // It would assign if it knew, and the others would not hear of it.
                answer.leader = back.leader_before;
                answer.members = Vec::new();
            }
        }
        self.answer(join, answer);
        self.restart_session(&back.new_id);
    }

    fn after_failure(&mut self, after: AfterAppend, error: ErrorCode) {
        match after {
            // Nothing of the group is in the log: it is not.
            AfterAppend::Birth => self.die(error),
            AfterAppend::StaticReturn(back) => self.undo_return(*back, error),
            AfterAppend::Deleted(_) => {
                self.enter(Phase::Empty);
                self.refuse_after(after, error);
            }
            AfterAppend::Assigned(_) | AfterAppend::Emptied(_) => {
                // A log that doesn't know that the group is empty has members whose sessions will time out.
                self.refuse_after(after, error);
            }
        }
    }

    /// The log has the member under its old id.
    fn undo_return(&mut self, back: StaticReturn, error: ErrorCode) {
        let is_there = self.group.members.get(&back.new_id).is_some();
        if !is_there || self.group.generation != back.generation {
            return;
        }
        let undone = self.group.members.update(&back.new_id, back.terms_before, None);
        if let Some((_, Some(join))) = undone {
            self.answer(join, JoinAnswer::refused(MemberId::unknown(), error));
        }
        self.fence(&back.new_id, &back.old_id);
        self.restart_session(&back.old_id);
    }

    /// Answers who waits for what will not be.
    pub(super) fn refuse_after(&mut self, after: AfterAppend, error: ErrorCode) {
        match after {
            AfterAppend::Emptied(Some((token, _))) => self.answer(token, LeaveAnswer::refused(error)),
            AfterAppend::Deleted(Some(token)) => self.answer(token, Answer::Delete(error)),
            // Who waits with a join or a sync is a member, and answered as one.
            _ => {}
        }
    }
}
