import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import org.apache.avro.Conversions.DecimalConversion;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericData.Record;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.message.BinaryMessageEncoder;

/** Writes rows with Apache Avro's library for Java, as rows.py does with those of Python. */
class Rows {
    static final String SCHEMA = """
            {"type":"record","name":"Flat","namespace":"rows.java","doc":"a row","fields":[
             {"name":"x","type":"double"},
             {"name":"n","type":["null","float"],"default":null},
             {"name":"c","type":{"type":"enum","name":"Colour","symbols":["RED","DARK_BLUE"],"aliases":["Hue"]}},
             {"name":"s","type":{"type":"string","avro.java.string":"String"}},
             {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}},
             {"name":"at","type":{"type":"long","logicalType":"timestamp-nanos"}},
             {"name":"place","type":{"type":"record","name":"Place","namespace":"rows.other","fields":[{"name":"lat","type":"long","order":"ignore"}]}},
             {"name":"other","type":["rows.other.Place","null"]},
             {"name":"y","type":"double"}]}""";

    static final String LISTS = """
            {"type":"record","name":"Lists","fields":[
             {"name":"xs","type":{"type":"array","items":["null","int"]}},
             {"name":"m","type":{"type":"map","values":"double"}},
             {"name":"y","type":"double"}]}""";

    public static void main(String[] arguments) throws Exception {
        String by = "org.apache.avro:avro " + Schema.class.getPackage().getImplementationVersion();
        for (String text : List.of(SCHEMA, LISTS)) {
            Schema schema = new Schema.Parser().parse(text);
            GenericData model = new GenericData();
            model.addLogicalTypeConversion(new DecimalConversion());
            for (boolean single : new boolean[] {false, true}) {
                StringJoiner rows = new StringJoiner(",");
                for (int k = 0; k < 12; k++) {
                    Record row = text == SCHEMA ? flat(schema, k) : lists(schema, k);
                    byte[] value;
                    if (single) {
                        ByteBuffer buffer = new BinaryMessageEncoder<Record>(model, schema).encode(row);
                        value = new byte[buffer.remaining()];
                        buffer.get(value);
                    } else {
                        ByteArrayOutputStream out = new ByteArrayOutputStream();
                        var encoder = EncoderFactory.get().blockingBinaryEncoder(out, null);
                        new GenericDatumWriter<Record>(schema, model).write(row, encoder);
                        encoder.flush();
                        value = out.toByteArray();
                    }
                    String json = text == SCHEMA ? flatJson(k) : listsJson(k);
                    rows.add("{\"value\":\"" + HexFormat.of().formatHex(value) + "\",\"header\":null,\"json\":" + json + "}");
                }
                String quoted = "\"" + text.replace("\"", "\\\"").replace("\n", " ") + "\"";
                System.out.println("{\"by\":\"" + by + "\",\"format\":\"avro\",\"frame\":\"" + (single ? "single" : "none")
                        + "\",\"shape\":\"" + (text == SCHEMA ? "flat" : "lists") + "\",\"schema\":" + quoted + ",\"rows\":["
                        + rows + "]}");
            }
        }
    }

    static Record flat(Schema schema, int k) {
        Record row = new Record(schema);
        row.put("x", k / 8.0);
        row.put("n", k % 3 == 1 ? null : (float) (k / 4.0));
        row.put("c", new GenericData.EnumSymbol(schema.getField("c").schema(), k % 2 == 0 ? "RED" : "DARK_BLUE"));
        row.put("s", "text " + k);
        row.put("d", new BigDecimal(k * 1001 - 3000).movePointLeft(3));
        row.put("at", (1_774_747_800_000L + k) * 1_000_000L);
        Record place = new Record(schema.getField("place").schema());
        place.put("lat", (long) -k);
        row.put("place", place);
        row.put("other", k % 2 == 0 ? null : place);
        row.put("y", k / 2.0 + 1);
        return row;
    }

    static String flatJson(int k) {
        String n = k % 3 == 1 ? "null" : String.valueOf(k / 4.0);
        String place = "{\"lat\":" + -k + "}";
        return "{\"x\":" + k / 8.0 + ",\"n\":" + n + ",\"c\":\"" + (k % 2 == 0 ? "RED" : "DARK_BLUE") + "\",\"s\":\"text " + k
                + "\",\"d\":" + new BigDecimal(k * 1001 - 3000).movePointLeft(3) + ",\"at\":" + (1_774_747_800_000L + k)
                + ",\"place\":" + place + ",\"other\":" + (k % 2 == 0 ? "null" : place) + ",\"y\":" + (k / 2.0 + 1) + "}";
    }

    static Record lists(Schema schema, int k) {
        List<Integer> xs = new ArrayList<>();
        for (int i = 0; i < k % 4; i++) {
            xs.add(i == 1 ? null : i * k);
        }
        Record row = new Record(schema);
        row.put("xs", xs);
        row.put("m", Map.of("k", k / 4.0));
        row.put("y", k / 2.0 + 1);
        return row;
    }

    static String listsJson(int k) {
        StringJoiner xs = new StringJoiner(",", "[", "]");
        for (int i = 0; i < k % 4; i++) {
            xs.add(i == 1 ? "null" : String.valueOf(i * k));
        }
        return "{\"xs\":" + xs + ",\"m\":{\"k\":" + k / 4.0 + "},\"y\":" + (k / 2.0 + 1) + "}";
    }
}
