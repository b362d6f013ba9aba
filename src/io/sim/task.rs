//! Tasks of one core.

use std::future::Future;

use super::super::local;
use super::world;

/// Starts `future` as a task of this core; it is polled for the first time after the caller yields.
pub fn spawn_detached(future: impl Future<Output = ()> + 'static) {
    let (process, core) = world::place().core.expect("only code on a core starts tasks");
    process.spawn(core, future);
}

/// Lets other runnable tasks have a turn.
pub async fn yield_now() {
    local::stand_back().await;
}
