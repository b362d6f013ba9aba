//! Which of the outcomes that a death allows has come about.

use ringlog::base::ProducerId;
use ringlog::log::Log;

use super::story::Story;

/// Takes over where a log that was opened begins and ends, if that may be.
pub fn settle(story: &mut Story, log: &Log, checkpointed_start: i64) {
    let (start, end) = (log.start_offset().0, log.end_offset().0);
    let mut keeps_all = std::mem::take(&mut story.keeps_all);
    // What a process alone has left may not be on the disk yet: a crash of the host may still undo it. The next life flushes it first.
    let is_still_open = keeps_all && (start, end) == (story.start, story.end);
    if !is_still_open
        && let Some(before) = story.before_truncation.take()
        && (start, end) != (story.start, story.end)
    {
        let was_full = story.batches.is_empty();
        undo_truncation(story, *before);
        keeps_all = false;
        if was_full && start == end && (end == checkpointed_start || end == 0) {
            // All was taken away, and where to begin was not told yet.
            return story.restart_at(end);
        }
    }
    if has_lost_everything(story, log, checkpointed_start) && !keeps_all {
        story.counts.lost_ends += 1;
        return story.restart_at(end);
    }
    let sure_end = if keeps_all { story.end } else { story.flushed };
    assert!(
        (sure_end..=story.end).contains(&end) && story.is_boundary(end),
        "the log ends at {end}, not within {sure_end}..={}",
        story.end
    );
    if end < story.end {
        story.counts.lost_ends += 1;
        story.rewind(end);
        if story.is_compacted {
            forget_what_compaction_took(story, log);
        }
    }
    let (sure, latest) = (story.start_sure, story.start);
    assert!(
        (sure..=latest).contains(&start),
        "the log starts at {start}, not within {sure}..={latest}"
    );
    story.start = start;
}

fn undo_truncation(story: &mut Story, before: Story) {
    let (counts, lives) = (story.counts, story.lives);
    *story = before;
    (story.counts, story.lives) = (counts, lives);
    story.counts.undone_truncations += 1;
}

/// Whether it begins at its start because it had lost its end up to before that.
fn has_lost_everything(story: &Story, log: &Log, checkpointed_start: i64) -> bool {
    let (start, end) = (log.start_offset().0, log.end_offset().0);
    start == end
        && end == checkpointed_start
        && story.flushed < end
        && (!story.is_boundary(end) || (log.producers().is_empty() && !story.producers.is_empty()))
}

/// A compaction keeps the last batch of each producer as it was then, in Kafka too. Was that among what the log has lost, an earlier one
/// may have gone with its records, and is known only as far as a snapshot tells.
fn forget_what_compaction_took(story: &mut Story, log: &Log) {
    story.producers.retain(|id, producer| {
        let known = log.producers().get(ProducerId(*id));
        let newest = known.and_then(|known| known.batches().last());
        producer
            .batches
            .retain(|batch| newest.is_some_and(|newest| batch.last_offset <= newest.last_offset));
        known.is_some()
    });
}
