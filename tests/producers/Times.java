import com.alibaba.fastjson2.JSON;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import io.debezium.time.MicroTimestamp;
import io.debezium.time.NanoTimestamp;
import com.google.gson.Gson;
import java.io.PrintWriter;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.time.OffsetDateTime;
import java.util.Date;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.json.JsonConverter;

/** Writes the times and keys of times.py with Jackson 2, Jackson 3, fastjson2, Gson and Kafka Connect: one file each in the folder named by the argument. */
class Times {
    static final long START = 1774747800000L;
    static final int STEP = 7500;
    static final int COUNT = 40;

    public record Row<T>(T t, BigInteger id, int x, int y) {}

    interface Writer {
        String write(int k) throws Exception;
    }

    interface Time<T> {
        T of(Instant instant);
    }

    interface Mapper {
        String write(Object value) throws Exception;
    }

    static void lines(String folder, String name, Writer writer) throws Exception {
        try (PrintWriter out = new PrintWriter(Path.of(folder, name + ".jsonl").toFile())) {
            for (int k = 0; k < COUNT; k++) {
                out.print(writer.write(k) + "\n");
            }
        }
    }

    static Instant instant(int k) {
        return Instant.ofEpochMilli(START + (long) STEP * k);
    }

    static <T> void times(String folder, String name, Mapper mapper, Time<T> time) throws Exception {
        BigInteger first = new BigInteger("18446744073709551617");
        lines(folder, name, k -> mapper.write(new Row<>(time.of(instant(k)), first.add(BigInteger.valueOf(k)), k % 7, k % 7 + 1)));
    }

    static void connect(String folder, String name, Schema time, Time<Object> value) throws Exception {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "true"), false);
        Schema schema = SchemaBuilder.struct().field("t", time).field("x", Schema.INT32_SCHEMA).field("y", Schema.INT32_SCHEMA).build();
        lines(folder, name, k -> {
            Struct row = new Struct(schema).put("t", value.of(instant(k))).put("x", k % 7).put("y", k % 7 + 1);
            return new String(converter.fromConnectData("rows", schema, row), StandardCharsets.UTF_8);
        });
    }

    public static void main(String[] arguments) throws Exception {
        String folder = arguments[0];
        Gson gson = new Gson();
        times(folder, "gson_instant_s", gson::toJson, instant -> instant);
        times(folder, "gson_date_s", gson::toJson, Date::from);
        var two = new com.fasterxml.jackson.databind.ObjectMapper().registerModule(new JavaTimeModule());
        var three = tools.jackson.databind.json.JsonMapper.builder().build();
        for (Map.Entry<String, Mapper> of : Map.<String, Mapper>of("jackson2", two::writeValueAsString, "jackson3", three::writeValueAsString, "fastjson2", JSON::toJSONString).entrySet()) {
            times(folder, of.getKey() + "_instant", of.getValue(), instant -> instant);
            times(folder, of.getKey() + "_offset", of.getValue(), instant -> OffsetDateTime.ofInstant(instant, ZoneOffset.ofHours(2)));
            times(folder, of.getKey() + "_local", of.getValue(), instant -> LocalDateTime.ofInstant(instant, ZoneOffset.UTC));
            times(folder, of.getKey() + "_date", of.getValue(), Date::from);
        }
        connect(folder, "connect", Timestamp.SCHEMA, Date::from);
        connect(folder, "debezium_micro", MicroTimestamp.schema(), instant -> instant.toEpochMilli() * 1_000);
        connect(folder, "debezium_nano", NanoTimestamp.schema(), instant -> instant.toEpochMilli() * 1_000_000);
    }
}
