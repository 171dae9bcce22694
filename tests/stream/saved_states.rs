//! State files that earlier builds left are opened and gone on with (`tests/states/`; its README says how each was made).

use std::{fs::File, io, path::Path};

use flate2::read::GzDecoder;
use rusqlite::Connection;
use tempfile::TempDir;
use thalweg_pipeline::{
    checkpoint::Checkpoint,
    checkpoints,
    processor::{Config, Processor},
};
use thalweg_store::Store;
use thalweg_topic::{Outbox, Output, record::Record};

/// Files whose models learn today as they did then.
const SAME: [&str; 4] = ["kinds", "mixtures", "page_hinkley", "cusum"];

/// Files of before some model, or what is kept about it, changed.
const EARLIER: [&str; 2] = ["guard", "format_2"];

/// What a daemon left in its state file.
struct Left {
    store: Store,
    rows: Connection,
    _folder: TempDir,
}

impl Left {
    /// A copy of `tests/states/<name>.db.gz`; a missing file fails the test.
    fn open(name: &str) -> Self {
        let packed = Path::new(crate::ROOT).join(format!("tests/states/{name}.db.gz"));
        let packed = File::open(&packed).unwrap_or_else(|error| panic!("{}: {error}", packed.display()));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.db");
        io::copy(&mut GzDecoder::new(packed), &mut File::create(&path).expect("a file")).expect("unpacked");
        let store = Store::open(&thalweg_store::Config { path: path.clone(), ..Default::default() }).expect("opened");
        Self { store, rows: Connection::open(path).expect("sqlite"), _folder: folder }
    }

    fn checkpoint(&self) -> Checkpoint {
        checkpoints::load(&self.store, "samples", 0).expect("intact").expect("a checkpoint")
    }

    /// Of the topic: those that the daemon had learned from, and those that came later.
    fn samples(&self) -> Vec<Record> {
        let mut query = self.rows.prepare("SELECT offset, timestamp, value FROM samples ORDER BY offset").expect("sql");
        let record = |row: &rusqlite::Row<'_>| {
            let value: Vec<u8> = row.get(2)?;
            Ok(Record { offset: row.get(0)?, timestamp: row.get(1)?, value: Some(value.into()), ..Record::default() })
        };
        query.query_map([], record).expect("samples").collect::<Result<_, _>>().expect("samples")
    }

    /// What the daemon published, per output.
    fn published(&self) -> [Vec<Vec<u8>>; 3] {
        ["predictions", "dead-letters", "events"].map(|topic| {
            let query = format!("SELECT CAST(value AS BLOB) FROM \"{topic}\" ORDER BY offset");
            let mut query = self.rows.prepare(&query).expect("sql");
            query.query_map([], |row| row.get(0)).expect("values").collect::<Result<_, _>>().expect("values")
        })
    }
}

/// The settings that a state was made under.
fn settings_of(stored: &Checkpoint) -> Config {
    Config {
        topic: stored.topic.clone(),
        labels: None,
        schema: stored.schema.clone().expect("a schema"),
        race: stored.prequential.config().clone(),
    }
}

/// Processes `samples`; what is to be published of them, per output.
fn process(processor: &mut Processor, samples: &[Record]) -> [Vec<Vec<u8>>; 3] {
    let mut outbox = Outbox::default();
    for sample in samples {
        // A sample that cannot be used leaves a dead letter.
        let _ = processor.process(sample.clone(), &mut outbox);
    }
    outbox.encode();
    Output::ALL.map(|output| outbox.records[output as usize].iter().filter_map(|it| it.value.clone()).collect())
}

/// All that was learned, as bytes.
fn learned(processor: &Processor) -> Vec<u8> {
    let checkpoint = processor.checkpoint();
    rmp_serde::to_vec_named(&(&checkpoint.index, &checkpoint.prequential)).expect("saved")
}

#[test]
fn going_on_from_a_state_file_gives_the_bits_of_an_uninterrupted_run() {
    for name in SAME {
        let left = Left::open(name);
        let stored = left.checkpoint();
        let config = settings_of(&stored);
        assert_eq!(stored.settings, config.fingerprint(), "{name}: other settings");
        let samples = left.samples();
        let (before, after) = samples.split_at(usize::try_from(stored.position).expect("a position"));
        assert!(before.len() >= 600 && after.len() >= 200, "{name}");

        let mut uninterrupted = Processor::new(&config, 0, 0, None).0;
        assert!(process(&mut uninterrupted, before) == left.published(), "{name}: published otherwise than then");
        let (mut restored, afresh) = Processor::new(&config, 0, 0, Some(stored));
        assert_eq!(afresh, <[String; 0]>::default(), "{name}: models that begin afresh");
        assert!(learned(&restored) == learned(&uninterrupted), "{name}: another state is read than was written");

        let [expected, found] = [&mut uninterrupted, &mut restored].map(|it| process(it, after));
        assert!(found == expected, "{name}: published otherwise after the restart");
        assert!(learned(&restored) == learned(&uninterrupted), "{name}: another state after the restart");
    }
}

#[test]
fn a_state_file_of_an_earlier_version_keeps_its_models_and_goes_on() {
    for name in EARLIER {
        let left = Left::open(name);
        let format: i64 = left
            .rows
            .query_row("SELECT value FROM thalweg_meta WHERE name = 'format'", [], |row| row.get(0))
            .expect("a format");
        assert_eq!(format, 3, "{name} is not migrated");
        let stored = left.checkpoint();
        let config = settings_of(&stored);
        let samples = left.samples();
        let (before, after) = samples.split_at(usize::try_from(stored.position).expect("a position"));
        let (version, records) = (stored.prequential.version(), stored.records);
        assert_eq!((records, before.len(), after.len()), (600, 600, 200), "{name}");

        let (mut restored, afresh) = Processor::new(&config, 0, 0, Some(stored));
        assert_eq!(afresh, <[String; 0]>::default(), "{name}: models that begin afresh");
        let [predictions, dead_letters, _] = process(&mut restored, after);
        assert_eq!((predictions.len(), dead_letters.len()), (198, 2), "{name}");
        let after = restored.checkpoint();
        // Every 23rd sample has no target.
        assert_eq!(after.prequential.version(), version + 198 - 9, "{name}");
        let standings = after.prequential.standings();
        let [mean, .., best] = &standings[..] else { panic!("{name}: {} models", standings.len()) };
        assert!(best.rolling.rmse() < 0.6 * mean.rolling.rmse(), "{name}: what was learned is lost");
    }
}
