import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.avro.Schema;
import org.apache.avro.file.CodecFactory;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;

/** Writes the rows of files.py once more, in container files of Apache Avro's library for Java, into the same folder. */
class ContainerFiles {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        String by = "org.apache.avro:avro " + Schema.class.getPackage().getImplementationVersion();
        for (String shape : new String[] {"flat", "lists"}) {
            for (String codec : new String[] {"null", "deflate", "snappy", "zstandard", "bzip2", "xz"}) {
                if (shape.equals("lists") && (codec.equals("bzip2") || codec.equals("xz"))) {
                    continue;
                }
                String name = shape + ".java." + codec + ".avro";
                File from = folder.resolve(shape + ".fastavro.null.avro").toFile();
                try (var reader = new DataFileReader<GenericRecord>(from, new GenericDatumReader<>());
                        var writer = new DataFileWriter<GenericRecord>(new GenericDatumWriter<>())) {
                    writer.setCodec(CodecFactory.fromString(codec)).setSyncInterval(600).setMeta("written.by", by);
                    writer.create(reader.getSchema(), Files.newOutputStream(folder.resolve(name)), new byte[16]);
                    for (GenericRecord row : reader) {
                        writer.append(row);
                    }
                }
                Files.writeString(folder.resolve("table.tsv"), name + "\t" + by + "\n", StandardOpenOption.APPEND);
            }
        }
    }
}
