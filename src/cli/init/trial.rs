//! Tries the written settings on the sample: they load, and something is learned, or it is said that nothing was.

use std::path::Path;

use crate::{
    cli::samples::Samples,
    logging::figures::significant,
    metrics::Scores,
    pipeline::{decode::Schema, prequential::Prequential},
    settings::{Given, Settings, Sources},
};

/// Most values that are learned from, so that a wide table takes no minutes.
const MAX_VALUES: usize = 400_000;

/// Outcome of the trial.
pub(super) struct Tried {
    /// How good it was, in a sentence.
    pub(super) verdict: String,
    pub(super) doubts: Vec<String>,
}

/// Loads the settings in `file` and learns from `records` records at most.
pub(super) fn run(
    file: &Path,
    given: &Given,
    open: impl FnOnce(&Schema) -> anyhow::Result<Samples>,
    records: usize,
) -> anyhow::Result<Tried> {
    // Secrets are not in the file.
    let secrets = given.secrets().iter().map(|(path, value)| format!("{path}={value}"));
    let own = Sources::new(Some(file.to_owned()), [], secrets);
    let settings = Settings::load(&own).map_err(|errors| {
        anyhow::anyhow!(
            "the settings that were guessed do not load, which is a fault of Thalweg's: please report it. {errors}"
        )
    })?;
    let mut samples = open(&settings.schema)?;
    let mut race = Prequential::new(&settings.race);
    let (mut read, mut refused, mut scored, mut values) = (0, 0, 0_u64, 0);
    let mut first = None;
    while read < records && values < MAX_VALUES {
        let Some(sample) = samples.next_sample()? else { break };
        read += 1;
        match sample {
            Ok(sample) => {
                values += sample.features.values().len();
                scored += u64::from(sample.target.is_some());
                race.step_with_keys(sample.features, sample.keys, sample.target);
            }
            Err(problem) => {
                refused += 1;
                first.get_or_insert(problem.to_string());
            }
        }
    }
    let mut doubts = Vec::new();
    if let Some(first) = first {
        doubts.push(format!(
            "{refused} of {read} records cannot be used, which makes them dead letters; the first: {first}"
        ));
    }
    Ok(Tried { verdict: verdict(&race, scored), doubts })
}

fn verdict(race: &Prequential, scored: u64) -> String {
    const FEW: u64 = 50;
    let models = race.standings();
    let best = models
        .iter()
        .filter_map(|model| Some((model, model.total.known(Scores::rmse)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let Some((best, rmse)) = best.filter(|_| scored > 0) else {
        return "tried on them: no record has a target, so there is nothing to learn from yet".to_owned();
    };
    let skill = best.total_skill.unwrap_or(0.0);
    let figures = format!("RMSE {} by {}", significant(rmse), best.name);
    match skill {
        _ if scored < FEW => format!("tried on them: targets {scored}, too few to tell how good it becomes"),
        ..=0.0 => format!("tried on them: {figures}, no better than the mean; is this the right target?"),
        _ => format!(
            "tried on them: {figures}, {:.0} % less than by guessing the mean (skill {skill:.2})",
            100.0 * skill
        ),
    }
}
