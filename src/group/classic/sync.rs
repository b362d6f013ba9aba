//! SyncGroup.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::after_append::{AfterAppend, Assigned};
use super::answers::{Answer, SyncAnswer};
use super::deadlines::Timer;
use super::events::SyncRequest;
use super::ids::{MemberId, Token};
use super::{ClassicGroup, Phase, Step};
use crate::wire::ErrorCode;

impl Step<'_> {
    pub(super) fn sync(&mut self, token: Token, request: SyncRequest) {
        if let Err(error) = self.group.check_sync(&request) {
            return self.answer(token, SyncAnswer::refused(error));
        }
        let id = &request.member_id;
        match self.group.phase {
            Phase::Completing => {
                self.wait_for_assignment(token, id);
                if self.group.members.is_leader(id) {
                    self.append_assignment(request);
                }
            }
            Phase::Stable => {
                self.heard_sync(id);
                let answer = self.group.synced(id);
                self.answer(token, answer);
            }
            Phase::Preparing(_) => {
                self.answer(token, SyncAnswer::refused(ErrorCode::REBALANCE_IN_PROGRESS));
            }
            // Refused by the check above: it has no member.
            Phase::Empty | Phase::Dead => {
                self.answer(token, SyncAnswer::refused(ErrorCode::UNKNOWN_MEMBER_ID));
            }
        }
    }

    /// A sync that the member waits with already was given up by it.
    fn wait_for_assignment(&mut self, token: Token, id: &MemberId) {
        if let Some(before) = self.group.members.let_sync(id, token) {
            self.answer(before, SyncAnswer::refused(ErrorCode::REBALANCE_IN_PROGRESS));
        }
        self.heard_sync(id);
    }

    fn heard_sync(&mut self, id: &MemberId) {
        if self.group.members.synced(id) {
            self.group.deadlines.clear(&Timer::Sync);
        }
    }

    /// Appends what the leader brings. Of several such requests of one generation the first counts.
    fn append_assignment(&mut self, request: SyncRequest) {
        let generation = self.group.generation;
        if self.group.appends.is_assigning(generation) {
            return;
        }
        let mut shares: BTreeMap<MemberId, Bytes> = request.assignments.into_iter().collect();
        shares.retain(|id, _| self.group.members.get(id).is_some());
        let value = self
            .group
            .metadata_with(|member| shares.get(&member.id).cloned().unwrap_or_default());
        self.append(
            Some(value),
            AfterAppend::Assigned(Assigned { generation, shares }),
        );
    }

    /// The assignment is committed: everybody gets its share.
    pub(super) fn hand_out(&mut self, mut shares: BTreeMap<MemberId, Bytes>) {
        for id in self.group.members.ids() {
            let share = shares.remove(&id).unwrap_or_default();
            self.group.members.assign(&id, share);
            if let Some(sync) = self.group.members.take_sync(&id) {
                let answer = self.group.synced(&id);
                self.answer(sync, answer);
                self.restart_session(&id);
            }
        }
        self.enter(Phase::Stable);
    }

    /// Nobody gets anything, for `error`.
    pub(super) fn refuse_syncs(&mut self, error: ErrorCode) {
        for id in self.group.members.ids() {
            self.group.members.assign(&id, Bytes::new());
            if let Some(sync) = self.group.members.take_sync(&id) {
                self.answer(sync, SyncAnswer::refused(error));
                self.restart_session(&id);
            }
        }
    }
}

impl ClassicGroup {
    fn check_sync(&self, request: &SyncRequest) -> Result<(), ErrorCode> {
        if self.phase == Phase::Dead {
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
        self.members
            .known(&request.member_id, request.instance_id.as_ref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        let agrees = agree(request.protocol_type.as_ref(), self.protocol_type.as_ref())
            && agree(request.protocol.as_ref(), self.protocol.as_ref());
        agrees.then_some(()).ok_or(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
    }

    /// The answer to the sync of member `id`, who has its share.
    fn synced(&self, id: &MemberId) -> Answer {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        Answer::Sync(SyncAnswer {
            error: ErrorCode::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        })
    }
}

/// Whether the two are one, or one of them says nothing.
fn agree(asked: Option<&Arc<str>>, known: Option<&Arc<str>>) -> bool {
    asked.is_none() || known.is_none() || asked == known
}
