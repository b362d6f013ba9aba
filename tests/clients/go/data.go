package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func dataChecks() []check {
	checks := []check{
		{"idempotent_producer_leaves_no_gap", idempotent},
		{"acks_0", func(k *kit) { acks(k, kgo.NoAck()) }},
		{"acks_1", func(k *kit) { acks(k, kgo.LeaderAck()) }},
		{"acks_all", func(k *kit) { acks(k, kgo.AllISRAcks()) }},
		{"codec_none", func(k *kit) { codec(k, kgo.NoCompression()) }},
		{"codec_gzip", func(k *kit) { codec(k, kgo.GzipCompression()) }},
		{"codec_snappy", func(k *kit) { codec(k, kgo.SnappyCompression()) }},
		{"codec_lz4", func(k *kit) { codec(k, kgo.Lz4Compression()) }},
		{"codec_zstd", func(k *kit) { codec(k, kgo.ZstdCompression()) }},
		{"a_record_of_900_KiB", large},
		{"max_message_bytes_is_honoured", tooLarge},
		{"headers_keep_order_duplicates_and_nulls", headers},
		{"null_and_empty_keys_and_values_stay_apart", nulls},
		{"create_time_is_kept_and_append_time_is_the_brokers", timestamps},
		{"offsets_are_listed_by_edge_and_by_time", listOffsets},
		{"reads_from_the_middle_of_a_batch", middle},
		{"an_offset_out_of_range_is_told", outOfRange},
		{"a_waiting_consumer_is_woken_by_a_record", wakes},
		{"small_fetch_limits_still_make_progress", smallFetches},
		{"one_consumer_reads_many_partitions", manyPartitions},
	}
	return checks
}

func idempotent(k *kit) {
	topic := k.topic("idempotent", 3)
	var records []*kgo.Record
	for n := 0; n < 2_000; n++ {
		for p := int32(0); p < 3; p++ {
			records = append(records, numbers(topic, p, n, n+1)...)
		}
	}
	k.send(records, kgo.ProducerLinger(time.Millisecond))
	for i, r := range records {
		equal(int64(i/3), r.Offset, "acknowledged offset")
	}
	for p := int32(0); p < 3; p++ {
		for n, r := range k.read(topic, p, 0, 2_000) {
			equal(int64(n), r.Offset, "offset")
			equal(number(n), r.Value, "value")
		}
	}
}

func acks(k *kit, acks kgo.Acks) {
	topic := k.topic("acks", 1)
	options := []kgo.Opt{kgo.RequiredAcks(acks)}
	if acks != kgo.AllISRAcks() {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	k.send(numbers(topic, 0, 0, 200), options...)
	for n, r := range k.read(topic, 0, 0, 200) {
		equal(number(n), r.Value, "value")
	}
}

func codec(k *kit, codec kgo.CompressionCodec) {
	topic := k.topic("codec", 1)
	value := func(n int) []byte { return append(noise(700, int64(n)), make([]byte, 700)...) }
	var records []*kgo.Record
	for n := 0; n < 500; n++ {
		records = append(records, &kgo.Record{Topic: topic, Value: value(n)})
	}
	k.send(records, kgo.ProducerBatchCompression(codec))
	for n, r := range k.read(topic, 0, 0, 500) {
		that(bytes.Equal(value(n), r.Value), "value")
	}
}

func large(k *kit) {
	topic := k.topic("large", 1)
	for n := int64(0); n < 4; n++ {
		k.send([]*kgo.Record{{Topic: topic, Value: noise(900*1024, n)}, {Topic: topic, Value: []byte("small")}})
	}
	got := k.read(topic, 0, 0, 8)
	for n := 0; n < 4; n++ {
		that(bytes.Equal(noise(900*1024, int64(n)), got[2*n].Value), "large value")
		equal("small", string(got[2*n+1].Value), "small value")
	}
}

func tooLarge(k *kit) {
	topic := k.topic("small", 1, "max.message.bytes", "1000")
	client := k.client()
	defer client.Close()
	err := client.ProduceSync(k.ctx, &kgo.Record{Topic: topic, Value: noise(2_000, 1)}).FirstErr()
	that(errors.Is(err, kerr.MessageTooLarge), "refused as too large")
	must(client.ProduceSync(k.ctx, &kgo.Record{Topic: topic, Value: noise(500, 1)}).FirstErr())
	equal(500, len(k.read(topic, 0, 0, 1)[0].Value), "length of the one that fits")
}

func headers(k *kit) {
	topic := k.topic("headers", 1)
	sent := []kgo.RecordHeader{
		{Key: "a", Value: []byte{1, 2}},
		{Key: "empty", Value: []byte{}},
		{Key: "null", Value: nil},
		{Key: "a", Value: []byte("second")},
		{Key: "ключ", Value: noise(1_000, 5)},
	}
	k.send([]*kgo.Record{{Topic: topic, Value: []byte("x"), Headers: sent}, {Topic: topic, Value: []byte("y")}})
	got := k.read(topic, 0, 0, 2)
	equal(len(sent), len(got[0].Headers), "headers")
	for i, header := range got[0].Headers {
		equal(sent[i].Key, header.Key, "header key")
		that(bytes.Equal(sent[i].Value, header.Value), "header value")
		equal(sent[i].Value == nil, header.Value == nil, "null header value")
	}
	equal(0, len(got[1].Headers), "headers of a record without")
}

func nulls(k *kit) {
	topic := k.topic("nulls", 1)
	pairs := [][2][]byte{{nil, nil}, {nil, {}}, {{}, nil}, {{}, {}}, {[]byte("k"), nil}, {nil, []byte("v")}}
	var records []*kgo.Record
	for _, pair := range pairs {
		records = append(records, &kgo.Record{Topic: topic, Key: pair[0], Value: pair[1]})
	}
	k.send(records)
	for i, r := range k.read(topic, 0, 0, len(pairs)) {
		equal(pairs[i][0], r.Key, "key")
		equal(pairs[i][1], r.Value, "value")
	}
}

func timestamps(k *kit) {
	created := k.topic("create-time", 1, "retention.ms", "-1")
	at := time.UnixMilli(1_703_462_400_123)
	k.send([]*kgo.Record{{Topic: created, Value: []byte("x"), Timestamp: at}})
	equal(at.UnixMilli(), k.read(created, 0, 0, 1)[0].Timestamp.UnixMilli(), "create time")

	appended := k.topic("append-time", 1, "message.timestamp.type", "LogAppendTime")
	before := time.Now().UnixMilli()
	k.send([]*kgo.Record{{Topic: appended, Value: []byte("x"), Timestamp: at}})
	after := time.Now().UnixMilli()
	got := k.read(appended, 0, 0, 1)[0]
	equal(int8(1), got.Attrs.TimestampType(), "timestamp type")
	that(before <= got.Timestamp.UnixMilli() && got.Timestamp.UnixMilli() <= after, "the append's time")
}

func listOffsets(k *kit) {
	topic := k.topic("list-offsets", 1, "retention.ms", "-1")
	base := int64(1_700_000_000_000)
	records := numbers(topic, 0, 0, 100)
	for n, r := range records {
		r.Timestamp = time.UnixMilli(base + int64(n)*10)
	}
	k.send(records)
	at := func(listed kadm.ListedOffsets, err error) int64 {
		offset, _ := get(listed, err).Lookup(topic, 0)
		must(offset.Err)
		return offset.Offset
	}
	equal(int64(0), at(k.admin.ListStartOffsets(k.ctx, topic)), "earliest")
	equal(int64(100), at(k.admin.ListEndOffsets(k.ctx, topic)), "latest")
	equal(int64(99), at(k.admin.ListMaxTimestampOffsets(k.ctx, topic)), "max timestamp")
	equal(int64(56), at(k.admin.ListOffsetsAfterMilli(k.ctx, base+555, topic)), "by time")
}

func middle(k *kit) {
	topic := k.topic("middle", 1)
	k.send(numbers(topic, 0, 0, 300), kgo.ProducerLinger(50*time.Millisecond))
	for _, at := range []int{150, 299, 1} {
		for i, r := range k.read(topic, 0, int64(at), 300-at) {
			equal(int64(at+i), r.Offset, "offset")
			equal(number(at+i), r.Value, "value")
		}
	}
}

func outOfRange(k *kit) {
	topic := k.topic("range", 1)
	k.send(numbers(topic, 0, 0, 1))
	client := k.client(k.from(topic, 0, 1_000), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer client.Close()
	that(errors.Is(client.PollFetches(k.ctx).Err(), kerr.OffsetOutOfRange), "out of range")
	equal(int64(0), k.read(topic, 0, 1_000, 1, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))[0].Offset, "after a reset")
}

func wakes(k *kit) {
	topic := k.topic("wakes", 1)
	// A fetch may wait five minutes: only the append itself can bring these records in time.
	client := k.client(k.from(topic, 0, 0), kgo.FetchMaxWait(5*time.Minute))
	defer client.Close()
	for n := 0; n < 20; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		equal(0, client.PollFetches(ctx).NumRecords(), "records before the append")
		cancel()
		k.send(numbers(topic, 0, n, n+1))
		equal(number(n), k.take(client, 1)[0].Value, "the record that woke it")
	}
}

func smallFetches(k *kit) {
	topic := k.topic("small-fetches", 1)
	for n := int64(0); n < 20; n++ {
		k.send([]*kgo.Record{{Topic: topic, Value: noise(100_000, n)}})
	}
	for n, r := range k.read(topic, 0, 0, 20, kgo.FetchMaxBytes(1_000), kgo.FetchMaxPartitionBytes(1_000)) {
		that(bytes.Equal(noise(100_000, int64(n)), r.Value), "value")
	}
}

func manyPartitions(k *kit) {
	topic := k.topic("many", 64)
	var records []*kgo.Record
	from := map[int32]kgo.Offset{}
	for p := int32(0); p < 64; p++ {
		records = append(records, numbers(topic, p, 0, 50)...)
		from[p] = kgo.NewOffset().At(0)
	}
	k.send(records)
	client := k.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	defer client.Close()
	next := map[int32]int{}
	for _, r := range k.take(client, 64*50) {
		equal(number(next[r.Partition]), r.Value, "next of a partition")
		next[r.Partition]++
	}
}
