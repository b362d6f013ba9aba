//! What a group makes of the topics that its regular expressions match.

use super::TopicView;
use super::record::{GroupMetadata, Record};
use super::regexes::Resolved;
use super::state::State;
use super::topics::metadata_hash;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl State {
    /// The records of what the group's expressions match now, and whether there is a new group epoch among them: if that is something else
    /// than before, or the topics look otherwise. Expressions that nobody reads by any more are passed over.
    pub fn take_resolved(
        &self,
        resolved: BTreeMap<Arc<str>, Resolved>,
        topics: &dyn TopicView,
    ) -> (Vec<Record>, bool) {
        let used = |expression: &Arc<str>| self.readers_by(expression) > 0;
        let resolved: BTreeMap<Arc<str>, Resolved> =
            resolved.into_iter().filter(|(text, _)| used(text)).collect();
        let before = |text: &Arc<str>| self.resolved.get(text).map(|before| &before.topics);
        let none = BTreeSet::new();
        let matches_change = resolved
            .iter()
            .any(|(text, now)| *before(text).unwrap_or(&none) != now.topics);
        let old: BTreeSet<Arc<str>> = resolved.keys().cloned().collect();
        let mut read = self.topics_read(&[], None, &old);
        read.extend(
            resolved
                .values()
                .flat_map(|now| now.topics.iter().map(|name| &**name)),
        );
        let metadata_hash = metadata_hash(read, topics);
        let record = |(text, now): (&Arc<str>, &Resolved)| Record::RegularExpression {
            regular_expression: text.clone(),
            value: Some(now.into()),
        };
        let mut records: Vec<Record> = resolved.iter().map(record).collect();
        let epoch_changes = matches_change || metadata_hash != self.metadata_hash;
        if epoch_changes {
            let epoch = self.epoch.next();
            records.push(Record::GroupMetadata(Some(GroupMetadata {
                epoch,
                metadata_hash,
            })));
        }
        (records, epoch_changes)
    }
}
