import com.alibaba.fastjson2.JSON;
import com.dslplatform.json.DslJson;
import com.dslplatform.json.JsonWriter;
import com.dslplatform.json.runtime.Settings;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import net.minidev.json.JSONObject;

/** Writes the rows with Jackson 2, Jackson 3, Gson, fastjson2, dsl-json and json-smart: one file each in the folder named by the argument. */
class Rows {
    static final int COUNT = 300;

    public static class Row {
        public double i;
        public Double m;
        public double n;
        public double x;
        public double y;

        Row(int k) {
            i = k % 5 == 2 ? (k % 2 == 1 ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY) : k % 11;
            m = k % 4 == 3 ? null : Double.valueOf(k % 13);
            n = k % 3 == 1 ? Double.NaN : k % 7;
            x = k % 50 / 8.0;
            y = k % 5 + k % 50 / 8.0;
        }

        /** Its values by their names. */
        Map<String, Double> members() {
            Map<String, Double> members = new TreeMap<>(Map.of("i", i, "n", n, "x", x, "y", y));
            members.put("m", m);
            return members;
        }
    }

    interface Writer {
        String write(Row row) throws Exception;
    }

    static void lines(String folder, String name, Writer writer) throws Exception {
        try (PrintWriter out = new PrintWriter(Path.of(folder, name + ".jsonl").toFile())) {
            for (int k = 0; k < COUNT; k++) {
                out.print(writer.write(new Row(k)) + "\n");
            }
        }
    }

    @SuppressWarnings("deprecation") // setSerializationInclusion is what programs still call.
    public static void main(String[] arguments) throws Exception {
        String folder = arguments[0];
        var quoted = new com.fasterxml.jackson.databind.ObjectMapper();
        lines(folder, "jackson2", quoted::writeValueAsString);
        var bare = com.fasterxml.jackson.databind.json.JsonMapper.builder()
            .disable(com.fasterxml.jackson.core.json.JsonWriteFeature.WRITE_NAN_AS_STRINGS).build();
        lines(folder, "jackson2_bare", bare::writeValueAsString);
        var absent = new com.fasterxml.jackson.databind.ObjectMapper()
            .setSerializationInclusion(com.fasterxml.jackson.annotation.JsonInclude.Include.NON_NULL);
        lines(folder, "jackson2_absent", absent::writeValueAsString);
        var texts = com.fasterxml.jackson.databind.json.JsonMapper.builder()
            .enable(com.fasterxml.jackson.core.json.JsonWriteFeature.WRITE_NUMBERS_AS_STRINGS).build();
        lines(folder, "jackson2_text", texts::writeValueAsString);
        var three = tools.jackson.databind.json.JsonMapper.builder().build();
        lines(folder, "jackson3", three::writeValueAsString);
        Gson special = new GsonBuilder().serializeSpecialFloatingPointValues().create();
        lines(folder, "gson", special::toJson);
        Gson nulls = new GsonBuilder().serializeSpecialFloatingPointValues().serializeNulls().create();
        lines(folder, "gson_nulls", nulls::toJson);
        lines(folder, "fastjson2", JSON::toJSONString);
        DslJson<Object> dsl = new DslJson<>(Settings.withRuntime());
        JsonWriter out = dsl.newWriter();
        lines(folder, "dsl_json", row -> {
            out.reset();
            dsl.serialize(out, row.members());
            return out.toString();
        });
        lines(folder, "json_smart", row -> JSONObject.toJSONString(row.members()));
    }
}
