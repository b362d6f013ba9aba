package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is longer than any check takes on a working broker; it turns a hang into a failure.
const patience = 60 * time.Second

// kit is one broker under test: its clients, topics with names of this run, and reading a partition back.
type kit struct {
	bootstrap string
	admin     *kadm.Client
	run       string
	topics    int
	// ctx ends when the check that runs has taken too long.
	ctx context.Context
}

func newKit(bootstrap string) *kit {
	k := &kit{bootstrap: bootstrap, run: strconv.FormatInt(time.Now().UnixNano(), 36)}
	k.admin = kadm.NewClient(k.client())
	return k
}

func (k *kit) client(options ...kgo.Opt) *kgo.Client {
	all := []kgo.Opt{
		kgo.SeedBrokers(k.bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	return get(kgo.NewClient(append(all, options...)...))
}

func (k *kit) name(what string) string {
	k.topics++
	return fmt.Sprintf("go-%s-%s-%d", k.run, what, k.topics)
}

func (k *kit) create(name string, partitions int32, configs ...string) error {
	values := map[string]*string{}
	for i := 0; i < len(configs); i += 2 {
		values[configs[i]] = &configs[i+1]
	}
	return get(k.admin.CreateTopics(k.ctx, partitions, 1, values, name))[name].Err
}

func (k *kit) topic(what string, partitions int32, configs ...string) string {
	name := k.name(what)
	must(k.create(name, partitions, configs...))
	return name
}

// again deletes a topic and creates it again, as soon as the old one's name is free.
func (k *kit) again(name string) {
	must(get(k.admin.DeleteTopics(k.ctx, name))[name].Err)
	deadline := time.Now().Add(patience)
	for {
		err := k.create(name, 1)
		if err == nil {
			return
		}
		that(errors.Is(err, kerr.TopicAlreadyExists) && time.Now().Before(deadline), err.Error())
		time.Sleep(10 * time.Millisecond)
	}
}

// send produces the records with a client of its own and waits until each is acknowledged.
func (k *kit) send(records []*kgo.Record, options ...kgo.Opt) {
	client := k.client(options...)
	defer client.Close()
	must(client.ProduceSync(k.ctx, records...).FirstErr())
}

// read gives the first count records of a partition from an offset.
func (k *kit) read(topic string, partition int32, from int64, count int, options ...kgo.Opt) []*kgo.Record {
	client := k.client(append(options, k.from(topic, partition, from))...)
	defer client.Close()
	return k.take(client, count)
}

func (k *kit) from(topic string, partition int32, offset int64) kgo.Opt {
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(offset)}})
}

func (k *kit) take(client *kgo.Client, count int) []*kgo.Record {
	var got []*kgo.Record
	for len(got) < count {
		fetches := client.PollRecords(k.ctx, count-len(got))
		must(fetches.Err())
		got = append(got, fetches.Records()...)
	}
	return got
}

// noise is bytes that no codec shrinks to nothing, the same for the same seed.
func noise(length int, seed int64) []byte {
	bytes := make([]byte, length)
	rand.New(rand.NewSource(seed)).Read(bytes)
	return bytes
}

func number(n int) []byte {
	return []byte(strconv.Itoa(n))
}

func numbers(topic string, partition int32, from, to int) []*kgo.Record {
	var records []*kgo.Record
	for n := from; n < to; n++ {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Value: number(n)})
	}
	return records
}
