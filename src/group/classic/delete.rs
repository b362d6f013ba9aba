//! DeleteGroups.

use super::after_append::AfterAppend;
use super::answers::Answer;
use super::ids::Token;
use super::{ClassicGroup, Phase, Step};
use crate::wire::ErrorCode;

impl Step<'_> {
    /// From here on the group is dead; if its tombstone can't be written it is back. Whoever wants to join meanwhile is to
    /// ask again.
    pub(super) fn delete(&mut self, token: Option<Token>) {
        if let Err(error) = self.group.check_delete() {
            if let Some(token) = token {
                self.answer(token, Answer::Delete(error));
            }
            return;
        }
        self.group.members.forget_pending();
        self.group.deadlines.clear_all();
        self.enter(Phase::Dead);
        self.append(None, AfterAppend::Deleted(token));
    }
}

impl ClassicGroup {
    /// Whether it may be deleted now.
    pub fn check_delete(&self) -> Result<(), ErrorCode> {
        match self.phase {
            Phase::Empty => Ok(()),
            Phase::Dead => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            _ => Err(ErrorCode::NON_EMPTY_GROUP),
        }
    }
}
