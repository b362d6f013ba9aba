//! The settings of topics on a core that looks at their batches, whoever owns their partitions.
//!
//! Put together when they are first asked for, and forgotten when any setting changes: all topics together are far fewer than the
//! batches between two changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::TopicId;
use crate::config::TopicConfig;

use super::Shard;

/// Those that were asked for since the last change. Bounded by the topics of the image.
#[derive(Default)]
pub(super) struct TopicConfigs(RefCell<BTreeMap<TopicId, Rc<TopicConfig>>>);

impl TopicConfigs {
    /// Something has changed of a topic, or of the broker's settings.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Shard {
    /// What counts for a topic now; none when it is gone.
    pub(super) fn topic_config(&self, topic: TopicId) -> Option<Rc<TopicConfig>> {
        if let Some(known) = self.topic_configs.0.borrow().get(&topic) {
            return Some(known.clone());
        }
        let image = self.image.borrow();
        let own = image.topic_configs(&image.topic(topic)?.name);
        let config = Rc::new(TopicConfig::new(&self.config.borrow(), own));
        self.topic_configs.0.borrow_mut().insert(topic, config.clone());
        Some(config)
    }
}
