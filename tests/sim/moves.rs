//! Partitions move between two disks all the time, while many clients produce and fetch, through deaths of the process and of the host at any
//! instant: what was acknowledged is there, once, in order, and in one place.

use std::sync::Mutex;
use std::time::Duration;

use ringlog::client::{ClientError, Cluster, HostPort};
use ringlog::io;
use ringlog::wire::ErrorCode;
use ringlog::wire::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use ringlog::wire::messages::alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
use ringlog::wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use ringlog::wire::messages::describe_log_dirs_response::DescribeLogDirsResponse;

use crate::clients::{PARTITIONS, TOPIC};
use crate::kit::connect;
use crate::model::Model;
use crate::run::{Plan, Promise};
use crate::seeds;

const RECORDS: u32 = 600;
const DIRS: [&str; 2] = ["/data", "/second"];

#[test]
fn acknowledged_records_survive_kills_while_partitions_move() {
    prove(
        "acknowledged_records_survive_kills_while_partitions_move",
        Promise::Written,
    );
}

#[test]
fn durable_records_survive_crashes_of_the_host_while_partitions_move() {
    prove(
        "durable_records_survive_crashes_of_the_host_while_partitions_move",
        Promise::Durable,
    );
}

fn prove(name: &str, promise: Promise) {
    let moves = Mutex::new(0);
    let seeds = seeds::each(name, |seed| {
        let plan = Plan {
            promise,
            records: RECORDS,
            planted: None,
            moves: true,
        };
        *moves.lock().unwrap() += plan.run(seed).moves;
    });
    let moves = moves.into_inner().unwrap();
    println!("{moves} moves");
    assert!(moves as u64 >= 2 * seeds, "{moves} moves");
}

/// Moves partitions to and fro as long as the run lasts.
pub async fn move_about(bootstrap: HostPort, model: Model) {
    loop {
        let cluster = connect(bootstrap.clone()).await;
        while let Ok(is_there) = move_any(&cluster).await {
            model.notes().moves += usize::from(is_there);
            io::sleep(Duration::from_micros(io::random_u64() % 20_000)).await;
        }
        io::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether one has moved; it is not waited for long.
async fn move_any(cluster: &Cluster) -> Result<bool, ClientError> {
    let partition = (io::random_u64() % PARTITIONS as u64) as i32;
    let is_in_first = where_is(cluster, partition).await?[0];
    let to = usize::from(is_in_first);
    if begin(cluster, partition, to).await? != ErrorCode::NONE {
        return Ok(false);
    }
    for _ in 0..100 {
        if where_is(cluster, partition).await?[to] {
            return Ok(true);
        }
        io::sleep(Duration::from_millis(io::random_u64() % 10)).await;
    }
    Ok(false)
}

/// Asks for the move of a partition to one of the directories.
pub async fn begin(cluster: &Cluster, partition: i32, to: usize) -> Result<ErrorCode, ClientError> {
    let topic = AlterReplicaLogDirTopic {
        name: TOPIC.into(),
        partitions: vec![partition].into(),
    };
    let request = AlterReplicaLogDirsRequest {
        dirs: vec![AlterReplicaLogDir {
            path: DIRS[to].into(),
            topics: vec![topic].into(),
        }]
        .into(),
    };
    let answer = cluster.any().await?.call(&request).await?;
    let response: AlterReplicaLogDirsResponse<'_> = answer.decode()?;
    let topic = response.results.iter().next().expect("the topic's answer");
    let outcome = topic.partitions.iter().next().expect("the partition's");
    Ok(ErrorCode(outcome.error_code))
}

/// In which of the directories a partition lies.
pub async fn where_is(cluster: &Cluster, partition: i32) -> Result<[bool; 2], ClientError> {
    let answer = cluster
        .any()
        .await?
        .call(&DescribeLogDirsRequest { topics: None })
        .await?;
    let response: DescribeLogDirsResponse<'_> = answer.decode()?;
    Ok(DIRS.map(|path| {
        let dirs = response.results.iter().filter(|dir| dir.log_dir.as_ref() == path);
        let topics = dirs.flat_map(|dir| dir.topics.iter().collect::<Vec<_>>());
        let mut partitions = topics.flat_map(|topic| topic.partitions.iter().collect::<Vec<_>>());
        partitions.any(|found| found.partition_index == partition && !found.is_future_key)
    }))
}
