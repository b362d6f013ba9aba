//! The instant at which a copy takes the log's place, and what has to be on stable storage before and after; see `log::moved`.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use crate::base::TopicPartition;
use crate::io::{has_disk_failed, random_uuid, spawn, sync_dir};
use crate::log::{Removal, moved};
use crate::metadata::controller;
use crate::partition::Refusal;

use super::super::Shard;
use super::super::data_dirs::DirIndex;
use super::MoveError;

/// So much may be missing in the copy when it takes the log's place: it is copied in that same step, within a core's slice of time.
const REST_BYTES_MAX: usize = 64 << 10;

/// So often the rest is tried to be that little while the log's flushes wait for it.
const TRIES: u32 = 8;

impl Shard {
    /// Lets a copy that has nearly everything take the log's place.
    pub(super) async fn switch(
        self: &Rc<Self>,
        partition: TopicPartition,
        to: DirIndex,
        from: DirIndex,
    ) -> Result<(), MoveError> {
        loop {
            self.prepare_switch(partition, to, from).await?;
            self.moving.update(|of| of.is_switching = true);
            self.upkeep_ended(partition).await;
            let switched = self.try_to_switch(partition, to).await;
            self.moving.update(|of| of.is_switching = false);
            self.keep_up(partition);
            if let Some(removal) = switched? {
                return self.settle_switch(partition, to, from, removal).await;
            }
            self.copy_all(partition).await?;
        }
    }

    /// All that takes long and can be done before: the copy is flushed, says where it comes from, and the checkpoints of its directory know
    /// where it starts.
    async fn prepare_switch(
        self: &Rc<Self>,
        partition: TopicPartition,
        to: DirIndex,
        from: DirIndex,
    ) -> Result<(), MoveError> {
        self.flush_copy(partition).await?;
        self.keep_copy_up(partition).await?;
        let source = &self.node.dirs.get(from).found;
        let source = source.as_ref().ok_or(MoveError::Stopped)?.id;
        let dir = self.moving.update(|of| of.copy_dir.clone());
        let dir = dir.ok_or(MoveError::Stopped)?;
        moved::mark_copy(&dir, source).await.map_err(MoveError::Target)?;
        self.checkpoint_copy(to).await?;
        self.copy_all(partition).await
    }

    /// Only the checkpoints of the copy's directory count: a partition may have to leave one that is full.
    /// Whoever wants the move to end waits for no other core: that one may wait for him.
    async fn checkpoint_copy(self: &Rc<Self>, to: DirIndex) -> Result<(), MoveError> {
        let is_written = Rc::new(Cell::new(None));
        let (shard, outcome) = (self.clone(), is_written.clone());
        spawn(async move {
            let is_told = !shard.checkpoint().await.contains(&to);
            outcome.set(Some(is_told));
            shard.moving.changed.notify();
        });
        loop {
            self.moving.check_wanted()?;
            match is_written.get() {
                Some(true) => return Ok(()),
                Some(false) => {
                    let error = io::Error::other("the checkpoints can't be written");
                    return Err(MoveError::Target(error));
                }
                None => self.moving.changed.notified().await,
            }
        }
    }

    /// Flushes the copy, and lets it take the log's place if nothing was flushed behind it and little was appended meanwhile.
    async fn try_to_switch(
        self: &Rc<Self>,
        partition: TopicPartition,
        to: DirIndex,
    ) -> Result<Option<io::Result<Removal>>, MoveError> {
        for _ in 0..TRIES {
            self.copy_all(partition).await?;
            self.flush_copy(partition).await?;
            self.copy_all(partition).await?;
            if let Some(removal) = self.switch_now(partition, to)? {
                return Ok(Some(removal));
            }
        }
        Ok(None)
    }

    /// None where it isn't possible yet.
    fn switch_now(
        &self,
        partition: TopicPartition,
        to: DirIndex,
    ) -> Result<Option<io::Result<Removal>>, MoveError> {
        if let Some(rest) = self.next_piece(partition, REST_BYTES_MAX)? {
            let rest = rest.run_with_place_now().map_err(MoveError::Source)?;
            let mut at = 0;
            while at < rest.bytes.len() {
                at += self.append_to_copy(partition, &rest, at)?;
            }
        }
        let mut owned = self.owned.borrow_mut();
        let replica = owned.get_mut(partition).ok_or(MoveError::Stopped)?;
        let is_ready = self
            .moving
            .with_copy(partition, |_, copy| copy.has_all_of(replica.log()));
        if is_ready != Some(true) {
            return Ok(None);
        }
        let place = self.place_in(to, partition).ok_or(MoveError::Stopped)?;
        if !self.online_dirs.contains(to) {
            return Err(MoveError::Stopped);
        }
        let copy = self
            .moving
            .update(|of| of.copy.take())
            .ok_or(MoveError::Stopped)?;
        let removal = replica
            .go_on_with(copy, &place, random_uuid())
            .map_err(MoveError::Target)?;
        self.moving.update(|of| of.copy_dir = None);
        self.moving.moved.borrow_mut().insert(partition, to);
        Ok(Some(removal))
    }

    /// The partition is served from its new directory; when this returns no crash brings the old one back.
    async fn settle_switch(
        self: &Rc<Self>,
        partition: TopicPartition,
        to: DirIndex,
        from: DirIndex,
        removal: io::Result<Removal>,
    ) -> Result<(), MoveError> {
        let [old, new] = [from, to].map(|dir| &self.node.dirs.get(dir).path);
        let removal = match removal {
            Ok(removal) => removal,
            // The next start finds both, and which counts.
            Err(error) => return self.old_dir_failed(partition, from, &error),
        };
        if let Err(error) = sync_dir(old).await {
            return self.old_dir_failed(partition, from, &error);
        }
        spawn(removal.run());
        let settled = match sync_dir(new).await {
            Ok(()) => match self.place_in(to, partition) {
                Some(place) => moved::unmark_copy(&place).await,
                None => Ok(()),
            },
            failed => failed,
        };
        if let Err(error) = settled
            && has_disk_failed(&error)
        {
            self.fail_dir(to, format!("partition {partition}, which has moved: {error}"));
        }
        tracing::info!(
            "{partition} has moved from {} to {}",
            old.display(),
            new.display()
        );
        Ok(())
    }

    fn old_dir_failed(
        self: &Rc<Self>,
        partition: TopicPartition,
        from: DirIndex,
        error: &io::Error,
    ) -> Result<(), MoveError> {
        tracing::error!("{partition} has moved, and its old directory stays: {error}");
        if has_disk_failed(error) {
            self.fail_dir(
                from,
                format!("partition {partition}, which has moved away: {error}"),
            );
        }
        Ok(())
    }

    /// Brings to the metadata log in which directory a replica of this node is now (on core 0).
    pub(in super::super) async fn assign_replica(self: &Rc<Self>, partition: TopicPartition, dir: DirIndex) {
        if let Err(refusal) = self.commit_directory(partition, dir).await {
            tracing::error!(
                "that {partition} has moved could not be brought to the metadata log: {:?}",
                refusal.message
            );
        }
    }

    async fn commit_directory(
        self: &Rc<Self>,
        partition: TopicPartition,
        dir: DirIndex,
    ) -> Result<(), Refusal> {
        let (Some(controller), Some(found)) = (self.controller(), &self.node.dirs.get(dir).found) else {
            return Ok(());
        };
        let turn = controller.turn().await;
        let records = controller::assign_replica(&self.image.borrow(), self.node.id(), partition, found.id);
        self.commit(turn, records).await?;
        match self.online_dirs.contains(dir) {
            true => Ok(()),
            // It has failed meanwhile.
            false => self.tell_offline_dirs().await,
        }
    }
}
