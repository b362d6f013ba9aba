//! Snapshots of the metadata, on core 0: by size after a change, and by time.
//!
//! The image is copied under the controller's turn, so that it is exactly what the log has; the writing takes its time beside
//! everything else.

use std::rc::Rc;

use crate::io::{sleep, spawn, wall_now};
use crate::log::Removal;

use super::Shard;
use super::controller::Controller;

impl Shard {
    /// Starts the snapshots by time; the task ends with the core.
    pub fn start_snapshots(self: &Rc<Self>) {
        if let Some(interval) = self.node.config.metadata_snapshot_interval() {
            let shard = self.clone();
            spawn(async move {
                loop {
                    sleep(interval).await;
                    shard.snapshot().await;
                }
            });
        }
    }

    /// Snapshots the metadata beside what goes on, if enough was committed since the last time.
    pub(super) fn snapshot_if_due(self: &Rc<Self>, controller: &Controller) {
        let due = controller.with_quorum(|quorum| quorum.snapshot_is_due());
        if due == Some(true) {
            let shard = self.clone();
            spawn(async move { shard.snapshot().await });
        }
    }

    async fn snapshot(&self) {
        let Some(controller) = self.controller() else {
            return;
        };
        let begun = {
            let _turn = controller.turn().await;
            controller.with_quorum(|quorum| quorum.begin_snapshot(&self.image.borrow(), wall_now()))
        };
        let Some(job) = begun.flatten() else {
            return;
        };
        let id = job.id();
        let written = job.run().await;
        let ended = {
            let _turn = controller.turn().await;
            controller.with_quorum(|quorum| quorum.end_snapshot(written, wall_now()))
        };
        match ended.unwrap_or_else(|| Ok(Removal::default())) {
            Ok(surplus) => {
                tracing::info!("the metadata is snapshotted up to {id}");
                surplus.run().await;
            }
            // This costs nothing yet: the log has everything, and the next one is tried when it is due.
            Err(error) => tracing::error!("the metadata snapshot {id} failed: {error}"),
        }
    }
}
