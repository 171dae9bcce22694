//! Finds which features matter to a model, in the newest checkpoint of the state file, so that no worker is asked.

use thalweg_http::{Feature, Features};
use thalweg_metrics::Scores;
use thalweg_pipeline::checkpoints;
use thalweg_store::{StateReader, Store};

/// Explains a model of a partition; where none is named, the one with the least error of those that see features.
///
/// # Errors
/// When there is no such model or checkpoint, for people.
pub(super) fn of(store: &Store, topic: &str, partition: i32, model: Option<&str>) -> Result<Features, String> {
    let archive = StateReader::open(store.path()).map_err(|error| error.to_string())?;
    let found = archive.newest(topic, partition, &checkpoints::read).map_err(|error| error.to_string())?;
    let found = found.ok_or_else(|| format!("there is no checkpoint of partition {partition} yet; ask again"))?;
    let (race, columns) = (&found.checkpoint.prequential, found.checkpoint.index.named_columns());
    let mut models: Vec<(usize, String, f64)> = race
        .standings()
        .iter()
        .enumerate()
        .map(|(i, model)| (i, model.name.to_string(), model.rolling.known(Scores::rmse).unwrap_or(f64::INFINITY)))
        .collect();
    if let Some(model) = model {
        let names: Vec<&str> = models.iter().map(|(_, name, _)| name.as_str()).collect();
        let unknown = format!("there is no model `{model}`; there are {}", names.join(", "));
        models.retain(|(_, name, _)| name == model);
        if models.is_empty() {
            return Err(unknown);
        }
    }
    models.sort_by(|(.., a), (.., b)| a.total_cmp(b));
    let explained = models.iter().find_map(|(i, name, _)| Some((name, race.explain(*i, columns.clone())?)));
    let age_seconds = store.saved(partition).map(|saved| saved.at.elapsed().as_secs_f64());
    let Some((name, explanation)) = explained else {
        let model = models.first().map(|(_, name, _)| name.clone()).unwrap_or_default();
        return Ok(Features { partition, model, method: "none", age_seconds, ..Features::default() });
    };
    let features = explanation.features.into_iter().map(|it| Feature { feature: it.feature, share: it.share });
    Ok(Features {
        partition,
        model: name.clone(),
        method: explanation.method.name(),
        samples: explanation.samples,
        age_seconds,
        features: features.collect(),
    })
}
