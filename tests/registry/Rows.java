import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import io.apicurio.registry.utils.converter.AvroConverter;
import java.util.Date;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.StringJoiner;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;

/** Writes the rows of checks.py with Apicurio's serializers: a line of JSON for each, with its form, its bytes and its headers. */
class Rows {
    static final int COUNT = 300;
    static final String SCHEMA = """
            {"type":"record","name":"JavaReading","namespace":"rows","fields":[
             {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
             {"name":"site","type":{"type":"enum","name":"Site","symbols":["A","B","C"]}},
             {"name":"x","type":"double"},
             {"name":"n","type":["null","int"],"default":null},
             {"name":"place","type":{"type":"record","name":"Place","fields":[{"name":"lat","type":"double"},{"name":"lon","type":"double"}]}},
             {"name":"y","type":"double"}]}""";

    static long at(int k) {
        return 1774747800000L + 250 * k;
    }

    static double x(int k) {
        return k % 50 / 8.0;
    }

    static double lat(int k) {
        return k % 17 / 8.0;
    }

    static double lon(int k) {
        return -(k % 5) / 4.0;
    }

    static double y(int k) {
        return x(k) + k % 3 + lat(k);
    }

    static String site(int k) {
        return "ABC".substring(k % 3, k % 3 + 1);
    }

    static Map<String, Object> settings(String registry, Map<String, Object> more) {
        Map<String, Object> all = new HashMap<>(Map.of("apicurio.registry.url", registry, "apicurio.registry.auto-register", "true"));
        all.putAll(more);
        return all;
    }

    static void write(String form, byte[] value, RecordHeaders headers) {
        StringJoiner all = new StringJoiner(",", "{", "}");
        for (Header header : headers) {
            all.add("\"" + header.key() + "\":\"" + HexFormat.of().formatHex(header.value()) + "\"");
        }
        System.out.println("{\"form\":\"" + form + "\",\"value\":\"" + HexFormat.of().formatHex(value) + "\",\"headers\":" + all + "}");
    }

    static void serializer(String registry, String form, Map<String, Object> more) {
        org.apache.avro.Schema schema = new org.apache.avro.Schema.Parser().parse(SCHEMA);
        try (AvroKafkaSerializer<GenericRecord> serializer = new AvroKafkaSerializer<>()) {
            serializer.configure(settings(registry, more), false);
            for (int k = 0; k < COUNT; k++) {
                GenericRecord place = new GenericData.Record(schema.getField("place").schema());
                place.put("lat", lat(k));
                place.put("lon", lon(k));
                GenericRecord row = new GenericData.Record(schema);
                row.put("at", at(k));
                row.put("site", new GenericData.EnumSymbol(schema.getField("site").schema(), site(k)));
                row.put("x", x(k));
                row.put("n", k % 7);
                row.put("place", place);
                row.put("y", y(k));
                RecordHeaders headers = new RecordHeaders();
                write(form, serializer.serialize("java-" + form, headers, row), headers);
            }
        }
    }

    static void converter(String registry, Map<String, Object> more) throws Exception {
        Schema of = SchemaBuilder.struct().name("rows.Place").field("lat", Schema.FLOAT64_SCHEMA).field("lon", Schema.FLOAT64_SCHEMA).build();
        Schema schema = SchemaBuilder.struct().name("rows.ConnectReading").field("at", Timestamp.SCHEMA).field("site", Schema.STRING_SCHEMA)
            .field("x", Schema.FLOAT64_SCHEMA).field("n", Schema.OPTIONAL_INT32_SCHEMA).field("place", of).field("y", Schema.FLOAT64_SCHEMA).build();
        try (AvroConverter<Object> converter = new AvroConverter<>()) {
            converter.configure(settings(registry, more), false);
            for (int k = 0; k < COUNT; k++) {
                Struct row = new Struct(schema).put("at", new Date(at(k))).put("site", site(k)).put("x", x(k)).put("n", k % 7)
                    .put("place", new Struct(of).put("lat", lat(k)).put("lon", lon(k))).put("y", y(k));
                write("connect", converter.fromConnectData("java-connect", schema, row), new RecordHeaders());
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        String registry = arguments[0];
        Map<String, Object> framed = Map.of("apicurio.registry.headers.enabled", "false", "apicurio.registry.as-confluent", "true",
            "apicurio.registry.use-id", "contentId");
        serializer(registry, "default", Map.of());
        serializer(registry, "contentId", Map.of("apicurio.registry.use-id", "contentId"));
        serializer(registry, "eight", Map.of("apicurio.registry.headers.enabled", "false"));
        serializer(registry, "framed", framed);
        converter(registry, framed);
    }
}
