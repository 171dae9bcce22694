import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes transactions to partition 0 of a topic, as told line by line on standard input; answers each line when it is
 * done. `tests/kafka/kafka transactions` runs it.
 *
 *   producer NAME COMPRESSION [TIMEOUT]
 *                                 another producer, whose transactions the broker aborts after so many milliseconds
 *   begin | commit | abort NAME   of its transaction
 *   send NAME COUNT VALUE         within it; '#' stands for a number from 0 on; answers with the records' offsets
 */
class Transactions {
    public static void main(String[] arguments) throws Exception {
        String brokers = arguments[0];
        String topic = arguments[1];
        Map<String, KafkaProducer<String, String>> producers = new HashMap<>();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ", 4);
            String answer = "";
            KafkaProducer<String, String> producer = producers.get(words[1]);
            switch (words[0]) {
                case "producer" -> producers.put(words[1], open(brokers, topic + "." + words[1], words[2], words.length > 3 ? words[3] : "600000"));
                case "begin" -> producer.beginTransaction();
                case "commit" -> producer.commitTransaction();
                case "abort" -> producer.abortTransaction();
                case "send" -> answer = send(producer, topic, Integer.parseInt(words[2]), words[3]);
                default -> throw new IllegalArgumentException(line);
            }
            System.out.println("done" + answer);
        }
        // What is open stays open: no producer is closed, which would abort it.
        Runtime.getRuntime().halt(0);
    }

    static KafkaProducer<String, String> open(String brokers, String id, String compression, String timeout) {
        KafkaProducer<String, String> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", brokers, "transactional.id", id, "compression.type", compression,
                        "linger.ms", "20", "transaction.timeout.ms", timeout),
                new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    static String send(KafkaProducer<String, String> producer, String topic, int count, String value) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String numbered = value.replace("#", Integer.toString(i));
            sent.add(producer.send(new ProducerRecord<>(topic, 0, null, numbered)));
        }
        producer.flush();
        StringBuilder offsets = new StringBuilder();
        for (Future<RecordMetadata> one : sent) {
            offsets.append(' ').append(one.get().offset());
        }
        return offsets.toString();
    }
}
