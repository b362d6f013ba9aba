//! Who wants to hear of the next change of a partition: fetch sessions that read to its end and found nothing.
//!
//! Each is told once, from inside the step that changes something, and stands here again when it has read again. So a partition
//! that changes costs the sessions which were idle on it, and an idle partition costs nobody anything.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::base::FetchSessionId;

/// A place in a fetch session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interest {
    /// The session; its id names the core that keeps it.
    pub session: FetchSessionId,
    /// Where in the session the partition stands.
    pub place: u32,
}

/// The interests in one partition.
#[derive(Default)]
pub struct Interests {
    waiting: BTreeSet<Interest>,
    /// Carries the news; there from the first interest on.
    tell: Option<Rc<dyn Fn(Interest)>>,
}

impl Interests {
    /// Adds `interest`, which may be there already. The first one brings `tell`.
    pub fn add(&mut self, interest: Interest, tell: impl FnOnce() -> Rc<dyn Fn(Interest)>) {
        self.tell.get_or_insert_with(tell);
        self.waiting.insert(interest);
    }

    /// Gives up an interest, if it is still there.
    pub fn remove(&mut self, interest: Interest) {
        self.waiting.remove(&interest);
    }

    /// Tells all and forgets them.
    pub fn fire(&mut self) {
        if let Some(tell) = &self.tell {
            while let Some(interest) = self.waiting.pop_first() {
                tell(interest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const ONE: Interest = Interest {
        session: FetchSessionId(7),
        place: 3,
    };
    const OTHER: Interest = Interest {
        session: FetchSessionId(7),
        place: 4,
    };

    #[test]
    fn each_interest_is_told_once() {
        let told = Rc::new(RefCell::new(Vec::new()));
        let sink = told.clone();
        let tell: Rc<dyn Fn(Interest)> = Rc::new(move |interest| sink.borrow_mut().push(interest));
        let mut interests = Interests::default();
        for interest in [ONE, OTHER, ONE] {
            interests.add(interest, || tell.clone());
        }
        interests.remove(OTHER);
        interests.fire();
        interests.fire();
        assert_eq!(*told.borrow(), [ONE]);
    }
}
