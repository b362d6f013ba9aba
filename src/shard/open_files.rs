//! Closing the files of logs that nobody uses, beside everything else.

use std::rc::Rc;
use std::time::Duration;

use crate::io;

use super::{Shard, TimeSlice};

/// A file that was not used for so long, or for up to twice as long, is closed.
const IDLE: Duration = Duration::from_secs(15);

/// Files looked at in one piece: to close one takes about a microsecond.
const LOOKED_AT_ONCE: usize = 32;

impl Shard {
    /// Starts to look at them; the task ends with the core.
    pub fn start_closing_files(self: &Rc<Self>) {
        let shard = self.clone();
        io::spawn(async move {
            loop {
                io::sleep(IDLE).await;
                shard.close_idle_files().await;
            }
        });
    }

    async fn close_idle_files(&self) {
        let files = self.owned.borrow().open_files().clone();
        let mut slice = TimeSlice::default();
        for _ in 0..files.len().div_ceil(LOOKED_AT_ONCE) {
            slice.spend(|| files.close_idle(LOOKED_AT_ONCE)).await;
        }
    }
}
