//! The shapes in which producers write one and the same sample: as flat numbers, with a text, nested, as telemetry, as a
//! change of a database, and by a schema.

use thalweg::generator::{self, Function, Stream, encode};

/// Shape of a stream's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// An object of numbers.
    Flat,
    /// The same with spaces, as Python writes it.
    Spaced,
    /// The same with the fields of each record in another order.
    Shuffled,
    /// A text of its own in each record, which is no feature.
    TextId,
    /// A category of 20 and a truth value.
    Category,
    /// Objects in an object.
    Nested,
    /// The features in an array.
    Array,
    /// A nested device with an id, which is the key, a truth value, a version, and an RFC 3339 time.
    Telemetry,
    /// A new or changed row of PostgreSQL as Debezium writes it, without Connect's schemas.
    Debezium,
    /// Avro behind the five bytes of a schema registry.
    Avro,
    /// Protocol Buffers behind the five bytes of a schema registry and the message's index.
    Protobuf,
}

/// A schema by which records are written, as a registry has it.
pub(crate) struct WriterSchema {
    /// Its id at the registry.
    pub(crate) id: u32,
    pub(crate) definition: &'static str,
}

const AVRO: WriterSchema = WriterSchema {
    id: 1,
    definition: r#"{"type":"record","name":"Sample","fields":[
        {"name":"x0","type":"double"},{"name":"x1","type":"double"},{"name":"x2","type":"double"},
        {"name":"x3","type":"double"},{"name":"x4","type":"double"},{"name":"x5","type":"double"},
        {"name":"x6","type":"double"},{"name":"x7","type":"double"},{"name":"x8","type":"double"},
        {"name":"x9","type":"double"},{"name":"y","type":"double"}]}"#,
};
const PROTOBUF: WriterSchema = WriterSchema {
    id: 2,
    definition: r#"syntax = "proto3";
        message Sample {
          double x0 = 1; double x1 = 2; double x2 = 3; double x3 = 4; double x4 = 5;
          double x5 = 6; double x6 = 7; double x7 = 8; double x8 = 9; double x9 = 10;
          double y = 11;
        }"#,
};

impl Shape {
    pub(crate) const ALL: [Self; 11] = [
        Self::Flat,
        Self::Spaced,
        Self::Shuffled,
        Self::TextId,
        Self::Category,
        Self::Nested,
        Self::Array,
        Self::Telemetry,
        Self::Debezium,
        Self::Avro,
        Self::Protobuf,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Spaced => "spaced",
            Self::Shuffled => "shuffled",
            Self::TextId => "text id",
            Self::Category => "category",
            Self::Nested => "nested",
            Self::Array => "array",
            Self::Telemetry => "telemetry",
            Self::Debezium => "debezium",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
        }
    }

    /// Schema by which its records are written; none for JSON.
    pub(crate) fn writer_schema(self) -> Option<&'static WriterSchema> {
        match self {
            Self::Avro => Some(&AVRO),
            Self::Protobuf => Some(&PROTOBUF),
            _ => None,
        }
    }

    /// Settings that a person who has such a stream would write, but for the registry's address.
    pub(crate) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Category => &["schema.nominal=[\"colour\"]"],
            Self::Telemetry => &["schema.key=\"device.id\"", "schema.timestamp=\"time\""],
            Self::Debezium => &["schema.envelope=debezium", "schema.timestamp=\"$.ts_ms\""],
            Self::Avro => &["schema.format=avro"],
            Self::Protobuf => &["schema.format=protobuf"],
            _ => &[],
        }
    }
}

/// Friedman's samples in one shape.
pub(crate) struct Records {
    shape: Shape,
    stream: Stream,
    names: Vec<String>,
    x: Vec<f64>,
    count: usize,
}

impl Records {
    pub(crate) fn new(shape: Shape) -> Self {
        let function = Function::from_name("friedman").expect("a function");
        let stream = Stream::new(&generator::Config { function, ..Default::default() }).expect("a stream");
        Self { shape, names: stream.feature_names().to_vec(), stream, x: Vec::new(), count: 0 }
    }

    /// Returns the next record's value.
    pub(crate) fn value(&mut self) -> Vec<u8> {
        let y = self.stream.next_sample(&mut self.x);
        let i = self.count;
        self.count += 1;
        let flat = |names: &[String], x: &[f64]| {
            let mut value = Vec::with_capacity(272);
            encode::json(names, x, y, &mut value);
            String::from_utf8(value).expect("JSON")
        };
        let flat_of_all = flat(&self.names, &self.x);
        // Without the braces.
        let (numbers, target) =
            flat_of_all[1..flat_of_all.len() - 1].rsplit_once(',').expect("a target behind numbers");
        let fields: Vec<&str> = numbers.split(',').collect();
        let id = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match self.shape {
            Shape::Flat => flat_of_all,
            Shape::Spaced => flat_of_all.replace(',', ", ").replace(':', ": "),
            Shape::Shuffled => {
                let mut order: Vec<&str> = fields.iter().copied().chain([target]).collect();
                let places = order.len();
                (1..places).for_each(|place| order.swap(place, (id >> place) as usize % (place + 1)));
                format!("{{{}}}", order.join(","))
            }
            Shape::TextId => format!("{{\"id\":\"{id:016x}-{i:08}\",{numbers},{target}}}"),
            Shape::Category => {
                let truth = id & 1 == 0;
                format!("{{\"on\":{truth},\"colour\":\"colour {:02}\",{numbers},{target}}}", id % 20)
            }
            Shape::Nested => {
                let (near, far) = (fields[..5].join(","), fields[5..].join(","));
                format!("{{\"near\":{{{near}}},\"far\":{{\"more\":{{{far}}}}},{target}}}")
            }
            Shape::Array => {
                let values: Vec<&str> = fields.iter().map(|field| field.split_once(':').expect("a field").1).collect();
                format!("{{\"x\":[{}],{target}}}", values.join(","))
            }
            Shape::Telemetry => {
                let (truth, seconds, micros) = (id & 1 == 0, i / 1000 % 60, i % 1_000_000);
                format!(
                    "{{\"device\":{{\"id\":\"sensor-{:04}\",\"ok\":{truth},\"version\":\"1.4.{}\"}},\
                     \"time\":\"2026-03-29T01:{:02}:{seconds:02}.{micros:06}Z\",\"readings\":{{{numbers}}},{target}}}",
                    id % 1000,
                    id % 3,
                    i / 60_000 % 60,
                )
            }
            Shape::Debezium => {
                let (op, lsn, nanos) = (if id & 1 == 0 { 'c' } else { 'u' }, 24_023_128 + 56 * i, 1_000_003 * i as u64);
                let [happened, written] = [1_774_747_800_000_000_000, 1_774_747_800_250_000_000].map(|since| {
                    let nanos = since + nanos;
                    [nanos / 1_000_000, nanos / 1000, nanos]
                });
                let [[ms, us, ns], [written_ms, written_us, written_ns]] = [happened, written];
                format!(
                    "{{\"before\":null,\"after\":{{{numbers},{target}}},\"source\":{{\"version\":\"3.6.1.Final\",\
                     \"connector\":\"postgresql\",\"name\":\"plant\",\"ts_ms\":{ms},\"snapshot\":\"false\",\"db\":\"plant\",\
                     \"sequence\":\"[\\\"{}\\\",\\\"{lsn}\\\"]\",\"ts_us\":{us},\"ts_ns\":{ns},\"schema\":\"public\",\
                     \"table\":\"readings\",\"txId\":{},\"lsn\":{lsn},\"xmin\":null}},\"transaction\":null,\"op\":\"{op}\",\
                     \"ts_ms\":{written_ms},\"ts_us\":{written_us},\"ts_ns\":{written_ns}}}",
                    lsn - 56,
                    555 + i,
                )
            }
            Shape::Avro => {
                return framed(&AVRO, self.x.iter().chain([&y]).flat_map(|number| number.to_le_bytes()));
            }
            // 0 is the first message of its file.
            Shape::Protobuf => return framed(&PROTOBUF, [0].into_iter().chain(message(self.x.iter().chain([&y])))),
        }
        .into_bytes()
    }
}

/// Puts a registry's five bytes before a record's own.
fn framed(schema: &WriterSchema, body: impl Iterator<Item = u8>) -> Vec<u8> {
    [0].into_iter().chain(schema.id.to_be_bytes()).chain(body).collect()
}

/// Returns a message with these numbers in its fields.
fn message<'n>(numbers: impl Iterator<Item = &'n f64>) -> impl Iterator<Item = u8> {
    /// Wire type of eight bytes.
    const FIXED: u8 = 1;
    // Zero is what is not on the wire.
    let fields = (1_u8..).zip(numbers).filter(|(_, number)| number.to_bits() != 0);
    fields.flat_map(|(field, number)| [field << 3 | FIXED].into_iter().chain(number.to_le_bytes()))
}
