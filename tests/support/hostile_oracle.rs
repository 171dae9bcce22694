//! What any bytes as a record must do: become one prediction or one dead letter, and leave a state that works.
//!
//! Shared by the corpus of hostile records, the seeded mutations and the fuzz target; all fail by panicking.

use thalweg_models::{Features, ModelConfig, ModelKind, Scratch, linear, tree};
use thalweg_pipeline::{
    checkpoint::Checkpoint,
    decode::{Absent, Decoder, Index, NumericText, OnBad, OnBadField, ReadAhead, Rejection, Sample, Schema},
    pending_predictions::PendingPredictions,
    prequential,
    processor::{Config, Processor},
};
use thalweg_state as state;
use thalweg_topic::{
    Outbox,
    record::{Outgoing, Record},
};

/// What became of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Prediction(Outgoing),
    /// With its reason.
    DeadLetter(&'static str, Outgoing),
}

/// A processor whose every answer is checked.
pub struct HostileOracle {
    config: Config,
    processor: Processor,
    outbox: Outbox<PendingPredictions>,
    /// The same records by the short way, read ahead, and by the long way always.
    decoders: [Decoder; 3],
    ahead: ReadAhead,
    /// Of so many records one goes all ways, since that costs as much as all the rest.
    pub compare_every: i64,
    pub predictions: u64,
    pub dead_letters: u64,
}

/// Schemas that read a record in different ways.
pub fn schemas() -> Vec<Schema> {
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    vec![
        Schema::default(),
        Schema { max_features: 20, max_record_bytes: 60, ..Schema::default() },
        Schema {
            features: Some(texts(&["x0", "x1", "c", "d.e"])),
            nominal: texts(&["c"]),
            ignore: texts(&["s"]),
            ..Schema::default()
        },
        Schema {
            nominal: texts(&["c", "k"]),
            key: Some("k".into()),
            timestamp: Some("t".into()),
            timestamp_is_feature: true,
            ignore: texts(&["d"]),
            on_bad_field: OnBadField { timestamp: OnBad::Missing, ..OnBadField::DEFAULT },
            features: None,
            absent: Absent::Zero,
            max_categories: 3,
            timezone: "Europe/Paris".into(),
            ..Schema::default()
        },
        Schema {
            nominal: texts(&["c", "s"]),
            key: Some("k".into()),
            timestamp: Some("t".into()),
            ignore: texts(&["n"]),
            ..Schema::default()
        },
        Schema { missing: Vec::new(), numeric_text: NumericText::Always, ..Schema::default() },
        Schema {
            numeric_text: NumericText::Never,
            on_bad_field: OnBadField { features: OnBad::DeadLetter, target: OnBad::Missing, timestamp: OnBad::Missing },
            ..Schema::default()
        },
    ]
}

impl HostileOracle {
    pub fn new(schema: Schema) -> Self {
        let tree = tree::Params { grace_period: 50, ..Default::default() };
        let models = [
            ModelKind::Mean,
            ModelKind::Last,
            ModelKind::Linear(linear::Params::river()),
            ModelKind::HoeffdingTree(tree),
        ];
        let models = models.map(|kind| ModelConfig::new(kind.name(), kind).scaled(true)).to_vec();
        let race = prequential::Config { window: 100, ..prequential::Config::of(models) };
        let decoder = || Decoder::new(&schema, Index::new(&schema));
        let decoders = [decoder(), decoder(), decoder()];
        let ahead = ReadAhead::new(&schema);
        let config = Config { topic: "samples".into(), labels: None, schema, race };
        let processor = Processor::new(&config, 0, 0, None).0;
        Self {
            config,
            processor,
            outbox: Outbox::default(),
            decoders,
            ahead,
            compare_every: 1,
            predictions: 0,
            dead_letters: 0,
        }
    }

    /// One record with only a value.
    pub fn value(&mut self, offset: i64, value: Option<&[u8]>) -> Outcome {
        self.record(Record {
            offset,
            timestamp: 7,
            value: value.map(|value| value.to_vec().into()),
            ..Record::default()
        })
    }

    /// One record; whatever it holds, all that must hold of the answer is checked.
    pub fn record(&mut self, record: Record) -> Outcome {
        if record.offset % self.compare_every == 0 {
            self.compare(&record);
        }
        let processed = self.processor.process(record.clone(), &mut self.outbox);
        let mut outbox = self.outbox.take();
        outbox.encode();
        let [predictions, letters, _] = outbox.records;
        assert_eq!(self.processor.position(), record.offset + 1);
        match (processed, <[Outgoing; 1]>::try_from(predictions), <[Outgoing; 1]>::try_from(letters)) {
            (Ok(()), Ok([prediction]), Err(letters)) if letters.is_empty() => {
                self.predictions += 1;
                check_prediction(&record, &prediction);
                Outcome::Prediction(prediction)
            }
            (Err(rejection), Err(predictions), Ok([letter])) if predictions.is_empty() => {
                self.dead_letters += 1;
                check_letter(&record, &rejection, &letter);
                Outcome::DeadLetter(rejection.reason(), letter)
            }
            (processed, predictions, letters) => {
                panic!("neither one prediction nor one dead letter: {processed:?} {predictions:?} {letters:?}")
            }
        }
    }

    /// All ways read the same, to the bit, or refuse for the same reason.
    fn compare(&mut self, record: &Record) {
        let limit = self.config.schema.max_record_bytes;
        let Some(bytes) = record.value.as_deref().filter(|bytes| !bytes.is_empty() && bytes.len() <= limit) else {
            return;
        };
        let [short, ahead, full] = &mut self.decoders;
        let rows = self.ahead.read([Some(bytes)].into_iter());
        let ways = [
            row(short.decode(Some(bytes))),
            row(ahead.decode_ahead(Some(bytes), rows.get(0))),
            row(full.decode_full(bytes)),
        ];
        assert!(ways.iter().all(|way| *way == ways[2]), "{:?}: {ways:?}", String::from_utf8_lossy(bytes));
        assert_eq!(short.index().column_names(), full.index().column_names());
        assert_eq!(ahead.index().column_names(), full.index().column_names());
    }

    /// Checks the state after any number of records: models finite, and a checkpoint that reads back as what it was.
    pub fn finish(&mut self) {
        let seen = self.processor.snapshot();
        assert_eq!((seen.records, seen.dead_letters), (self.predictions + self.dead_letters, self.dead_letters));
        let stored = self.processor.checkpoint();
        let columns = stored.index.columns();
        for (i, name) in stored.prequential.names().enumerate() {
            let model = stored.prequential.pipeline(i).expect("a model per name");
            for value in [0.0, 0.5, -3.0] {
                let row = vec![value; columns];
                let predicted = model.predict_one(Features::new(&row), &mut Scratch::default());
                assert!(predicted.is_finite(), "{name} predicts {predicted} for {value} everywhere");
            }
        }
        let bytes = rmp_serde::to_vec_named(&stored).expect("saved");
        let restored: Checkpoint = state::read(&bytes).expect("restored");
        assert!(rmp_serde::to_vec_named(&restored).expect("saved again") == bytes, "the checkpoint has changed");
        let mut other = Processor::new(&self.config, 0, 0, Some(restored)).0;
        // Both go on alike.
        let probe = Record {
            offset: self.processor.position(),
            value: Some(br#"{"x0":0.5,"c":"probe","y":1}"#[..].into()),
            ..Record::default()
        };
        let mut answers = [Outbox::<PendingPredictions>::default(), Outbox::default()];
        let ends = [self.processor.process(probe.clone(), &mut answers[0]), other.process(probe, &mut answers[1])];
        assert_eq!(ends[0], ends[1]);
        answers.iter_mut().for_each(Outbox::encode);
        assert_eq!(answers[0].records, answers[1].records);
        self.predictions += u64::from(ends[0].is_ok());
        self.dead_letters += u64::from(ends[0].is_err());
    }
}

type Row = (Vec<u64>, Option<u64>, Option<String>, Option<i64>);

fn row(decoded: Result<Sample<'_>, Rejection>) -> Result<Row, Rejection> {
    let sample = decoded?;
    let bits = sample.features.values().iter().map(|value| value.to_bits()).collect();
    Ok((bits, sample.target.map(f64::to_bits), sample.key.map(str::to_owned), sample.timestamp))
}

fn check_prediction(record: &Record, prediction: &Outgoing) {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "that they read as these types is what is checked")]
    struct Prediction<'a> {
        #[serde(borrow)]
        source: Source<'a>,
        timestamp: i64,
        target: Option<f64>,
        prediction: f64,
        lower: Option<f64>,
        upper: Option<f64>,
        model: &'a str,
        version: u64,
        predictions: std::collections::BTreeMap<&'a str, f64>,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Source<'a> {
        topic: &'a str,
        partition: i32,
        offset: i64,
    }
    let value = prediction.value.as_deref().expect("a value");
    let text = || String::from_utf8_lossy(value);
    let read: Prediction<'_> = serde_json::from_slice(value).unwrap_or_else(|error| panic!("{error}: {}", text()));
    assert_eq!((read.source.topic, read.source.partition, read.source.offset), ("samples", 0, record.offset));
    assert_eq!(read.predictions.len(), 4);
    assert_eq!(read.lower.is_some(), read.upper.is_some());
    if let (Some(lower), Some(upper)) = (read.lower, read.upper) {
        assert!(lower <= read.prediction && read.prediction <= upper, "{}", text());
    }
    assert_eq!(prediction.source, record.offset);
}

fn check_letter(record: &Record, rejection: &Rejection, letter: &Outgoing) {
    assert!(letter.value.as_deref() == record.value.as_deref(), "the dead letter is not what was sent");
    assert!(letter.key.as_deref() == record.key.as_deref(), "the dead letter has another key");
    assert_eq!((letter.source, letter.timestamp), (record.offset, record.timestamp));
    let header = |name: &str| std::str::from_utf8(letter.headers.get(name).expect("a header")).expect("text");
    assert_eq!(header("thalweg.reason"), rejection.reason());
    assert_eq!(header("thalweg.topic"), "samples");
    assert_eq!(header("thalweg.partition"), "0");
    assert_eq!(header("thalweg.offset"), record.offset.to_string());
    // Small beside the record, so that both fit a topic: a name of a megabyte must not travel in it.
    assert!((10..2000).contains(&header("thalweg.error").len()), "{} bytes of error", header("thalweg.error").len());
    let own = |(name, _): &(&[u8], Option<&[u8]>)| !name.starts_with(b"thalweg.");
    assert!(letter.headers.iter().filter(own).eq(record.headers.iter().filter(own)), "other headers have changed");
}
