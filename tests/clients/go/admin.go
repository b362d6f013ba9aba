package main

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func adminChecks() []check {
	return []check{
		{"metadata_names_cluster_controller_and_brokers", metadata},
		{"created_topic_is_listed_and_described", created},
		{"refused_creations_name_their_cause", refused},
		{"validate_only_creates_nothing", validateOnly},
		{"configs_tell_value_and_source", configs},
		{"api_versions_offer_the_newest", apiVersions},
	}
}

func metadata(k *kit) {
	m := get(k.admin.BrokerMetadata(k.ctx))
	that(m.Cluster != "", "a cluster id")
	that(len(m.Brokers) > 0, "brokers")
	that(m.Controller >= 0, "a controller")
}

func created(k *kit) {
	name := k.topic("described", 3)
	detail := get(k.admin.ListTopics(k.ctx, name))[name]
	must(detail.Err)
	that(detail.ID != kadm.TopicID{}, "a topic id")
	equal([]int32{0, 1, 2}, detail.Partitions.Numbers(), "partitions")
	for _, p := range detail.Partitions {
		that(p.Err == nil && p.Leader >= 0 && len(p.Replicas) == 1 && len(p.ISR) == 1, "a led partition")
	}
	that(get(k.admin.ListTopics(k.ctx)).Has(name), "listed among all")
}

func refused(k *kit) {
	exists := k.topic("exists", 1)
	that(errors.Is(k.create(exists, 1), kerr.TopicAlreadyExists), "exists already")
	that(errors.Is(k.create("no spaces", 1), kerr.InvalidTopicException), "an invalid name")
	that(errors.Is(k.create(k.name("none"), 0), kerr.InvalidPartitions), "no partitions")
	that(errors.Is(k.create(k.name("config"), 1, "no.such.config", "1"), kerr.InvalidConfig), "an unknown config")
	two := k.name("two")
	responses := get(k.admin.CreateTopics(k.ctx, 1, 2, nil, two))
	that(errors.Is(responses[two].Err, kerr.InvalidReplicationFactor), "too many replicas")
	gone := k.name("never-created")
	deleted := get(k.admin.DeleteTopics(k.ctx, gone))
	that(errors.Is(deleted[gone].Err, kerr.UnknownTopicOrPartition), "deleting what isn't there")
}

func validateOnly(k *kit) {
	name := k.name("validated")
	must(get(k.admin.ValidateCreateTopics(k.ctx, 1, 1, nil, name))[name].Err)
	that(!get(k.admin.ListTopics(k.ctx)).Has(name), "not created")
}

func configs(k *kit) {
	name := k.topic("configured", 1, "max.message.bytes", "4242")
	found := map[string]*kadm.Config{}
	for _, c := range get(get(k.admin.DescribeTopicConfigs(k.ctx, name)).On(name, nil)).Configs {
		found[c.Key] = &c
	}
	equal("4242", found["max.message.bytes"].MaybeValue(), "max.message.bytes")
	equal(kmsg.ConfigSourceDynamicTopicConfig, found["max.message.bytes"].Source, "its source")
	equal("604800000", found["retention.ms"].MaybeValue(), "retention.ms")
	equal(kmsg.ConfigSourceDefaultConfig, found["retention.ms"].Source, "its source")
}

func apiVersions(k *kit) {
	for _, broker := range get(k.admin.ApiVersions(k.ctx)) {
		must(broker.Err)
		for key, newest := range map[int16]int16{0: 13, 1: 18, 2: 11, 3: 13, 18: 4, 22: 5} {
			_, max, _ := broker.KeyVersions(key)
			equal(newest, max, "newest version of "+kmsg.NameForKey(key))
		}
	}
}
