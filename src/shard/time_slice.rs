//! A task's turn on its core: who has much to do lets the others in between.

use std::time::Duration;

use crate::io;

/// How long a task may work before the others get their turn; one piece of work may take longer. Ordinary requests end within it, and
/// none of them waits.
const SLICE: Duration = Duration::from_micros(200);

/// So many small pieces of work, of a microsecond at most each, stay well within a slice.
const ITEMS_PER_PIECE: usize = 32;

/// What a task has used of its turn.
#[derive(Debug, Default)]
pub struct TimeSlice {
    used: Duration,
}

impl TimeSlice {
    /// Does one piece of work; the others go first if the turn is over.
    pub async fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if self.used >= SLICE {
            self.used = Duration::ZERO;
            io::yield_now().await;
        }
        let begun = io::now();
        let done = work();
        self.used += io::now().since(begun);
        done
    }

    /// Does a small piece of work with each of the items; the clock is looked at once for several.
    pub async fn each<I>(&mut self, items: impl IntoIterator<Item = I>, mut work: impl FnMut(I)) {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let piece = items.by_ref().take(ITEMS_PER_PIECE);
            self.spend(|| piece.for_each(&mut work)).await;
        }
    }
}
