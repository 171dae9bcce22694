//! The shapes in which producers write one and the same sample: as flat numbers, with a text, nested, as telemetry.

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
}

impl Shape {
    pub(crate) const ALL: [Self; 8] = [
        Self::Flat,
        Self::Spaced,
        Self::Shuffled,
        Self::TextId,
        Self::Category,
        Self::Nested,
        Self::Array,
        Self::Telemetry,
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
        }
    }

    /// Settings that a person who has such a stream would write.
    pub(crate) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Category => &["schema.nominal=[\"colour\"]"],
            Self::Telemetry => &["schema.key=\"device.id\"", "schema.timestamp=\"time\""],
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
        }
        .into_bytes()
    }
}
