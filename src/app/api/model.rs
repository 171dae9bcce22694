//! What models have learned.

use std::{collections::BTreeSet, time::SystemTime};

use super::{Open, RETRY_AFTER, predictor};
use thalweg_http::Problem;
use thalweg_pipeline::{
    learned::{self, Document, Keys, LearnedModel, Partition},
    worker::Dated,
};

/// Returns the document of a model, of one partition or of all.
pub(super) async fn document(
    open: &Open,
    name: String,
    partition: Option<i32>,
    keys: Keys,
) -> Result<Vec<u8>, Problem> {
    let wanted: Vec<i32> = match partition {
        Some(partition) => vec![partition],
        None => open.views.borrow().keys().copied().collect(),
    };
    if wanted.is_empty() {
        return Err(predictor::nothing_assigned());
    }
    let mut copies = Vec::with_capacity(wanted.len());
    for partition in wanted {
        copies.push(predictor::replica(open, Some(partition)).await?);
    }
    let known: BTreeSet<&str> = copies.iter().flat_map(|copy| copy.replica.race.names()).map(AsRef::as_ref).collect();
    if !known.contains(name.as_str()) {
        let known: Vec<&str> = known.into_iter().collect();
        let message = format!("there is no model `{name}`; there are {}", known.join(", "));
        return Err(Problem::not_found("no_such_model", message));
    }
    if let Keys::One(key) = &keys
        && !copies.iter().any(|copy| learned::knows(&copy.replica.race, &name, key))
    {
        return Err(Problem::not_found("no_such_key", format!("the model `{name}` knows no key `{key}`")));
    }
    let topic = open.samples.clone();
    // Importance can take a while, and a large tree is written for as long.
    let written = tokio::task::spawn_blocking(move || write(&topic, &copies, &name, &keys)).await;
    match written {
        Ok(Ok(document)) => Ok(document),
        Ok(Err(error)) => Err(Problem::unavailable("unwritable", error.to_string(), RETRY_AFTER)),
        Err(_) => Err(Problem::unavailable("stopping", "the daemon stops", RETRY_AFTER)),
    }
}

fn write(topic: &str, copies: &[Dated], name: &str, keys: &Keys) -> serde_json::Result<Vec<u8>> {
    let described: Vec<(&Dated, String, Vec<LearnedModel>)> = copies
        .iter()
        .map(|dated| {
            let models = learned::models(&dated.replica.race, &dated.replica.index, keys, |other| other == name);
            (dated, utc(dated.written), models)
        })
        .collect();
    let mut partitions = Vec::with_capacity(described.len());
    for (dated, written, models) in &described {
        let copy = &dated.replica;
        partitions.push(Partition::new(copy.partition, copy.position, written, &copy.race, models)?);
    }
    let mut document = serde_json::to_vec_pretty(&Document::new(topic, partitions))?;
    document.push(b'\n');
    Ok(document)
}

/// Writes a time as checkpoints have it.
fn utc(time: SystemTime) -> String {
    let time: chrono::DateTime<chrono::Utc> = time.into();
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}
