//! The one table of the APIs that are served.

use std::ops::RangeInclusive;
use std::rc::Rc;

use crate::shard::Shard;
use crate::wire::ApiKey;

use super::{
    Pending, Request, Role, alter_configs, alter_replica_log_dirs, api_versions, create_partitions,
    create_topics, delete_records, delete_topics, describe_cluster, describe_configs, describe_log_dirs,
    describe_quorum, describe_topic_partitions, fetch, find_coordinator, incremental_alter_configs,
    init_producer_id, list_offsets, metadata, offset_for_leader_epoch, produce, sasl,
};

/// One API: what is advertised and what runs.
pub struct Api {
    /// Kafka's API key.
    pub key: i16,
    /// The versions that ApiVersions names and that are served.
    pub versions: RangeInclusive<i16>,
    /// Answers a request of one of these versions.
    pub serve: fn(Rc<Shard>, Request) -> Pending,
    /// Whether its large requests wait for each other before they are read: they take much memory and time, and there is
    /// no need for several at once. Not of one that waits for the others itself: it would wait for itself.
    pub takes_turns: bool,
}

impl Api {
    /// Whether a listener of `role` serves it: as Kafka's schemas say, but that a controller's Fetch is other controllers reading
    /// the metadata log, and there are none.
    pub fn is_served_by(&self, role: Role) -> bool {
        let key = ApiKey(self.key);
        key.schema().is_some_and(|schema| match role {
            Role::Broker => schema.on_broker,
            Role::Controller => schema.on_controller && key != ApiKey::FETCH,
        })
    }
}

const fn api(key: i16, first: i16, last: i16, serve: fn(Rc<Shard>, Request) -> Pending) -> Api {
    Api {
        key,
        versions: first..=last,
        serve,
        takes_turns: false,
    }
}

impl Api {
    const fn taking_turns(mut self) -> Api {
        self.takes_turns = true;
        self
    }
}

/// Every API that is served, by key.
pub static APIS: &[Api] = &[
    api(0, 0, 13, |shard, request| {
        Box::pin(produce::serve(shard, request))
    }),
    api(1, 4, 18, |shard, request| Box::pin(fetch::serve(shard, request))),
    api(2, 1, 11, |shard, request| {
        Box::pin(list_offsets::serve(shard, request))
    }),
    api(3, 0, 13, |shard, request| {
        Box::pin(metadata::serve(shard, request))
    }),
    api(10, 0, 6, |_, request| Box::pin(find_coordinator::serve(request))).taking_turns(),
    api(17, 0, 1, |_, request| Box::pin(sasl::handshake(request))),
    api(18, 0, 4, |shard, request| {
        Box::pin(api_versions::serve(shard, request))
    }),
    api(19, 2, 7, |shard, request| {
        Box::pin(create_topics::serve(shard, request))
    })
    .taking_turns(),
    api(20, 1, 6, |shard, request| {
        Box::pin(delete_topics::serve(shard, request))
    })
    .taking_turns(),
    api(21, 0, 2, |shard, request| {
        Box::pin(delete_records::serve(shard, request))
    })
    .taking_turns(),
    api(22, 0, 5, |shard, request| {
        Box::pin(init_producer_id::serve(shard, request))
    }),
    api(23, 2, 4, |shard, request| {
        Box::pin(offset_for_leader_epoch::serve(shard, request))
    })
    .taking_turns(),
    api(32, 1, 4, |shard, request| {
        Box::pin(describe_configs::serve(shard, request))
    }),
    api(33, 0, 2, |shard, request| {
        Box::pin(alter_configs::serve(shard, request))
    })
    .taking_turns(),
    api(34, 1, 2, |shard, request| {
        Box::pin(alter_replica_log_dirs::serve(shard, request))
    })
    .taking_turns(),
    api(35, 1, 5, |shard, request| {
        Box::pin(describe_log_dirs::serve(shard, request))
    }),
    api(36, 0, 2, |_, request| Box::pin(sasl::authenticate(request))),
    api(37, 0, 3, |shard, request| {
        Box::pin(create_partitions::serve(shard, request))
    })
    .taking_turns(),
    api(44, 0, 1, |shard, request| {
        Box::pin(incremental_alter_configs::serve(shard, request))
    })
    .taking_turns(),
    api(55, 0, 2, |shard, request| {
        Box::pin(describe_quorum::serve(shard, request))
    })
    .taking_turns(),
    api(60, 0, 2, |shard, request| {
        Box::pin(describe_cluster::serve(shard, request))
    }),
    api(75, 0, 0, |shard, request| {
        Box::pin(describe_topic_partitions::serve(shard, request))
    })
    .taking_turns(),
];

/// The API of `key`, if a listener of `role` serves it.
pub fn find(key: i16, role: Role) -> Option<&'static Api> {
    let at = APIS.binary_search_by_key(&key, |api| api.key).ok()?;
    Some(&APIS[at]).filter(|api| api.is_served_by(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_by_key() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
    }

    #[test]
    fn a_key_finds_its_api_and_an_unknown_one_none() {
        assert_eq!(find(18, Role::Broker).map(|api| api.key), Some(18));
        assert!(find(16, Role::Broker).is_none());
        assert!(find(-1, Role::Broker).is_none());
    }

    #[test]
    fn a_controller_serves_what_is_its_own_and_no_records() {
        for (key, on_controller) in [
            (0, false),
            (1, false),
            (3, false),
            (18, true),
            (19, true),
            (55, true),
            (60, true),
        ] {
            assert!(find(key, Role::Broker).is_some(), "{key}");
            assert_eq!(find(key, Role::Controller).is_some(), on_controller, "{key}");
        }
    }
}
