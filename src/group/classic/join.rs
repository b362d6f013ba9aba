//! JoinGroup.

use super::after_append::{AfterAppend, StaticReturn};
use super::answers::{Answer, JoinAnswer, JoinedMember, SyncAnswer};
use super::deadlines::Timer;
use super::events::JoinRequest;
use super::ids::{MemberId, Token};
use super::limits::{NEW_MEMBER_JOIN_TIMEOUT, millis};
use super::members::{Member, Members, Terms};
use super::{ClassicGroup, Phase, Step};
use crate::wire::ErrorCode;

impl Step<'_> {
    pub(super) fn join(&mut self, token: Token, request: JoinRequest) {
        if let Some(error) = request.refusal(self.limits) {
            return self.answer(token, JoinAnswer::refused(request.member_id, error));
        }
        match self.no_room(&request) {
            Some(error) => self.answer(token, JoinAnswer::refused(MemberId::unknown(), error)),
            None if request.member_id.is_unknown() => self.join_anew(token, request),
            None => self.join_again(token, request),
        }
        self.write_new_group();
    }

    /// Why the group can't take the member, if it can't. One that came too late into a group that has become too large is
    /// a member no more: so the last to join again give way.
    fn no_room(&mut self, request: &JoinRequest) -> Option<ErrorCode> {
        let members = &self.group.members;
        let known = members.get(&request.member_id);
        let is_full = match self.group.phase {
            Phase::Empty | Phase::Dead => false,
            Phase::Preparing(_) => {
                !known.is_some_and(Member::is_joining) && members.joining() >= self.limits.members_max
            }
            Phase::Completing | Phase::Stable => known.is_none() && members.len() >= self.limits.members_max,
        };
        // What a member brought before is counted twice here; that is what replacing it takes for a moment.
        let has_bytes = members.metadata_bytes() + request.metadata_bytes() <= self.limits.metadata_bytes_max;
        if is_full {
            self.drop_member(&request.member_id);
        }
        (is_full || !has_bytes).then_some(ErrorCode::GROUP_MAX_SIZE_REACHED)
    }

    /// A join without a member id: of a new member, or of a static one that was started again.
    fn join_anew(&mut self, token: Token, request: JoinRequest) {
        if let Some(error) = self.misfit(&request) {
            return self.answer(token, JoinAnswer::refused(MemberId::unknown(), error));
        }
        let whose = request
            .instance_id
            .as_ref()
            .map_or(&request.client_id, |id| &id.0);
        let new_id = MemberId::generated(whose, &request.fresh_uuid);
        let instance_id = request.instance_id.as_ref();
        let running = instance_id
            .and_then(|id| self.group.members.of_instance(id))
            .cloned();
        match running {
            Some(old_id) => self.return_static(token, request, &old_id, new_id),
            None if request.instance_id.is_some() || !request.must_know_its_id => {
                self.add_member(token, request, new_id);
            }
            None => self.ask_to_come_back(token, &request, new_id),
        }
    }

    /// Gives a new member the id that it must join with, so that one whose answers are lost doesn't become many (KIP-394).
    fn ask_to_come_back(&mut self, token: Token, request: &JoinRequest, new_id: MemberId) {
        if self.group.members.pending() >= self.limits.pending_members_max {
            let error = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
            return self.answer(token, JoinAnswer::refused(MemberId::unknown(), error));
        }
        self.group.members.expect(new_id.clone());
        self.set_deadline(Timer::Session(new_id.clone()), millis(request.session_timeout_ms));
        self.answer(token, JoinAnswer::refused(new_id, ErrorCode::MEMBER_ID_REQUIRED));
    }

    /// A join with a member id.
    fn join_again(&mut self, token: Token, request: JoinRequest) {
        match self.refusal_of_rejoin(&request) {
            Some(error) => self.answer(token, JoinAnswer::refused(request.member_id, error)),
            None if self.group.members.is_pending(&request.member_id) => {
                let id = request.member_id.clone();
                self.add_member(token, request, id);
            }
            None => self.rejoin(token, request),
        }
    }

    fn refusal_of_rejoin(&self, request: &JoinRequest) -> Option<ErrorCode> {
        if let Some(error) = self.misfit(request) {
            return Some(error);
        }
        let (id, instance_id) = (&request.member_id, request.instance_id.as_ref());
        if self.group.members.is_pending(id) {
            // No id is given out to a static member; Kafka's broker throws here.
            return instance_id.map(|_| ErrorCode::UNKNOWN_SERVER_ERROR);
        }
        self.group.members.known(id, instance_id).err()
    }

    /// A member joins again. If nothing changes by it, it gets the answer that it may have missed.
    fn rejoin(&mut self, token: Token, request: JoinRequest) {
        let id = request.member_id.clone();
        let leads = self.group.members.is_leader(&id);
        let terms = terms(&request);
        let known = self.group.members.get(&id);
        let is_same = known.is_some_and(|known| known.terms.protocols == terms.protocols);
        let is_repeated = match self.group.phase {
            Phase::Completing => is_same,
            // By joining, the leader says that the assignment is to be made anew, whatever it is that has changed.
            Phase::Stable => is_same && !leads,
            _ => false,
        };
        if is_repeated {
            let answer = self.group.joined(&id);
            return self.answer(token, answer);
        }
        self.update_member(&id, terms, token);
        self.rebalance(format_args!("member {id} joins again: {}", request.told_reason()));
    }

    /// Why the member can't be one of the group's, if it can't.
    fn misfit(&self, request: &JoinRequest) -> Option<ErrorCode> {
        match self.group.phase {
            Phase::Dead => Some(ErrorCode::COORDINATOR_NOT_AVAILABLE),
            _ if !self.group.can_take(request) => Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL),
            _ => None,
        }
    }

    fn add_member(&mut self, token: Token, request: JoinRequest, id: MemberId) {
        let why = request.told_reason().to_owned();
        let terms = terms(&request);
        let client = (request.client_id, request.client_host);
        let mut member = Member::new(id.clone(), request.instance_id, client, terms);
        member.is_new = true;
        Members::let_join(&mut member, token);
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(request.protocol_type);
        }
        if let Phase::Preparing(Some(first)) = &mut self.group.phase {
            first.has_grown = true;
        }
        self.group.members.add(member);
        self.set_deadline(Timer::Session(id.clone()), NEW_MEMBER_JOIN_TIMEOUT);
        self.rebalance(format_args!("member {id} joins: {why}"));
    }

    /// A join that replaces the member's terms. A join that the member waits with already was given up by it.
    fn update_member(&mut self, id: &MemberId, terms: Terms, join: Token) -> Option<Terms> {
        let (terms_before, join_before) = self.group.members.update(id, terms, Some(join))?;
        if let Some(join) = join_before {
            let error = ErrorCode::REBALANCE_IN_PROGRESS;
            self.answer(join, JoinAnswer::refused(id.clone(), error));
        }
        Some(terms_before)
    }

    /// A static member was started again: it goes on as what its instance was, under a new id, and what still runs under
    /// the old one is fenced. Only if the group would choose another protocol with it, it rebalances.
    fn return_static(&mut self, token: Token, request: JoinRequest, old_id: &MemberId, new_id: MemberId) {
        let leader = self.group.members.leader().cloned();
        self.fence(old_id, &new_id);
        let why = request.told_reason().to_owned();
        let may_skip_assignment = request.may_skip_assignment;
        let Some(terms_before) = self.update_member(&new_id, terms(&request), token) else {
            return;
        };
        self.restart_session(&new_id);
        let keeps_protocol = self.group.members.elect_protocol() == self.group.protocol;
        if self.group.phase == Phase::Stable && keeps_protocol {
            let generation = self.group.generation;
            return self.append_group(AfterAppend::StaticReturn(Box::new(StaticReturn {
                old_id: old_id.clone(),
                new_id,
                terms_before,
                generation,
                leader_before: leader.unwrap_or_default(),
                may_skip_assignment,
            })));
        }
        // While the leader assigns, it may have been told the old id, for which there would be no member.
        self.rebalance(format_args!("static member {new_id} was started again: {why}"));
    }

    pub(super) fn fence(&mut self, old_id: &MemberId, new_id: &MemberId) {
        let (join, sync) = self.group.members.rename(old_id, new_id);
        self.group.deadlines.clear(&Timer::Session(old_id.clone()));
        let error = ErrorCode::FENCED_INSTANCE_ID;
        if let Some(join) = join {
            self.answer(join, JoinAnswer::refused(old_id.clone(), error));
        }
        if let Some(sync) = sync {
            self.answer(sync, SyncAnswer::refused(error));
        }
    }

    /// A group that was made for this join is written down, so that it is there for the others after a restart.
    fn write_new_group(&mut self) {
        let is_unwritten = std::mem::take(&mut self.group.is_unwritten);
        if is_unwritten && self.out.appends.is_empty() {
            let value = self.group.newborn_metadata();
            self.append(Some(value), AfterAppend::Birth);
        }
    }
}

impl ClassicGroup {
    /// Whether the member speaks of the group's protocol type, and knows a protocol that all the others do.
    fn can_take(&self, request: &JoinRequest) -> bool {
        match self.phase {
            Phase::Empty => !request.protocol_type.is_empty() && !request.protocols.is_empty(),
            _ => {
                self.protocol_type.as_ref() == Some(&request.protocol_type)
                    && self.members.support_any(&request.protocols)
            }
        }
    }

    /// The answer to the join of member `id`, who is in the present generation.
    pub(super) fn joined(&self, id: &MemberId) -> Answer {
        let leads = self.members.is_leader(id);
        Answer::Join(JoinAnswer {
            error: ErrorCode::NONE,
            member_id: id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.members.leader().cloned().unwrap_or_default(),
            skip_assignment: false,
            members: if leads { self.joined_members() } else { Vec::new() },
        })
    }

    /// All members, as the leader gets to see them.
    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref();
        let members = self.members.iter().map(|member| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        members.collect()
    }
}

fn terms(request: &JoinRequest) -> Terms {
    Terms::new(
        request.session_timeout_ms,
        request.rebalance_timeout_ms,
        request.protocols.clone(),
    )
}
