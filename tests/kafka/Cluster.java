import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Makes, fills and reads topics of a cluster, tells who leads and moves partitions, as told line by line on standard
 * input; answers each line with one when it is done. `tests/kafka/kafka cluster` runs it.
 *
 *   create TOPIC PARTITIONS REPLICAS
 *   anew TOPIC                        deletes it and makes another one of that name, with one partition
 *   produce TOPIC CODEC COUNT VALUE   to partition 0; '#' stands for a number from 0 on
 *   values TOPIC FILE                 of partition 0, committed, to its end, into a file, one a line
 *   leader TOPIC PARTITION            answers with its broker
 *   synced BROKERS                    once so many brokers are there and every replica is in sync
 *   move TOPIC PARTITION BROKER…      to these replicas, of which the first leads
 */
class Cluster {
    static final Duration DEADLINE = Duration.ofSeconds(60);

    final String brokers;
    final Admin admin;

    Cluster(String brokers) {
        this.brokers = brokers;
        this.admin = Admin.create(Map.of("bootstrap.servers", brokers, "reconnect.backoff.max.ms", "200"));
    }

    public static void main(String[] arguments) throws Exception {
        Cluster cluster = new Cluster(arguments[0]);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            System.out.println("done" + cluster.answer(line.split(" ", 5)));
        }
        Runtime.getRuntime().halt(0);
    }

    String answer(String[] words) throws Exception {
        switch (words[0]) {
            case "create" -> create(words[1], Integer.parseInt(words[2]), Short.parseShort(words[3]));
            case "anew" -> {
                admin.deleteTopics(List.of(words[1])).all().get();
                // Until all brokers have let go of it there is no other.
                until("the new topic", () -> {
                    create(words[1], 1, (short) 1);
                    return true;
                });
            }
            case "produce" -> produce(words[1], words[2], Integer.parseInt(words[3]), words[4]);
            case "values" -> values(words[1], Path.of(words[2]));
            case "leader" -> {
                return " " + of(words[1], Integer.parseInt(words[2])).leader().id();
            }
            case "synced" -> until("all replicas to be in sync", () -> synced(Integer.parseInt(words[1])));
            case "move" -> {
                List<Integer> replicas = new ArrayList<>();
                for (String broker : (words[3] + (words.length > 4 ? " " + words[4] : "")).split(" ")) {
                    replicas.add(Integer.valueOf(broker));
                }
                move(new TopicPartition(words[1], Integer.parseInt(words[2])), replicas);
            }
            default -> throw new IllegalArgumentException(String.join(" ", words));
        }
        return "";
    }

    void create(String topic, int partitions, short replicas) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, partitions, replicas))).all().get();
    }

    void produce(String topic, String codec, int count, String value) throws Exception {
        Map<String, Object> settings =
                Map.of("bootstrap.servers", brokers, "compression.type", codec, "linger.ms", "20");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                String numbered = value.replace("#", Integer.toString(i));
                sent.add(producer.send(new ProducerRecord<>(topic, 0, null, numbered)));
            }
            producer.flush();
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    void values(String topic, Path file) throws IOException {
        Map<String, Object> settings = Map.of("bootstrap.servers", brokers, "isolation.level", "read_committed");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
                var values = Files.newBufferedWriter(file)) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    values.write(record.value() + "\n");
                }
            }
        }
    }

    TopicPartitionInfo of(String topic, int partition) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().get(partition);
    }

    boolean synced(int brokers) throws Exception {
        if (admin.describeCluster().nodes().get().size() != brokers) {
            return false;
        }
        Collection<String> all = admin.listTopics().names().get();
        return admin.describeTopics(all).allTopicNames().get().values().stream()
                .flatMap(topic -> topic.partitions().stream())
                .allMatch(one -> one.leader() != null && one.isr().size() == one.replicas().size());
    }

    void move(TopicPartition partition, List<Integer> replicas) throws Exception {
        admin.alterPartitionReassignments(Map.of(partition, Optional.of(new NewPartitionReassignment(replicas)))).all().get();
        until("a reassignment", () -> admin.listPartitionReassignments(Set.of(partition)).reassignments().get().isEmpty());
        try {
            admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).all().get();
        } catch (ExecutionException failure) {
            if (!(failure.getCause() instanceof ElectionNotNeededException)) {
                throw failure;
            }
        }
        until("the leader", () -> of(partition.topic(), partition.partition()).leader().id() == replicas.get(0));
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void until(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + DEADLINE.toNanos();
        while (!holds(condition)) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("waited " + DEADLINE.toSeconds() + " s for " + what);
            }
            Thread.sleep(50);
        }
    }

    /** A cluster that is changing may not answer this once. */
    static boolean holds(Condition condition) throws Exception {
        try {
            return condition.holds();
        } catch (ExecutionException failure) {
            return false;
        }
    }
}
