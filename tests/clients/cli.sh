#!/usr/bin/env bash
# Kafka's own command line tools against the broker at BOOTSTRAP.
# Arguments: BOOTSTRAP CLASSPATH [DATA-DIRECTORY CONTROLLER]; with the last two, Kafka's tools also read the broker's files, and ask its
# controller's listener.
set -uo pipefail

bootstrap=$1
classpath=$2
data=${3:-}
controller=${4:-}
passed=0
failed=0
run=$$-$(date +%s)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

tool() {
    timeout 120 java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$classpath" "$@" 2>"$scratch/stderr"
}

# check NAME COMMAND…: the command's exit status decides; its output is shown when it fails.
check() {
    local name=$1
    shift
    if "$@" >"$scratch/out" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name"
        sed 's/^/      /' "$scratch/out" | head -40
        sed 's/^/      /' "$scratch/stderr" | head -40
    fi
}

topics() { tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$bootstrap" "$@"; }
offsets() { tool org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$bootstrap" "$@"; }
consume() {
    tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$bootstrap" --timeout-ms 30000 "$@"
}

keyed_lines() { seq 500 | sed 's/.*/key&:value&/'; }

topic=cli-$run
keyed=cli-keyed-$run

create() { topics --create --topic "$topic" --partitions 3 --config max.message.bytes=2000000; }

create_keyed() { topics --create --topic "$keyed" --partitions 1; }

create_twice() { ! create && topics --create --if-not-exists --topic "$topic" --partitions 3; }

list() { topics --list | grep -qx "$topic"; }

describe() {
    topics --describe --topic "$topic" >"$scratch/described" || return 1
    cat "$scratch/described"
    grep -q "PartitionCount: 3" "$scratch/described" &&
        grep -q "max.message.bytes=2000000" "$scratch/described" &&
        [ "$(grep -c "Leader: [0-9]" "$scratch/described")" = 3 ]
}

describe_unknown() { ! topics --describe --topic "no-such-$run"; }

console_producer() {
    keyed_lines | tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$bootstrap" \
        --topic "$keyed" --reader-property parse.key=true --reader-property key.separator=: --compression-codec zstd
}

get_offsets() {
    [ "$(offsets --topic "$keyed")" = "$keyed:0:500" ] && [ "$(offsets --topic "$keyed" --time -2)" = "$keyed:0:0" ] &&
        [ "$(offsets --topic "$topic" | sort | tr '\n' ' ')" = "$topic:0:0 $topic:1:0 $topic:2:0 " ]
}

console_consumer() {
    consume --topic "$keyed" --partition 0 --offset earliest --max-messages 500 \
        --formatter-property print.key=true --formatter-property key.separator=: >"$scratch/consumed" || return 1
    diff "$scratch/consumed" <(keyed_lines)
}

console_consumer_from_offset() {
    [ "$(consume --topic "$keyed" --partition 0 --offset 250 --max-messages 2 | tr '\n' ' ')" = "value251 value252 " ]
}

producer_perf() {
    tool org.apache.kafka.tools.ProducerPerformance --topic "$topic" --num-records 50000 --record-size 128 \
        --throughput -1 --command-property bootstrap.servers="$bootstrap" linger.ms=5 || return 1
    [ "$(offsets --topic "$topic" | awk -F: '{ sum += $3 } END { print sum }')" = 50000 ]
}

describe_configs() {
    tool kafka.admin.ConfigCommand --bootstrap-server "$bootstrap" --describe --all --entity-type topics \
        --entity-name "$topic" >"$scratch/configs" || return 1
    grep -q "max.message.bytes=2000000.*DYNAMIC_TOPIC_CONFIG" "$scratch/configs" &&
        grep -q "retention.ms=604800000" "$scratch/configs"
}

more_partitions() {
    topics --alter --topic "$topic" --partitions 5 || return 1
    topics --describe --topic "$topic" >"$scratch/described" || return 1
    grep -q "PartitionCount: 5" "$scratch/described" && [ "$(grep -c "Leader: [0-9]" "$scratch/described")" = 5 ] &&
        ! topics --alter --topic "$topic" --partitions 2
}

configs() { tool kafka.admin.ConfigCommand --bootstrap-server "$bootstrap" "$@"; }

alter_topic_configs() {
    local entity=(--entity-type topics --entity-name "$topic")
    configs --alter "${entity[@]}" --add-config 'retention.ms=7200000,cleanup.policy=[delete,compact]' || return 1
    configs --describe "${entity[@]}" >"$scratch/configs" || return 1
    grep -q "retention.ms=7200000 .*DYNAMIC_TOPIC_CONFIG:retention.ms=7200000" "$scratch/configs" &&
        grep -q "cleanup.policy=delete,compact .*DEFAULT_CONFIG:log.cleanup.policy=delete" "$scratch/configs" || return 1
    configs --alter "${entity[@]}" --delete-config cleanup.policy || return 1
    ! configs --describe "${entity[@]}" | grep -q cleanup.policy || return 1
    ! configs --alter "${entity[@]}" --add-config no.such.config=1
}

alter_broker_configs() {
    local node=(--entity-type brokers --entity-name 1) all=(--entity-type brokers --entity-default)
    configs --alter "${all[@]}" --add-config message.max.bytes=3000000 || return 1
    configs --alter "${node[@]}" --add-config message.max.bytes=4000000 || return 1
    # The tool answers when the controller knows; the broker may follow a moment later.
    sleep 1
    configs --describe "${node[@]}" >"$scratch/configs" || return 1
    configs --describe "${all[@]}" >>"$scratch/configs" || return 1
    configs --alter "${node[@]}" --delete-config message.max.bytes || return 1
    configs --alter "${all[@]}" --delete-config message.max.bytes || return 1
    grep -q "message.max.bytes=4000000 .*{DYNAMIC_BROKER_CONFIG:message.max.bytes=4000000, \
DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=3000000, DEFAULT_CONFIG:message.max.bytes=1048588}" "$scratch/configs" &&
        grep -q "message.max.bytes=3000000 .*{DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=3000000}" "$scratch/configs" &&
        ! configs --alter "${node[@]}" --add-config num.partitions=3
}

special_times() {
    local time
    for time in -1 latest; do [ "$(offsets --topic "$keyed" --time "$time")" = "$keyed:0:500" ] || return 1; done
    for time in -2 earliest -4 earliest-local 0; do
        [ "$(offsets --topic "$keyed" --time "$time")" = "$keyed:0:0" ] || return 1
    done
    local newest
    newest=$(offsets --topic "$keyed" --time max-timestamp)
    [ "${newest##*:}" -ge 0 ] && [ "${newest##*:}" -lt 500 ] || return 1
    # Nothing is tiered, and no record comes from the future: no offset is told.
    [ -z "$(offsets --topic "$keyed" --time latest-tiered)" ] && [ -z "$(offsets --topic "$keyed" --time 9999999999999)" ]
}

cluster_id() { tool org.apache.kafka.tools.ClusterTool cluster-id --bootstrap-server "$bootstrap" | grep -q "Cluster ID: ."; }

api_versions() {
    tool org.apache.kafka.tools.BrokerApiVersionsCommand --bootstrap-server "$bootstrap" >"$scratch/versions" || return 1
    grep -q "Produce(0): 0 to 13 .usable: 13" "$scratch/versions" && grep -q "Fetch(1): 4 to 18" "$scratch/versions"
}

features() {
    tool org.apache.kafka.tools.FeatureCommand --bootstrap-server "$bootstrap" describe >"$scratch/features" || return 1
    grep -q "Feature: metadata.version" "$scratch/features"
}

# Acknowledged is written, so the files hold every record already.
dump_segments() {
    local files
    files=$(ls "$data/$keyed-0"/*.log) || return 1
    tool org.apache.kafka.tools.DumpLogSegments --deep-iteration --print-data-log --files "${files//$'\n'/,}" \
        >"$scratch/dump" || return 1
    ! grep -iE 'mismatch|corrupt|invalid|isvalid: false' "$scratch/dump" && grep -q "payload: value500" "$scratch/dump" &&
        [ "$(grep -c 'payload: value' "$scratch/dump")" = 500 ]
}

dump_metadata_log() {
    local files
    files=$(ls "$data"/__cluster_metadata-0/*.log) || return 1
    tool org.apache.kafka.tools.DumpLogSegments --cluster-metadata-decoder --files "${files//$'\n'/,}" \
        >"$scratch/dump" || return 1
    grep -q "\"name\":\"$keyed\"" "$scratch/dump"
}

# The topics of this run are in a snapshot: the broker writes one after every few changes.
newest_snapshot() {
    local file
    for file in "$data"/__cluster_metadata-0/*.checkpoint; do
        [[ $file = */00000000000000000000-* ]] || echo "$file"
    done | tail -1
}

dump_snapshot() {
    tool org.apache.kafka.tools.DumpLogSegments --cluster-metadata-decoder --files "$(newest_snapshot)" >"$scratch/dump" || return 1
    grep -q SnapshotHeader "$scratch/dump" && grep -q SnapshotFooter "$scratch/dump" &&
        grep -q "\"name\":\"$keyed\"" "$scratch/dump"
}

metadata_shell() {
    tool org.apache.kafka.shell.MetadataShell --snapshot "$(newest_snapshot)" ls /image/topics/byName >"$scratch/shell" || return 1
    grep -q "$keyed" "$scratch/shell"
}

# quorum ARGUMENTS…: who leads, and which voters there are, by --bootstrap-server or --bootstrap-controller.
quorum() {
    tool org.apache.kafka.tools.MetadataQuorumCommand "$@" describe --status >"$scratch/status" &&
        tool org.apache.kafka.tools.MetadataQuorumCommand "$@" describe --replication >"$scratch/replicas" || return 1
    cat "$scratch/status" "$scratch/replicas"
    grep -q "^LeaderId: *1$" "$scratch/status" && grep -q "^MaxFollowerLag: *0$" "$scratch/status" &&
        grep -q "Leader" "$scratch/replicas"
}

log_dirs() {
    tool org.apache.kafka.tools.LogDirsCommand --bootstrap-server "$bootstrap" --describe --topic-list "$keyed" >"$scratch/dirs" || return 1
    cat "$scratch/dirs"
    grep -q "\"partition\":\"$keyed-0\",\"size\":[1-9][0-9]*,\"offsetLag\":0,\"isFuture\":false" "$scratch/dirs" &&
        grep -q '"error":null' "$scratch/dirs"
}

controller_endpoints() {
    tool org.apache.kafka.tools.ClusterTool list-endpoints --bootstrap-controller "$controller" >"$scratch/endpoints" || return 1
    grep -q "${controller##*:} .*controller" "$scratch/endpoints"
}

controller_features() {
    tool org.apache.kafka.tools.FeatureCommand --bootstrap-controller "$controller" describe >"$scratch/features" || return 1
    grep -q "Feature: kraft.version.*FinalizedVersionLevel: 1" "$scratch/features"
}

delete() { topics --delete --topic "$topic" && ! topics --list | grep -qx "$topic"; }

check kafka_topics_creates create
check kafka_topics_creates_another create_keyed
check kafka_topics_refuses_to_create_twice create_twice
check kafka_topics_lists list
check kafka_topics_describes describe
check kafka_topics_fails_on_an_unknown_topic describe_unknown
check console_producer_sends_keyed_lines console_producer
check get_offsets_tells_ends_and_starts get_offsets
check console_consumer_reads_a_partition console_consumer
check console_consumer_reads_from_an_offset console_consumer_from_offset
check producer_perf_sends_50000_records producer_perf
check kafka_configs_describes_a_topic describe_configs
check kafka_configs_alters_a_topic alter_topic_configs
check kafka_configs_alters_brokers alter_broker_configs
check kafka_topics_adds_partitions more_partitions
check get_offsets_tells_every_special_time special_times
check kafka_cluster_tells_the_id cluster_id
check kafka_broker_api_versions_lists_the_apis api_versions
check kafka_features_describes_them features
check kafka_log_dirs_tells_sizes log_dirs
if [ -n "$data" ]; then
    check kafka_dump_log_reads_the_segments dump_segments
    check kafka_dump_log_reads_the_metadata_log dump_metadata_log
    check kafka_dump_log_reads_a_snapshot dump_snapshot
    check kafka_metadata_shell_reads_a_snapshot metadata_shell
fi
check kafka_metadata_quorum_describes_it quorum --bootstrap-server "$bootstrap"
if [ -n "$controller" ]; then
    check kafka_metadata_quorum_asks_the_controller quorum --bootstrap-controller "$controller"
    check kafka_cluster_lists_the_controllers controller_endpoints
    check kafka_features_asks_the_controller controller_features
fi
check kafka_topics_deletes delete

echo "cli: $passed passed, $failed failed"
[ "$failed" = 0 ]
