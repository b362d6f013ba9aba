//! The command line as a user meets it: exit codes, messages, help.

use crate::harness::{Broker, Running, ringlog};

#[test]
fn a_bad_value_ends_with_2_and_names_key_value_and_what_was_expected() {
    let broker = Broker::not_started(&["num.partitions=many"]);
    let ended = Running::spawn(&mut broker.command()).wait();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    for part in ["num.partitions", "many"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
}

#[test]
fn an_unknown_key_is_a_warning_that_names_the_nearest() {
    let mut broker = Broker::start_with(&["num.partition=3"]);
    let ended = broker.stop_and_tell();
    assert!(ended.status.success());
    for part in ["num.partition", "num.partitions"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
}

#[test]
fn the_ready_configurations_start_without_a_word() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let mut broker = Broker::not_started(&[]);
        broker.take_config(&entry.unwrap().path());
        broker.start_again();
        let ended = broker.stop_and_tell();
        assert!(ended.status.success());
        assert_eq!(ended.stderr, "");
        tried += 1;
    }
    assert!(tried >= 2);
}

#[test]
fn every_level_of_help_shows_an_example() {
    for level in [
        &["--help"][..],
        &["serve", "--help"],
        &["topic", "--help"],
        &["topic", "create", "--help"],
        &["topic", "list", "--help"],
        &["topic", "describe", "--help"],
        &["topic", "delete", "--help"],
        &["produce", "--help"],
        &["consume", "--help"],
        &["replay", "--help"],
    ] {
        let ended = ringlog(level);
        assert!(ended.status.success(), "{level:?}: {}", ended.stderr);
        assert!(
            ended.stdout.contains("ringlog "),
            "{level:?} shows an example: {}",
            ended.stdout
        );
        assert!(
            ended.stdout.to_lowercase().contains("example"),
            "{level:?} shows an example: {}",
            ended.stdout
        );
    }
}
