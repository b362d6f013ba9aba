package ringlog;

import static ringlog.Checks.equal;
import static ringlog.Checks.fails;
import static ringlog.Checks.that;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What an administrator sees: the cluster, topics and their configs. */
final class AdminChecks {
    private final Kit kit;

    AdminChecks(Kit kit) {
        this.kit = kit;
    }

    void addTo(Checks checks) {
        checks.add("describe_cluster_names_id_controller_and_nodes", this::cluster);
        checks.add("created_topic_is_listed_and_described_by_name_and_id", this::create);
        checks.add("create_answers_what_it_created", this::createAnswers);
        checks.add("validate_only_creates_nothing", this::validateOnly);
        checks.add("refused_creations_name_their_cause", this::refusedCreations);
        checks.add("one_refused_topic_does_not_refuse_the_others", this::mixedCreation);
        checks.add("topic_configs_tell_value_source_and_synonyms", this::topicConfigs);
        checks.add("broker_configs_tell_static_and_default_values", this::brokerConfigs);
        checks.add("each_config_is_told_once_and_unknown_topics_have_none", this::configsOnce);
        checks.add("unknown_topics_are_unknown", this::unknown);
        checks.add("topics_are_deleted_by_name_and_by_id", this::delete);
        checks.add("topics_get_more_partitions", this::morePartitions);
        checks.add("topic_configs_are_set_appended_subtracted_and_deleted", this::alterTopic);
        checks.add("refused_alterations_name_their_cause", this::refusedAlterations);
    }

    private void cluster() throws Exception {
        DescribeClusterResult cluster = kit.admin.describeCluster();
        that(!cluster.clusterId().get().isBlank(), "a cluster id");
        that(!cluster.nodes().get().isEmpty(), "nodes");
        that(cluster.nodes().get().contains(cluster.controller().get()), "the controller is a node");
    }

    private void create() throws Exception {
        String name = kit.topic("described", 3);
        that(kit.admin.listTopics().names().get().contains(name), "listed");
        TopicDescription byName = kit.admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
        equal(3, byName.partitions().size(), "partitions");
        that(!byName.topicId().equals(Uuid.ZERO_UUID), "a topic id");
        that(!byName.isInternal(), "not internal");
        for (int p = 0; p < 3; p++) {
            equal(p, byName.partitions().get(p).partition(), "partition index");
            that(byName.partitions().get(p).leader() != null, "a leader");
            equal(1, byName.partitions().get(p).replicas().size(), "replicas");
            equal(1, byName.partitions().get(p).isr().size(), "in-sync replicas");
        }
        TopicDescription byId = kit.admin.describeTopics(TopicCollection.ofTopicIds(List.of(byName.topicId())))
                .allTopicIds().get().get(byName.topicId());
        equal(name, byId.name(), "the name behind the id");
    }

    private void createAnswers() throws Exception {
        String name = kit.name("answered");
        CreateTopicsResult result = kit.admin.createTopics(List.of(
                new NewTopic(name, Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "3600000"))));
        equal(2, result.numPartitions(name).get(), "partitions");
        equal(1, result.replicationFactor(name).get(), "replication factor");
        equal(kit.admin.describeTopics(List.of(name)).allTopicNames().get().get(name).topicId(),
                result.topicId(name).get(), "topic id");
        Config config = result.config(name).get();
        equal("3600000", config.get("retention.ms").value(), "retention.ms");
        that(config.get("cleanup.policy") != null, "defaults are told too");

        String byDefault = kit.name("defaulted");
        kit.admin.createTopics(List.of(new NewTopic(byDefault, Optional.empty(), Optional.empty()))).all().get();
        equal(1, kit.admin.describeTopics(List.of(byDefault)).allTopicNames().get().get(byDefault).partitions().size(),
                "num.partitions");
    }

    private void validateOnly() throws Exception {
        String name = kit.name("only-validated");
        kit.admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true))
                .all().get();
        that(!kit.admin.listTopics().names().get().contains(name), "not created");
        fails(InvalidReplicationFactorException.class, () -> kit.admin.createTopics(
                List.of(new NewTopic(name, 1, (short) 9)), new CreateTopicsOptions().validateOnly(true)).all().get());
    }

    private void refusedCreations() throws Exception {
        String exists = kit.topic("exists", 1);
        refused(TopicExistsException.class, new NewTopic(exists, 1, (short) 1));
        refused(InvalidTopicException.class, new NewTopic("no spaces", 1, (short) 1));
        refused(InvalidTopicException.class, new NewTopic("..", 1, (short) 1));
        refused(InvalidTopicException.class, new NewTopic("x".repeat(250), 1, (short) 1));
        String dotted = kit.name("with.dot");
        kit.admin.createTopics(List.of(new NewTopic(dotted, 1, (short) 1))).all().get();
        refused(InvalidTopicException.class, new NewTopic(dotted.replace('.', '_'), 1, (short) 1));
        refused(InvalidPartitionsException.class, new NewTopic(kit.name("none"), 0, (short) 1));
        refused(InvalidReplicationFactorException.class, new NewTopic(kit.name("two"), 1, (short) 2));
        refused(InvalidReplicationFactorException.class, new NewTopic(kit.name("zero"), 1, (short) 0));
        refused(InvalidConfigurationException.class,
                new NewTopic(kit.name("unknown-config"), 1, (short) 1).configs(Map.of("no.such.config", "1")));
        refused(InvalidConfigurationException.class,
                new NewTopic(kit.name("bad-config"), 1, (short) 1).configs(Map.of("retention.ms", "soon")));
        refused(InvalidConfigurationException.class,
                new NewTopic(kit.name("low-config"), 1, (short) 1).configs(Map.of("segment.bytes", "1")));
    }

    private void refused(Class<? extends Throwable> cause, NewTopic topic) throws Exception {
        fails(cause, () -> kit.admin.createTopics(List.of(topic)).all().get());
    }

    private void mixedCreation() throws Exception {
        String good = kit.name("good");
        CreateTopicsResult result = kit.admin.createTopics(List.of(
                new NewTopic("not/good", 1, (short) 1), new NewTopic(good, 1, (short) 1)));
        fails(InvalidTopicException.class, () -> result.values().get("not/good").get());
        result.values().get(good).get();
        that(kit.admin.listTopics().names().get().contains(good), "created");
    }

    private void topicConfigs() throws Exception {
        String name = kit.topic("configured", 1, Map.of("max.message.bytes", "4242", "cleanup.policy", "compact"));
        Config config = describe(ConfigResource.Type.TOPIC, name, new DescribeConfigsOptions().includeSynonyms(true)
                .includeDocumentation(true));
        ConfigEntry set = config.get("max.message.bytes");
        equal("4242", set.value(), "max.message.bytes");
        equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, set.source(), "source of a topic's own value");
        equal(ConfigEntry.ConfigType.INT, set.type(), "type");
        that(!set.isReadOnly() && !set.isSensitive() && !set.isDefault(), "flags");
        that(set.documentation() != null && !set.documentation().isBlank(), "documentation");
        equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, set.synonyms().get(0).source(), "first synonym");
        that(set.synonyms().stream().anyMatch(s -> s.name().equals("message.max.bytes")), "the broker's synonym");
        equal("compact", config.get("cleanup.policy").value(), "cleanup.policy");
        ConfigEntry untouched = config.get("retention.ms");
        equal("604800000", untouched.value(), "retention.ms");
        equal(ConfigEntry.ConfigSource.DEFAULT_CONFIG, untouched.source(), "source of a default");
        Set<String> names = new HashSet<>(config.entries().stream().map(ConfigEntry::name).toList());
        for (String wanted : List.of("segment.bytes", "retention.bytes", "compression.type", "min.insync.replicas",
                "message.timestamp.type", "delete.retention.ms", "flush.ms", "index.interval.bytes")) {
            that(names.contains(wanted), "lists " + wanted);
        }
    }

    private void brokerConfigs() throws Exception {
        String id = kit.admin.describeCluster().controller().get().idString();
        Config config = describe(ConfigResource.Type.BROKER, id, new DescribeConfigsOptions());
        ConfigEntry listeners = config.get("listeners");
        that(listeners != null && listeners.value().contains("PLAINTEXT://"), "listeners");
        equal(ConfigEntry.ConfigSource.STATIC_BROKER_CONFIG, listeners.source(), "source of a given setting");
        ConfigEntry maxBytes = config.get("message.max.bytes");
        equal("1048588", maxBytes.value(), "message.max.bytes");
        equal(ConfigEntry.ConfigSource.DEFAULT_CONFIG, maxBytes.source(), "source of a default");
        that(config.get("num.partitions") != null, "lists num.partitions");
    }

    private void configsOnce() throws Exception {
        String name = kit.topic("asked", 1);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
        Config config = kit.admin.describeConfigs(List.of(resource)).all().get().get(resource);
        equal(config.entries().size(), new HashSet<>(config.entries().stream().map(ConfigEntry::name).toList()).size(),
                "each name once");
        ConfigResource unknown = new ConfigResource(ConfigResource.Type.TOPIC, kit.name("never-created"));
        fails(UnknownTopicOrPartitionException.class, () -> kit.admin.describeConfigs(List.of(unknown)).all().get());
    }

    private Config describe(ConfigResource.Type type, String name, DescribeConfigsOptions options) throws Exception {
        ConfigResource resource = new ConfigResource(type, name);
        return kit.admin.describeConfigs(List.of(resource), options).all().get().get(resource);
    }

    private void unknown() throws Exception {
        String name = kit.name("never-created");
        fails(UnknownTopicOrPartitionException.class,
                () -> kit.admin.describeTopics(List.of(name)).allTopicNames().get());
        fails(UnknownTopicIdException.class, () -> kit.admin.describeTopics(
                TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get());
        fails(UnknownTopicOrPartitionException.class, () -> kit.admin.deleteTopics(List.of(name)).all().get());
        fails(UnknownTopicIdException.class, () -> kit.admin.deleteTopics(
                TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).all().get());
    }

    private void delete() throws Exception {
        String first = kit.topic("deleted-by-name", 2);
        String second = kit.topic("deleted-by-id", 2);
        Uuid id = kit.admin.describeTopics(List.of(second)).allTopicNames().get().get(second).topicId();
        kit.admin.deleteTopics(List.of(first)).all().get();
        kit.admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        Set<String> left = kit.admin.listTopics().names().get();
        that(!left.contains(first) && !left.contains(second), "gone");
    }

    private void morePartitions() throws Exception {
        String name = kit.topic("grows", 2);
        kit.admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all().get();
        fails(InvalidPartitionsException.class,
                () -> kit.admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get());
        fails(InvalidReplicaAssignmentException.class, () -> kit.admin.createPartitions(
                Map.of(name, NewPartitions.increaseTo(6, List.of(List.of(1))))).all().get());
        fails(UnknownTopicOrPartitionException.class,
                () -> kit.admin.createPartitions(Map.of(kit.name("absent"), NewPartitions.increaseTo(3))).all().get());
        int told = 0;
        for (int attempt = 0; attempt < 100 && told != 4; attempt++) {
            told = kit.admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size();
            Thread.sleep(told == 4 ? 0 : 50);
        }
        equal(4, told, "partitions");
    }

    private void alterTopic() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, kit.topic("altered", 1));
        alter(topic, AlterConfigOp.OpType.SET, "retention.ms", "7200000");
        alter(topic, AlterConfigOp.OpType.APPEND, "cleanup.policy", "compact");
        settles(topic, "cleanup.policy", "delete,compact");
        settles(topic, "retention.ms", "7200000");
        alter(topic, AlterConfigOp.OpType.SUBTRACT, "cleanup.policy", "delete");
        settles(topic, "cleanup.policy", "compact");
        alter(topic, AlterConfigOp.OpType.DELETE, "cleanup.policy", "");
        settles(topic, "cleanup.policy", "delete");
        kit.admin.incrementalAlterConfigs(Map.of(topic, List.of(op(AlterConfigOp.OpType.SET, "retention.ms", "1"))),
                new AlterConfigsOptions().validateOnly(true)).all().get();
        settles(topic, "retention.ms", "7200000");
    }

    private void refusedAlterations() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, kit.topic("unaltered", 1));
        ConfigResource absent = new ConfigResource(ConfigResource.Type.TOPIC, kit.name("absent"));
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        AlterConfigOp.OpType set = AlterConfigOp.OpType.SET;
        fails(InvalidConfigurationException.class, () -> alter(topic, set, "no.such.config", "1"));
        fails(InvalidConfigurationException.class, () -> alter(topic, set, "retention.ms", "soon"));
        fails(InvalidConfigurationException.class,
                () -> alter(topic, AlterConfigOp.OpType.APPEND, "retention.ms", "1"));
        fails(UnknownTopicOrPartitionException.class, () -> alter(absent, set, "retention.ms", "1"));
        fails(InvalidRequestException.class, () -> alter(broker, set, "num.partitions", "3"));
    }

    private void alter(ConfigResource resource, AlterConfigOp.OpType type, String name, String value) throws Exception {
        kit.admin.incrementalAlterConfigs(Map.of(resource, List.of(op(type, name, value)))).all().get();
    }

    private static AlterConfigOp op(AlterConfigOp.OpType type, String name, String value) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    /** Kafka answers a change when its controller knows it; a broker may follow a moment later. */
    private void settles(ConfigResource resource, String name, String value) throws Exception {
        String told = null;
        for (int attempt = 0; attempt < 100 && !value.equals(told); attempt++) {
            told = kit.admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name).value();
            Thread.sleep(value.equals(told) ? 0 : 50);
        }
        equal(value, told, name);
    }
}
