//! A CSV with settings of one's own, through the daemon's decoding and prequential loop: what `thalweg replay` does.
//!
//! `cargo run --release --example settings`

use thalweg::{
    pipeline::{
        pending_predictions::PendingPredictions,
        processor::{self, Processor},
    },
    settings::{Settings, Sources},
    topic::{Outbox, Output, record::Record},
};

const SETTINGS: &str = r#"
[schema]
target = "price"
nominal = ["city"]

[[models]]
kind = "mean"

[[models]]
kind = "linear"
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, SETTINGS)?;
    let settings = Settings::load(&Sources::new(Some(path), [], []))?;

    let config = processor::Config {
        topic: settings.topics.samples.clone(),
        labels: None,
        schema: settings.schema.clone(),
        race: settings.race.clone(),
    };
    let (mut processor, _) = Processor::new(&config, 0, 0, None);
    let mut outbox: Outbox<PendingPredictions> = Outbox::at(0);
    for offset in 0..1000 {
        let (size, paris) = (f64::from(offset % 97), offset % 3 == 0);
        let (city, price) = if paris { ("Paris", 40.0 + 9.0 * size) } else { ("Lyon", 20.0 + 4.0 * size) };
        let value = format!(r#"{{"size":{size},"city":"{city}","price":{price}}}"#);
        let record = Record { offset: offset.into(), value: Some(value.into()), ..Record::default() };
        if let Err(rejection) = processor.process(record, &mut outbox) {
            println!("record {offset}: {rejection}");
        }
    }
    outbox.encode();
    if let Some(value) = outbox.records[Output::Predictions as usize].last().and_then(|last| last.value.as_deref()) {
        println!("{}", String::from_utf8_lossy(value));
    }
    for standing in processor.snapshot().models {
        println!("{:10} RMSE {:.3}", standing.name, standing.rolling.rmse());
    }
    Ok(())
}
