import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONWriter;
import com.alibaba.otter.canal.protocol.FlatMessage;
import com.mongodb.kafka.connect.source.json.formatter.DefaultJson;
import com.mongodb.kafka.connect.source.json.formatter.ExtendedJson;
import com.mongodb.kafka.connect.source.json.formatter.JsonWriterSettingsProvider;
import com.mongodb.kafka.connect.source.json.formatter.SimplifiedJson;
import com.zendesk.maxwell.replication.BinlogPosition;
import com.zendesk.maxwell.replication.Position;
import com.zendesk.maxwell.row.RowMap;
import java.io.PrintWriter;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.formats.common.TimestampFormat;
import org.apache.flink.formats.json.JsonFormatOptions.MapNullKeyMode;
import org.apache.flink.formats.json.JsonRowDataSerializationSchema;
import org.apache.flink.formats.json.canal.CanalJsonSerializationSchema;
import org.apache.flink.formats.json.debezium.DebeziumJsonSerializationSchema;
import org.apache.flink.formats.json.maxwell.MaxwellJsonSerializationSchema;
import org.apache.flink.formats.json.ogg.OggJsonSerializationSchema;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.DoubleType;
import org.apache.flink.table.types.logical.IntType;
import org.apache.flink.table.types.logical.LocalZonedTimestampType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.TimestampType;
import org.apache.flink.types.RowKind;
import org.bson.BsonDateTime;
import org.bson.BsonDecimal128;
import org.bson.BsonDocument;
import org.bson.BsonDouble;
import org.bson.BsonInt64;
import org.bson.BsonNull;
import org.bson.BsonObjectId;
import org.bson.types.Decimal128;
import org.bson.types.ObjectId;

/**
 * Writes the rows of row.py and the times of times.py with Flink, Maxwell, Canal and MongoDB's connector: one file each in the folder
 * named by the argument.
 */
class Written {
    static final int COUNT = 60;
    static final int TIMES = 40;
    static final BigInteger FIRST = new BigInteger("18446744073709551617");

    interface Writer {
        String write(int k) throws Exception;
    }

    static void lines(Path path, int count, Writer writer) throws Exception {
        try (PrintWriter out = new PrintWriter(path + ".jsonl", StandardCharsets.UTF_8)) {
            for (int k = 0; k < count; k++) {
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

    /** Milliseconds since 1970. */
    static long time(int k) {
        return 1774747800000L + 7500L * k;
    }

    static RowType type(String names, LogicalType... types) {
        return RowType.of(types, names.split(" "));
    }

    static RowData flink(RowKind kind, int k) {
        return GenericRowData.ofKind(kind, i(k), m(k), n(k), DecimalData.fromBigDecimal(x(k), 9, 3), y(k));
    }

    interface Schema {
        SerializationSchema<RowData> of(RowType type, TimestampFormat times, MapNullKeyMode keys, String key, boolean plain, boolean absent);
    }

    static Writer opened(Schema schema, RowType type, TimestampFormat times, boolean plain, boolean changes) throws Exception {
        SerializationSchema<RowData> writer = schema.of(type, times, MapNullKeyMode.FAIL, "null", plain, false);
        writer.open(null);
        return k -> {
            String written = new String(writer.serialize(flink(RowKind.INSERT, k)), StandardCharsets.UTF_8);
            if (changes && k % 10 == 9) {
                // The row as it was, and as it is now: a changelog has both, and the first is no row.
                String before = new String(writer.serialize(flink(RowKind.UPDATE_BEFORE, k - 1)), StandardCharsets.UTF_8);
                return before + "\n" + new String(writer.serialize(flink(RowKind.UPDATE_AFTER, k)), StandardCharsets.UTF_8);
            }
            return written;
        };
    }

    static void flink(Path rows, Path times) throws Exception {
        LogicalType real = new DoubleType();
        RowType row = type("i m n x y", real, real, real, new DecimalType(9, 3), real);
        TimestampFormat sql = TimestampFormat.SQL;
        lines(rows.resolve("flink"), COUNT, opened(JsonRowDataSerializationSchema::new, row, sql, false, false));
        lines(rows.resolve("flink_plain"), COUNT, opened(JsonRowDataSerializationSchema::new, row, sql, true, false));
        lines(rows.resolve("flink_debezium"), COUNT, opened(DebeziumJsonSerializationSchema::new, row, sql, false, true));
        lines(rows.resolve("flink_canal"), COUNT, opened(CanalJsonSerializationSchema::new, row, sql, false, true));
        lines(rows.resolve("flink_maxwell"), COUNT, opened(MaxwellJsonSerializationSchema::new, row, sql, false, true));
        lines(rows.resolve("flink_ogg"), COUNT, opened(OggJsonSerializationSchema::new, row, sql, false, true));
        for (TimestampFormat format : TimestampFormat.values()) {
            for (LogicalType kind : List.of(new TimestampType(6), new LocalZonedTimestampType(6))) {
                RowType of = type("t id x y", kind, new DecimalType(20, 0), new IntType(), new IntType());
                var writer = new JsonRowDataSerializationSchema(of, format, MapNullKeyMode.FAIL, "null", true, false);
                writer.open(null);
                String zone = kind instanceof TimestampType ? "" : "_ltz";
                lines(times.resolve("flink_" + (format == sql ? "sql" : "iso") + zone), TIMES, k -> {
                    TimestampData time = TimestampData.fromEpochMillis(time(k), 456_000);
                    DecimalData id = DecimalData.fromBigDecimal(new BigDecimal(FIRST.add(BigInteger.valueOf(k))), 20, 0);
                    return new String(writer.serialize(GenericRowData.of(time, id, k % 7, k % 7 + 1)), StandardCharsets.UTF_8);
                });
            }
        }
    }

    static void maxwell(Path rows) throws Exception {
        Position position = new Position(new BinlogPosition(4, "binlog.000001"), 0);
        lines(rows.resolve("maxwell"), COUNT, k -> {
            String type = k % 2 == 0 ? "insert" : "update";
            RowMap row = new RowMap(type, "plant", "rows", time(k), List.of("x"), position);
            // MySQL has neither NaN nor infinities.
            row.putData("i", Double.isInfinite(i(k)) ? null : i(k));
            row.putData("m", m(k));
            row.putData("n", Double.isNaN(n(k)) ? null : n(k));
            row.putData("x", x(k));
            row.putData("y", y(k));
            if (type.equals("update")) {
                row.putOldData("y", y(k + 1));
            }
            return row.toJSON();
        });
    }

    static void canal(Path rows) throws Exception {
        lines(rows.resolve("canal"), COUNT / 2, k -> {
            FlatMessage message = new FlatMessage(k);
            message.setDatabase("plant");
            message.setTable("rows");
            message.setIsDdl(false);
            message.setType("INSERT");
            message.setEs(time(k));
            message.setTs(time(k) + 250);
            message.setSql("");
            message.setPkNames(List.of("x"));
            List<Map<String, String>> data = new ArrayList<>();
            for (int each : new int[] {2 * k, 2 * k + 1}) {
                Map<String, String> row = new LinkedHashMap<>();
                row.put("i", Double.isInfinite(i(each)) ? null : String.valueOf(i(each)));
                row.put("m", m(each) == null ? null : String.valueOf(m(each)));
                row.put("n", Double.isNaN(n(each)) ? null : String.valueOf(n(each)));
                row.put("x", x(each).toPlainString());
                row.put("y", String.valueOf(y(each)));
                data.add(row);
            }
            message.setData(data);
            // As CanalKafkaProducer of canal 1.1.8 sends it.
            return new String(JSON.toJSONBytes(message, JSONWriter.Feature.WriteNulls), StandardCharsets.UTF_8);
        });
    }

    static void mongo(Path rows, Path times, String name, JsonWriterSettingsProvider format) throws Exception {
        lines(rows.resolve(name), COUNT, k -> {
            BsonDocument row = new BsonDocument("_id", new BsonObjectId(new ObjectId(String.format("%024x", k))));
            row.append("i", new BsonDouble(i(k))).append("m", m(k) == null ? BsonNull.VALUE : new BsonDouble(m(k)));
            row.append("n", new BsonDouble(n(k))).append("x", new BsonDecimal128(new Decimal128(x(k)))).append("y", new BsonDouble(y(k)));
            return row.toJson(format.getJsonWriterSettings());
        });
        lines(times.resolve(name), TIMES, k -> {
            BsonDocument row = new BsonDocument("t", new BsonDateTime(time(k))).append("x", new BsonInt64(k % 7));
            return row.append("y", new BsonInt64(k % 7 + 1)).toJson(format.getJsonWriterSettings());
        });
    }

    public static void main(String[] arguments) throws Exception {
        Path rows = Path.of(arguments[0], "rows");
        Path times = Path.of(arguments[0], "times");
        flink(rows, times);
        maxwell(rows);
        canal(rows);
        mongo(rows, times, "mongo_connector_default", new DefaultJson());
        mongo(rows, times, "mongo_connector_extended", new ExtendedJson());
        mongo(rows, times, "mongo_connector_simplified", new SimplifiedJson());
    }
}
