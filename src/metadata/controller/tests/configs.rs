//! AlterConfigs and IncrementalAlterConfigs.

use super::*;
use crate::metadata::image::Configs;

/// Set, delete, append, subtract.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Change = (&'static str, i8, Option<&'static str>);
/// Changes, and what the topic has then.
type Step = (&'static [Change], &'static [(&'static str, &'static str)]);

impl Cluster {
    fn alter(&mut self, changes: &[ResourceChange]) -> Vec<Result<(), (ErrorCode, String)>> {
        self.alter_as(changes, false)
    }

    fn alter_as(
        &mut self,
        changes: &[ResourceChange],
        validate_only: bool,
    ) -> Vec<Result<(), (ErrorCode, String)>> {
        let decision = alter_configs(&self.image, changes, validate_only, NodeId(1), &self.config);
        self.commit(&decision.records);
        let told = |error: ConfigChangeError| (error.code(), error.to_string());
        let answers = decision.answers.into_iter();
        answers.map(|answer| answer.map_err(told)).collect()
    }

    /// The one answer to one change.
    fn alter_one(&mut self, change: ResourceChange) -> Result<(), (ErrorCode, String)> {
        self.alter(&[change]).remove(0)
    }

    fn topic_has(&self, name: &str) -> Vec<(&str, &str)> {
        listed(self.image.topic_configs(name))
    }
}

fn listed(configs: &Configs) -> Vec<(&str, &str)> {
    configs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn each(kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]) -> ResourceChange {
    let owned = |&(name, operation, value): &(&str, i8, Option<&str>)| {
        (name.to_owned(), operation, value.map(str::to_owned))
    };
    ResourceChange {
        kind,
        name: name.to_owned(),
        change: ConfigChange::Each(changes.iter().map(owned).collect()),
    }
}

fn topic_each(name: &str, changes: &[(&str, i8, Option<&str>)]) -> ResourceChange {
    each(TOPIC_RESOURCE, name, changes)
}

fn set(kind: i8, name: &str, key: &str, value: &str) -> ResourceChange {
    each(kind, name, &[(key, SET, Some(value))])
}

fn replace(kind: i8, name: &str, all: &[(&str, Option<&str>)]) -> ResourceChange {
    let owned = |&(name, value): &(&str, Option<&str>)| (name.to_owned(), value.map(str::to_owned));
    ResourceChange {
        kind,
        name: name.to_owned(),
        change: ConfigChange::Replace(all.iter().map(owned).collect()),
    }
}

fn with_topic() -> Cluster {
    let mut cluster = Cluster::of_brokers(1);
    cluster.create(vec![topic("t", 1, 1)]);
    cluster
}

#[test]
fn single_settings_are_set_deleted_and_lists_grow_and_shrink() {
    let mut cluster = with_topic();
    let steps: &[Step] = &[
        (
            &[
                ("retention.ms", SET, Some(" 5 ")),
                ("preallocate", SET, Some("TRUE")),
            ],
            &[("preallocate", "true"), ("retention.ms", "5")],
        ),
        (
            &[
                ("preallocate", DELETE, None),
                ("unheard.of", DELETE, None),
                ("retention.ms", SET, Some("6")),
            ],
            &[("retention.ms", "6")],
        ),
        // What isn't set begins as the default.
        (
            &[
                ("cleanup.policy", APPEND, Some("compact")),
                ("retention.ms", DELETE, None),
            ],
            &[("cleanup.policy", "delete,compact")],
        ),
        (
            &[("cleanup.policy", APPEND, Some("compact"))],
            &[("cleanup.policy", "delete,compact")],
        ),
        (
            &[("cleanup.policy", SUBTRACT, Some("delete"))],
            &[("cleanup.policy", "compact")],
        ),
        (
            &[("cleanup.policy", SUBTRACT, Some("compact"))],
            &[("cleanup.policy", "")],
        ),
        (
            &[
                ("cleanup.policy", DELETE, Some("ignored")),
                (
                    "follower.replication.throttled.replicas",
                    APPEND,
                    Some("0:1, 1:1"),
                ),
            ],
            &[("follower.replication.throttled.replicas", "0:1,1:1")],
        ),
        (
            &[("follower.replication.throttled.replicas", APPEND, Some("0:1,2:1"))],
            &[("follower.replication.throttled.replicas", "0:1,1:1,2:1")],
        ),
    ];
    for (changes, expected) in steps {
        assert_eq!(cluster.alter_one(topic_each("t", changes)), Ok(()), "{changes:?}");
        assert_eq!(cluster.topic_has("t"), *expected, "{changes:?}");
    }
}

#[test]
fn a_replacement_leaves_nothing_else() {
    let mut cluster = with_topic();
    cluster.alter(&[topic_each(
        "t",
        &[("retention.ms", SET, Some("5")), ("segment.ms", SET, Some("6"))],
    )]);
    let kept = replace(
        TOPIC_RESOURCE,
        "t",
        &[("segment.ms", Some("6")), ("preallocate", Some("true"))],
    );
    assert_eq!(cluster.alter_one(kept), Ok(()));
    assert_eq!(
        cluster.topic_has("t"),
        [("preallocate", "true"), ("segment.ms", "6")]
    );
    assert_eq!(cluster.alter_one(replace(TOPIC_RESOURCE, "t", &[])), Ok(()));
    assert_eq!(cluster.topic_has("t"), []);
}

#[test]
fn only_what_changes_is_written() {
    let mut cluster = with_topic();
    let change = [set(TOPIC_RESOURCE, "t", "retention.ms", "5")];
    cluster.alter(&change);
    let again = alter_configs(&cluster.image, &change, false, NodeId(1), &cluster.config);
    assert!(again.records.is_empty());
}

#[test]
fn refusals_carry_kafkas_codes_and_words() {
    let mut cluster = with_topic();
    cluster.alter(&[set(TOPIC_RESOURCE, "t", "min.compaction.lag.ms", "100")]);
    let (config, request) = (ErrorCode::INVALID_CONFIG, ErrorCode::INVALID_REQUEST);
    let null_values = [
        ("retention.ms", SET, None),
        ("segment.ms", APPEND, None),
        ("segment.bytes", DELETE, None),
    ];
    let twice = [("retention.ms", SET, Some("5")), ("retention.ms", SET, Some("6"))];
    let table = [
        (
            topic_each("t", &[("retention.ms", SET, Some("5")), ("nope", SET, Some("1"))]),
            config,
            "Unknown topic config name: nope",
        ),
        (
            set(TOPIC_RESOURCE, "t", "retention.ms", "abc"),
            config,
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            topic_each("t", &twice),
            request,
            "Error due to duplicate config keys",
        ),
        (
            topic_each("t", &null_values),
            request,
            "Null value not supported for : retention.ms, segment.ms",
        ),
        (
            topic_each("t", &[("retention.ms", 7, Some("5"))]),
            request,
            "Unknown operations type 7",
        ),
        (
            topic_each("t", &[("retention.ms", APPEND, Some("5"))]),
            config,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            topic_each("t", &[("nope", SUBTRACT, Some("5"))]),
            config,
            "Can't SUBTRACT to key nope because its type is not LIST.",
        ),
        (
            topic_each("t", &[("cleanup.policy", APPEND, Some("foo"))]),
            config,
            "Invalid value delete,foo for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            set(TOPIC_RESOURCE, "t", "max.compaction.lag.ms", "50"),
            config,
            "conflict topic config setting min.compaction.lag.ms (100) > max.compaction.lag.ms (50)",
        ),
        (
            set(TOPIC_RESOURCE, "absent", "retention.ms", "5"),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            "The topic 'absent' does not exist.",
        ),
        (
            topic_each("", &[]),
            request,
            "Default topic resources are not allowed.",
        ),
        (
            topic_each("a/b", &[]),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'",
        ),
        (each(99, "x", &[]), request, "Unknown resource type 99"),
        (
            replace(
                TOPIC_RESOURCE,
                "t",
                &[("segment.ms", None), ("retention.ms", None)],
            ),
            request,
            "Null value not supported for : segment.ms, retention.ms",
        ),
        (
            replace(TOPIC_RESOURCE, "t", &[("nope", Some("5"))]),
            config,
            "Unknown topic config name: nope",
        ),
        (
            set(BROKER_RESOURCE, "1", "num.partitions", "3"),
            request,
            "Cannot update these configs dynamically: [num.partitions]",
        ),
        (
            set(BROKER_RESOURCE, "2", "message.max.bytes", "3"),
            request,
            "Unexpected broker id, expected 1, but received 2",
        ),
        (
            set(BROKER_RESOURCE, "x", "message.max.bytes", "3"),
            request,
            "Node id must be an integer, but it is: x",
        ),
        (
            each(BROKER_RESOURCE, "1", &[("message.max.bytes", APPEND, Some("5"))]),
            config,
            "Config value append is not allowed for config key: message.max.bytes",
        ),
        (
            each(
                BROKER_RESOURCE,
                "1",
                &[("message.max.bytes", SUBTRACT, Some("5"))],
            ),
            config,
            "Config value subtract is not allowed for config key: message.max.bytes",
        ),
    ];
    let before = cluster.image.clone();
    for (change, code, message) in table {
        let shown = format!("{change:?}");
        assert_eq!(
            cluster.alter_one(change),
            Err((code, message.to_owned())),
            "{shown}"
        );
    }
    assert_eq!(cluster.image, before);
}

#[test]
fn a_resource_named_twice_is_refused_and_the_others_change() {
    let mut cluster = with_topic();
    let answers = cluster.alter(&[
        set(TOPIC_RESOURCE, "t", "retention.ms", "5"),
        set(BROKER_RESOURCE, "", "message.max.bytes", "7"),
        set(TOPIC_RESOURCE, "t", "segment.ms", "5"),
    ]);
    let twice = (
        ErrorCode::INVALID_REQUEST,
        "Each resource must appear at most once.".to_owned(),
    );
    assert_eq!(answers, [Err(twice.clone()), Ok(()), Err(twice)]);
    assert_eq!(cluster.topic_has("t"), []);
    assert_eq!(
        listed(cluster.image.cluster_configs()),
        [("message.max.bytes", "7")]
    );
}

#[test]
fn very_many_settings_of_a_resource_are_refused_at_once() {
    let mut cluster = Cluster::of_brokers(1);
    let too_many = |answer: &Result<(), (ErrorCode, String)>| {
        answer
            .as_ref()
            .is_err_and(|(code, _)| *code == ErrorCode::POLICY_VIOLATION)
    };
    let deletions: Vec<_> = (0..2_001).map(|_| ("plug.in", DELETE, None)).collect();
    assert!(too_many(&cluster.alter_one(each(
        BROKER_RESOURCE,
        "1",
        &deletions
    ))));
}

#[test]
fn validate_only_answers_and_changes_nothing() {
    let mut cluster = with_topic();
    let changes = [
        set(TOPIC_RESOURCE, "t", "retention.ms", "5"),
        set(TOPIC_RESOURCE, "absent", "retention.ms", "5"),
    ];
    let answers = cluster.alter_as(&changes, true);
    assert!(answers[0].is_ok() && answers[1].is_err());
    assert_eq!(cluster.topic_has("t"), []);
}

#[test]
fn one_broker_and_all_brokers_are_set_apart() {
    let mut cluster = Cluster::of_brokers(1);
    cluster.alter(&[
        set(BROKER_RESOURCE, "", "log.retention.ms", "5"),
        each(
            BROKER_RESOURCE,
            "1",
            &[
                ("log.cleanup.policy", APPEND, Some("compact")),
                ("plug.in", SET, Some("x")),
            ],
        ),
    ]);
    assert_eq!(
        listed(cluster.image.cluster_configs()),
        [("log.retention.ms", "5")]
    );
    assert_eq!(
        listed(cluster.image.broker_configs(NodeId(1))),
        [("log.cleanup.policy", "delete,compact"), ("plug.in", "x")]
    );
    // What may not be set may be deleted.
    let deletion = [("num.partitions", DELETE, None), ("plug.in", DELETE, None)];
    assert_eq!(cluster.alter_one(each(BROKER_RESOURCE, "1", &deletion)), Ok(()));
    assert_eq!(
        listed(cluster.image.broker_configs(NodeId(1))),
        [("log.cleanup.policy", "delete,compact")]
    );
}

#[test]
fn a_resource_holds_a_limited_number_of_settings() {
    let mut cluster = Cluster::of_brokers(1);
    let names: Vec<String> = (0..1001).map(|n| format!("plug.in.{n}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), SET, Some("x"))).collect();
    let refused = cluster.alter_one(each(BROKER_RESOURCE, "1", &all));
    assert_eq!(refused.unwrap_err().0, ErrorCode::POLICY_VIOLATION);
    assert_eq!(
        cluster.alter_one(each(BROKER_RESOURCE, "1", &all[..1000])),
        Ok(())
    );
    assert!(
        cluster
            .alter_one(each(BROKER_RESOURCE, "1", &all[1000..]))
            .is_err()
    );
}
