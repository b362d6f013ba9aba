//! Who is still there: Heartbeat, LeaveGroup, and timeouts.

use super::after_append::AfterAppend;
use super::answers::{Answer, JoinAnswer, LeaveAnswer, LeftMember, SyncAnswer};
use super::deadlines::Timer;
use super::events::{HeartbeatRequest, Leaver};
use super::ids::{MemberId, Token};
use super::members::Member;
use super::{ClassicGroup, Phase, Step};
use crate::wire::ErrorCode;

impl Step<'_> {
    pub(super) fn heartbeat(&mut self, token: Token, request: &HeartbeatRequest) {
        let error = match self.group.check_heartbeat(request) {
            Err(error) => error,
            Ok(()) => {
                self.restart_session(&request.member_id);
                match self.group.phase {
                    Phase::Preparing(_) => ErrorCode::REBALANCE_IN_PROGRESS,
                    _ => ErrorCode::NONE,
                }
            }
        };
        self.answer(token, Answer::Heartbeat(error));
    }

    /// A member that commits offsets lives, unless a generation is being assigned that it has yet to enter.
    pub(super) fn committed(&mut self, id: &MemberId) {
        if matches!(self.group.phase, Phase::Stable | Phase::Preparing(_)) {
            self.restart_session(id);
        }
    }

    /// The answer waits for the record, where the last member makes one.
    pub(super) fn leave(&mut self, token: Token, leavers: Vec<Leaver>) {
        if self.group.phase == Phase::Dead {
            let error = ErrorCode::COORDINATOR_NOT_AVAILABLE;
            return self.answer(token, LeaveAnswer::refused(error));
        }
        let members: Vec<_> = leavers.into_iter().map(|leaver| self.leave_one(leaver)).collect();
        let left = members.iter().filter(|member| member.error.is_none()).count();
        if left > 0 && self.group.phase != Phase::Empty {
            self.rebalance(format_args!("{left} members left"));
        }
        let answer = LeaveAnswer {
            error: ErrorCode::NONE,
            members,
        };
        match self.out.appends.last() {
            Some(append) => self
                .group
                .appends
                .replace(append.id, AfterAppend::Emptied(Some((token, answer)))),
            None => self.answer(token, Answer::Leave(answer)),
        }
    }

    fn leave_one(&mut self, leaver: Leaver) -> LeftMember {
        let found = self.group.leaving(&leaver);
        if let Ok(id) = &found {
            let (group, reason) = (&self.group.id, leaver.told_reason());
            tracing::debug!(%group, member = %id, reason, "a member leaves");
            self.drop_member(id);
        }
        LeftMember {
            member_id: leaver.member_id,
            instance_id: leaver.instance_id,
            error: found.err().unwrap_or(ErrorCode::NONE),
        }
    }

    /// Removes a member, or a pending one, and answers what it waits for: if it still lives, it is to begin anew.
    pub(super) fn drop_member(&mut self, id: &MemberId) {
        self.group.deadlines.clear(&Timer::Session(id.clone()));
        let Some((_, join, sync)) = self.group.members.remove(id) else {
            return;
        };
        let error = ErrorCode::UNKNOWN_MEMBER_ID;
        if let Some(join) = join {
            self.answer(join, JoinAnswer::refused(MemberId::unknown(), error));
        }
        if let Some(sync) = sync {
            self.answer(sync, SyncAnswer::refused(error));
        }
    }

    /// Each deadline that has come, once: one that is set again for now is for the next call.
    pub(super) fn timeout(&mut self) {
        for timer in self.group.deadlines.take_due(self.now.at) {
            match timer {
                Timer::Join => self.join_timeout(),
                Timer::Sync => self.sync_timeout(),
                Timer::Session(id) => self.session_timeout(&id),
            }
        }
    }

    /// Not heard of for too long. Who waits for an answer doesn't have to be: its session begins anew with the answer.
    fn session_timeout(&mut self, id: &MemberId) {
        let is_pending = self.group.members.is_pending(id);
        let is_excused = self.group.members.get(id).is_some_and(Member::is_excused);
        if is_excused {
            return;
        }
        self.drop_member(id);
        match self.group.phase {
            Phase::Completing | Phase::Stable if !is_pending => {
                self.rebalance(format_args!("member {id} was not heard of in time"));
            }
            Phase::Preparing(_) if self.group.members.have_all_joined() => self.complete_join(),
            _ => {}
        }
    }

    /// Everything of the group is read from the log. If it has more members than it may by now, the last to join again
    /// will be refused.
    pub(super) fn loaded(&mut self) {
        for id in self.group.members.ids() {
            self.restart_session(&id);
        }
        if self.group.phase == Phase::Stable && self.group.members.len() > self.limits.members_max {
            self.begin_rebalance(format_args!("loaded with more members than it may have"));
        }
    }

    /// Whoever waits asks the new coordinator.
    pub(super) fn unloaded(&mut self) {
        self.die(ErrorCode::NOT_COORDINATOR);
    }

    pub(super) fn die(&mut self, error: ErrorCode) {
        for after in self.group.appends.take_all() {
            self.refuse_after(after, error);
        }
        for id in self.group.members.ids() {
            if let Some(join) = self.group.members.take_join(&id) {
                self.answer(join, JoinAnswer::refused(id.clone(), error));
            }
            if let Some(sync) = self.group.members.take_sync(&id) {
                self.answer(sync, SyncAnswer::refused(error));
            }
        }
        self.group.deadlines.clear_all();
        self.enter(Phase::Dead);
    }
}

impl ClassicGroup {
    fn check_heartbeat(&self, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        if self.phase == Phase::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        self.members
            .known(&request.member_id, request.instance_id.as_ref())?;
        let is_current = request.generation == self.generation;
        is_current.then_some(()).ok_or(ErrorCode::ILLEGAL_GENERATION)
    }

    /// Whom `leaver` means.
    fn leaving(&self, leaver: &Leaver) -> Result<MemberId, ErrorCode> {
        let (id, instance_id) = (&leaver.member_id, leaver.instance_id.as_ref());
        if id.is_unknown() {
            let member = instance_id.and_then(|instance_id| self.members.of_instance(instance_id));
            return member.cloned().ok_or(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        if !self.members.is_pending(id) {
            self.members.known(id, instance_id)?;
        }
        Ok(id.clone())
    }
}
