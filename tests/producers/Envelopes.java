import io.debezium.data.Envelope;
import io.debezium.data.VariableScaleDecimal;
import io.debezium.data.SpecialValueDecimal;
import java.io.ByteArrayOutputStream;
import java.io.PrintWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;

/** Writes the rows as Kafka Connect, Debezium and Avro wrap them: one file each in the folder named by the argument. */
class Envelopes {
    static final int COUNT = 300;

    interface Writer {
        String write(int k) throws Exception;
    }

    static void lines(String folder, String name, Writer writer) throws Exception {
        try (PrintWriter out = new PrintWriter(Path.of(folder, name + ".jsonl").toFile())) {
            for (int k = 0; k < COUNT; k++) {
                out.print(writer.write(k) + "\n");
            }
        }
    }

    static double i(int k) {
        return k % 5 == 2 ? (k % 2 == 1 ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY) : k % 11;
    }

    static Double m(int k) {
        return k % 4 == 3 ? null : Double.valueOf(k % 13);
    }

    static double n(int k) {
        return k % 3 == 1 ? Double.NaN : k % 7;
    }

    /** k % 50 / 8, exactly. */
    static BigDecimal x(int k) {
        return BigDecimal.valueOf(k % 50 * 125L, 3);
    }

    static double y(int k) {
        return k % 5 + k % 50 / 8.0;
    }

    /** The schema of a row whose x has this type. */
    static SchemaBuilder row(Schema x) {
        return SchemaBuilder.struct().name("rows.Row").optional().field("i", Schema.FLOAT64_SCHEMA).field("m", Schema.OPTIONAL_FLOAT64_SCHEMA)
            .field("n", Schema.FLOAT64_SCHEMA).field("x", x).field("y", Schema.FLOAT64_SCHEMA);
    }

    static Struct struct(Schema schema, int k, Object x) {
        return new Struct(schema).put("i", i(k)).put("m", m(k)).put("n", n(k)).put("x", x).put("y", y(k));
    }

    static String text(JsonConverter converter, Schema schema, Object value) {
        return new String(converter.fromConnectData("rows", schema, value), StandardCharsets.UTF_8);
    }

    static JsonConverter converter(boolean withSchemas, String decimals) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", String.valueOf(withSchemas), "decimal.format", decimals), false);
        return converter;
    }

    public static void main(String[] arguments) throws Exception {
        String folder = arguments[0];
        Schema decimal = row(Decimal.schema(3)).build();
        JsonConverter connect = converter(true, "BASE64");
        lines(folder, "connect", k -> text(connect, decimal, struct(decimal, k, x(k))));
        JsonConverter numeric = converter(true, "NUMERIC");
        lines(folder, "connect_numeric", k -> text(numeric, decimal, struct(decimal, k, x(k))));
        JsonConverter bare = converter(false, "NUMERIC");
        lines(folder, "connect_schemaless", k -> text(bare, decimal, struct(decimal, k, x(k))));

        Schema source = SchemaBuilder.struct().name("io.debezium.connector.rows.Source").field("lsn", Schema.INT64_SCHEMA)
            .field("table", Schema.STRING_SCHEMA).build();
        Envelope change = Envelope.defineSchema().withName("rows.Envelope").withRecord(decimal).withSource(source).build();
        Envelope variable = Envelope.defineSchema().withName("rows.Envelope").withSource(source)
            .withRecord(row(VariableScaleDecimal.schema()).build()).build();
        for (boolean withSchemas : new boolean[] {true, false}) {
            JsonConverter converter = converter(withSchemas, withSchemas ? "BASE64" : "NUMERIC");
            lines(folder, withSchemas ? "debezium_schemas" : "debezium", k -> {
                Struct about = new Struct(source).put("lsn", (long) k).put("table", "rows");
                Struct after = struct(decimal, k, x(k));
                // What was read at the start, inserted, and changed.
                Struct written = k % 3 == 0 ? change.read(after, about, Instant.ofEpochMilli(k))
                    : k % 3 == 1 ? change.create(after, about, Instant.ofEpochMilli(k))
                    : change.update(struct(decimal, k + 1, x(k + 1)), after, about, Instant.ofEpochMilli(k));
                String line = text(converter, change.schema(), written);
                // A row that was deleted is none.
                return k % 10 != 9 ? line
                    : line + "\n" + text(converter, change.schema(), change.delete(after, about, Instant.ofEpochMilli(k)));
            });
            lines(folder, withSchemas ? "debezium_variable_schemas" : "debezium_variable", k -> {
                Struct about = new Struct(source).put("lsn", (long) k).put("table", "rows");
                Schema type = VariableScaleDecimal.schema();
                Struct x = VariableScaleDecimal.fromLogical(type, new SpecialValueDecimal(x(k).stripTrailingZeros()));
                Schema of = variable.schema().field("after").schema();
                return text(converter, variable.schema(), variable.create(struct(of, k, x), about, Instant.ofEpochMilli(k)));
            });
        }

        org.apache.avro.Schema avro = new org.apache.avro.Schema.Parser().parse(
            "{\"type\":\"record\",\"name\":\"Row\",\"namespace\":\"rows\",\"fields\":[{\"name\":\"i\",\"type\":[\"null\",\"double\"]},"
                + "{\"name\":\"m\",\"type\":[\"null\",\"double\"]},{\"name\":\"n\",\"type\":\"double\"},"
                + "{\"name\":\"x\",\"type\":\"double\"},{\"name\":\"y\",\"type\":[\"null\",\"double\"]}]}");
        GenericDatumWriter<GenericRecord> writer = new GenericDatumWriter<>(avro);
        lines(folder, "avro_json", k -> {
            GenericRecord record = new GenericData.Record(avro);
            record.put("i", i(k));
            record.put("m", m(k));
            record.put("n", n(k));
            record.put("x", x(k).doubleValue());
            record.put("y", y(k));
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            var encoder = EncoderFactory.get().jsonEncoder(avro, out, false);
            writer.write(record, encoder);
            encoder.flush();
            return out.toString(StandardCharsets.UTF_8);
        });
    }
}
