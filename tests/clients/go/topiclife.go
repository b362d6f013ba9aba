package main

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const manyTopics = 1_000

func topicLifeChecks() []check {
	return []check{
		{"a_topic_is_created_by_its_first_record", autoCreate},
		{"old_clients_are_told_that_their_topic_was_created_again", createdAgain},
		{"a_thousand_topics", thousandTopics},
	}
}

func autoCreate(k *kit) {
	topic := k.name("auto")
	k.send(numbers(topic, 0, 0, 1), kgo.AllowAutoTopicCreation())
	equal(number(0), k.read(topic, 0, 0, 1)[0].Value, "its value")
}

// franz-go never moves to a topic's new id by itself: it reports UNKNOWN_TOPIC_ID until the topic is purged.
func createdAgain(k *kit) {
	topic := k.topic("again", 1)
	client := k.client(k.from(topic, 0, 0), kgo.MetadataMaxAge(500*time.Millisecond))
	defer client.Close()
	must(client.ProduceSync(k.ctx, numbers(topic, 0, 0, 10)...).FirstErr())
	equal(number(9), k.take(client, 10)[9].Value, "last record of the first life")
	k.again(topic)

	deadline := time.Now().Add(patience)
	for {
		err := client.ProduceSync(k.ctx, numbers(topic, 0, 100, 101)...).FirstErr()
		if errors.Is(err, kerr.UnknownTopicID) {
			break
		}
		that(err != nil && time.Now().Before(deadline), "the old id is refused")
	}
	client.PurgeTopicsFromClient(topic)
	must(client.ProduceSync(k.ctx, numbers(topic, 0, 100, 101)...).FirstErr())
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}})
	got := k.take(client, 1)[0]
	equal(int64(0), got.Offset, "first offset of the second life")
	equal(number(100), got.Value, "its value")
}

func thousandTopics(k *kit) {
	var names []string
	var records []*kgo.Record
	from := map[string]map[int32]kgo.Offset{}
	for n := 0; n < manyTopics; n++ {
		names = append(names, k.name("thousand"))
		records = append(records, numbers(names[n], 0, n, n+1)...)
		from[names[n]] = map[int32]kgo.Offset{0: kgo.NewOffset().At(0)}
	}
	ids := map[kadm.TopicID]bool{}
	for _, response := range get(k.admin.CreateTopics(k.ctx, 1, 1, nil, names...)) {
		must(response.Err)
		ids[response.ID] = true
	}
	equal(manyTopics, len(ids), "different ids")
	k.send(records)
	client := k.client(kgo.ConsumePartitions(from))
	defer client.Close()
	want := map[string]string{}
	for n, name := range names {
		want[name] = string(number(n))
	}
	got := map[string]string{}
	for _, r := range k.take(client, manyTopics) {
		got[r.Topic] = string(r.Value)
	}
	equal(want, got, "topics and their records")
	for _, response := range get(k.admin.DeleteTopics(k.ctx, names...)) {
		must(response.Err)
	}
	left := get(k.admin.ListTopics(k.ctx))
	for _, name := range names {
		that(!left.Has(name), "deleted")
	}
}
