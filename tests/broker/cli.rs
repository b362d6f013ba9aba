//! The command line as a user meets it: exit codes, messages, help.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use ringlog::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ringlog::wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};

use crate::client::{create_topic, number, partition, read_all, send, values};
use crate::harness::{Broker, Running, binary, limit, ringlog};
use crate::raw::Connection;

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
fn a_dump_ends_with_0_with_1_when_something_is_wrong_and_with_2_when_it_is_misused() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-log");
    let log = format!("{fixtures}/kept-0/00000000000000000023.log");
    let well = ringlog(&["dump", "--json", &log]);
    assert_eq!((well.status.code(), well.stderr.as_str()), (Some(0), ""));
    assert!(
        well.stdout.contains(r#""what":"batch","baseOffset":23"#),
        "{}",
        well.stdout
    );
    let badly = ringlog(&["dump", "--as", "snapshot", &log]);
    assert_eq!(badly.status.code(), Some(1), "{}", badly.stderr);
    assert_eq!(badly.stderr, "ringlog: 1 problem in 1 file\n");
    assert!(badly.stdout.contains("problem position: 0"), "{}", badly.stdout);
    for misuse in [
        &["dump"][..],
        &["dump", "--as", "nothing", &log],
        &["dump", fixtures],
    ] {
        assert_eq!(ringlog(misuse).status.code(), Some(2), "{misuse:?}");
    }
}

#[test]
fn what_a_setting_promises_and_is_not_there_refuses_to_start() {
    for (setting, named) in [
        ("ringlog.routing=core", "ringlog.routing"),
        ("min.insync.replicas=2", "min.insync.replicas"),
        ("default.replication.factor=3", "default.replication.factor"),
        (
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            "advertised.listeners",
        ),
        ("log.dirs=", "log.dirs"),
        ("log.dirs=/tmp/one,", "log.dirs"),
        ("cordoned.log.dirs=/elsewhere", "cordoned.log.dirs"),
    ] {
        let broker = Broker::not_started(&[setting]);
        let ended = Running::spawn(&mut broker.command()).wait();
        assert_eq!(ended.status.code(), Some(2), "{setting}: {}", ended.stderr);
        assert!(ended.stderr.contains(named), "{setting}: {}", ended.stderr);
    }
}

#[test]
fn a_directory_of_another_node_is_refused() {
    let mut broker = Broker::start();
    assert!(broker.stop().success());
    let mut command = broker.command();
    command.args(["-o", "node.id=7"]);
    let ended = Running::spawn(&mut command).wait();
    assert!(!ended.status.success());
    for part in ["node.id", "1", "7", &broker.data().display().to_string()] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
}

#[test]
fn several_listeners_are_served_ipv6_among_them_and_each_advertises_itself() {
    let other = Broker::not_started(&[]).address.port();
    let mut broker = Broker::not_started(&[]);
    let own = broker.address.port();
    let listeners = format!("listeners=INSIDE://127.0.0.1:{own},OUTSIDE://[::1]:{other}");
    broker.set(&[
        &listeners,
        "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        "inter.broker.listener.name=INSIDE",
    ]);
    broker.start_again();
    let asked = |stream: TcpStream| {
        let answer = Connection::over(stream).call(12, &MetadataRequest::default());
        let broker = answer.brokers.iter().next().expect("a broker");
        (broker.host.to_string(), broker.port)
    };
    let inside = TcpStream::connect(("127.0.0.1", own)).unwrap();
    assert_eq!(asked(inside), ("127.0.0.1".to_string(), i32::from(own)));
    let outside = TcpStream::connect(("::1", other)).unwrap();
    assert_eq!(asked(outside), ("::1".to_string(), i32::from(other)));
}

#[test]
fn topics_are_neither_made_by_asking_nor_deleted_where_that_is_switched_off() {
    let broker = Broker::start_with(&["auto.create.topics.enable=false", "delete.topic.enable=false"]);
    let bootstrap = broker.bootstrap();
    let mut connection = Connection::open(&broker);
    let topic = MetadataRequestTopic {
        name: Some("absent".into()),
        ..Default::default()
    };
    let request = MetadataRequest {
        topics: Some([topic].into_iter().collect()),
        ..Default::default()
    };
    let answer = connection.call(12, &request);
    assert_eq!(answer.topics.iter().next().unwrap().error_code, 3);
    assert!(
        ringlog(&["topic", "create", "kept", "--bootstrap", &bootstrap])
            .status
            .success()
    );
    let ended = ringlog(&["topic", "delete", "kept", "--bootstrap", &bootstrap]);
    assert!(!ended.status.success());
    let listed = ringlog(&["topic", "list", "--bootstrap", &bootstrap]).stdout;
    assert!(listed.starts_with("kept\t"), "{listed}");
}

#[tokio::test]
async fn the_lines_before_a_bad_one_are_sent() {
    let broker = Broker::start();
    create_topic(&broker, "lines", 1).await;
    let ended = with_input(
        &[
            "produce",
            "--topic",
            "lines",
            "--key-separator",
            ":",
            "--bootstrap",
            &broker.bootstrap(),
        ],
        b"a:1\nb:2\nbad\nc:3\n",
    );
    assert!(!ended.0);
    assert!(ended.1.contains("line 3"), "{}", ended.1);
    assert_eq!(
        values(&read_all(&broker, "lines", 0).await),
        [b"1".to_vec(), b"2".to_vec()]
    );
}

#[tokio::test]
async fn consume_does_not_print_what_is_corrupt() {
    let mut broker = Broker::start();
    create_topic(&broker, "corrupt", 1).await;
    send(&partition(&broker, "corrupt", 0).await, (0..3).map(number)).await;
    assert!(broker.stop().success());
    let log = broker.data().join("corrupt-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    // The first batch: a clean start doesn't look at it.
    bytes[65] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    broker.start_again();
    let bootstrap = broker.bootstrap();
    let ended = ringlog(&[
        "consume",
        "--topic",
        "corrupt",
        "--offset",
        "earliest",
        "--bootstrap",
        &bootstrap,
    ]);
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("checksum"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn recorded_timestamps_are_kept_or_refused() {
    let broker = Broker::start_with(&["log.retention.check.interval.ms=100"]);
    let feed = crate::feed::Feed::load();
    let bootstrap = broker.bootstrap();
    let replay = |topic: &str, more: &[&str]| {
        let path = feed.path().display().to_string();
        let mut arguments = vec![
            "replay",
            &path,
            "--topic",
            topic,
            "--speed",
            "max",
            "--timestamps",
            "recorded",
        ];
        arguments.extend(["--bootstrap", &bootstrap]);
        arguments.extend(more);
        ringlog(&arguments)
    };
    let ended = replay("kept", &[]);
    assert!(ended.status.success(), "{}", ended.stderr);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let described = ringlog(&["topic", "describe", "kept", "--bootstrap", &bootstrap]).stdout;
    assert!(described.contains("offsets 0 to"), "{described}");
    // A topic that would drop them: made before, or asked for with the replay itself.
    let made = ringlog(&[
        "topic",
        "create",
        "short",
        "--config",
        "retention.ms=1000",
        "--bootstrap",
        &bootstrap,
    ]);
    assert!(made.status.success());
    for (topic, more) in [("short", &[][..]), ("new", &["--config", "retention.ms=1000"])] {
        let ended = replay(topic, more);
        assert!(!ended.status.success(), "{topic}");
        assert!(ended.stderr.contains("retention.ms"), "{topic}: {}", ended.stderr);
    }
    let listed = ringlog(&["topic", "list", "--bootstrap", &bootstrap]).stdout;
    assert!(!listed.contains("new"), "{listed}");
}

/// As in a container whose seccomp profile forbids io_uring.
#[test]
fn where_io_uring_is_forbidden_the_message_says_so() {
    let broker = Broker::not_started(&[]);
    let mut command = broker.command();
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(forbid_io_uring) };
    let ended = Running::spawn(&mut command).wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    for part in ["io_uring", "seccomp"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    assert_eq!(ended.stderr.lines().count(), 1, "one message: {}", ended.stderr);
}

/// A seccomp filter that answers `io_uring_setup` with EPERM.
fn forbid_io_uring() -> std::io::Result<()> {
    const LOAD_SYSCALL: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, of offset 0: the system call's number
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const ALLOW: u32 = 0x7fff_0000;
    const FAIL: u32 = 0x0005_0000;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        step(LOAD_SYSCALL, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, libc::SYS_io_uring_setup as u32),
        step(RETURN, 0, 0, FAIL | libc::EPERM as u32),
        step(RETURN, 0, 0, ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program points to the steps, which live until the call returns.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) != 0
        {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

#[test]
fn where_memory_may_not_be_locked_the_message_says_how_to_lift_it() {
    let broker = Broker::not_started(&[]);
    let mut command = broker.command();
    // SAFETY: between fork and exec only a system call is made.
    unsafe { command.pre_exec(|| limit(libc::RLIMIT_MEMLOCK, 64 << 10)) };
    let ended = Running::spawn(&mut command).wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    for part in ["RLIMIT_MEMLOCK", "64 KiB", "ulimit -l"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
}

/// Clients that take every descriptor keep others out while they last, and break nothing.
#[test]
fn a_broker_that_was_out_of_descriptors_goes_on_when_it_has_some_again() {
    let mut broker = Broker::not_started(&[]);
    broker.limit_descriptors(120);
    broker.start_again();
    let bootstrap = broker.bootstrap();
    let mut held = Vec::new();
    let crowd: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(broker.address).unwrap())
        .collect();
    // Those that were accepted ask for files that cannot be had.
    for (n, stream) in crowd.into_iter().enumerate().take(20) {
        let mut connection = Connection::over(stream);
        let topic = CreatableTopic {
            name: format!("early-{n}").into(),
            num_partitions: 4,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: [topic].into_iter().collect(),
            ..Default::default()
        };
        connection.send(7, &request);
        held.push(connection);
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(held);
    let create = || {
        ringlog(&[
            "topic",
            "create",
            "later",
            "--partitions",
            "4",
            "--bootstrap",
            &bootstrap,
        ])
    };
    let mut created = create();
    for _ in 0..20 {
        if created.status.success() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        created = create();
    }
    assert!(created.status.success(), "{}", created.stderr);
    assert!(broker.stop().success(), "a clean stop");
}

/// Runs `ringlog` with this standard input; whether it succeeded, and its standard error.
fn with_input(arguments: &[&str], input: &[u8]) -> (bool, String) {
    let mut child = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
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
