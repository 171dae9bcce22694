//! The final metrics of a replay, for people and for programs.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use super::{
    super::figures::{Emphasis, significant},
    Counts,
};
use crate::{
    metrics::{Coverage, Faded, Quantiles, Scores},
    pipeline::{decode::Fields, prequential::Prequential, snapshot::ModelSnapshot},
};

#[derive(Serialize)]
struct Report<'a> {
    records: u64,
    scored: u64,
    dead_letters: u64,
    /// How many of those for which reason.
    reasons: &'a BTreeMap<&'static str, u64>,
    champion: &'a str,
    /// What is used of the records.
    fields: &'a Fields,
    /// Absent where nobody asks for intervals.
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<Intervals>,
    models: Vec<ModelReport<'a>>,
}

/// Over the whole run, and of late.
#[derive(Serialize)]
struct Intervals {
    target: f64,
    coverage: f64,
    width: f64,
    recent_coverage: f64,
    recent_width: f64,
}

impl From<Coverage> for Intervals {
    fn from(coverage: Coverage) -> Self {
        Self {
            target: coverage.target(),
            coverage: coverage.total(),
            width: coverage.total_width(),
            recent_coverage: coverage.recent(),
            recent_width: coverage.recent_width(),
        }
    }
}

#[derive(Serialize)]
struct ModelReport<'a> {
    name: &'a str,
    kind: &'a str,
    #[serde(flatten)]
    total: Errors,
    skill: f64,
    rolling: Errors,
    faded: FadedErrors,
    refused: u64,
    implausible: u64,
    drifts: u64,
    rescues: u64,
    memory_bytes: usize,
}

#[derive(Serialize)]
struct Errors {
    mae: f64,
    rmse: f64,
    r2: f64,
    bias: f64,
    smape: f64,
    error_p50: f64,
    error_p90: f64,
    error_p99: f64,
}

#[derive(Serialize)]
struct FadedErrors {
    mae: f64,
    rmse: f64,
    bias: f64,
    smape: f64,
}

impl Errors {
    fn of(scores: &Scores, errors: &Quantiles) -> Self {
        Self {
            mae: scores.mae(),
            rmse: scores.rmse(),
            r2: scores.r2(),
            bias: scores.bias(),
            smape: scores.smape(),
            error_p50: errors.get(0.5),
            error_p90: errors.get(0.9),
            error_p99: errors.get(0.99),
        }
    }
}

impl From<&Faded> for FadedErrors {
    fn from(faded: &Faded) -> Self {
        Self { mae: faded.mae(), rmse: faded.rmse(), bias: faded.bias(), smape: faded.smape() }
    }
}

pub(super) fn json(out: &mut impl Write, counts: &Counts, fields: &Fields, race: &Prequential) -> io::Result<()> {
    let models = race.standings();
    let report = Report {
        records: counts.records,
        scored: counts.scored,
        dead_letters: counts.rejected,
        reasons: &counts.reasons,
        champion: models.get(race.champion()).map_or("", |model| &model.name),
        fields,
        intervals: race.coverage().map(Into::into),
        models: models
            .iter()
            .map(|model| ModelReport {
                name: &model.name,
                kind: model.kind,
                total: Errors::of(&model.total, &model.total_errors),
                skill: model.total_skill,
                rolling: Errors::of(&model.rolling, &model.rolling_errors),
                faded: (&model.faded).into(),
                refused: model.counts.refused,
                implausible: model.counts.implausible,
                drifts: model.counts.drifts,
                rescues: model.counts.rescues,
                memory_bytes: model.memory,
            })
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

pub(super) fn text(out: &mut impl Write, counts: &Counts, race: &Prequential, emphasis: Emphasis) -> io::Result<()> {
    let models = race.standings();
    let Counts { records, scored, rejected, reasons } = counts;
    let told: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) };
    writeln!(out, "{records} records, {scored} scored, {rejected} not usable{told}")?;
    let best = models.iter().map(|model| model.total.rmse()).filter(|_| *scored > 0).min_by(f64::total_cmp);
    let width = models.iter().map(|model| model.name.chars().count()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "  {:width$}  {:>12}  {:>12}  {:>8}  {:>8}  {:>8}",
        "model", "RMSE", "MAE", "R2", "skill", "refused"
    )?;
    for (i, model) in models.iter().enumerate() {
        let mark = if i == race.champion() { '*' } else { ' ' };
        let ModelSnapshot { name, total, total_skill, counts, .. } = model;
        let (rmse, mae, r2) = (significant(total.rmse()), significant(total.mae()), total.r2());
        let refused = counts.refused;
        let row = format!("{mark} {name:width$}  {rmse:>12}  {mae:>12}  {r2:>8.4}  {total_skill:>8.4}  {refused:>8}");
        let row = if Some(total.rmse()) == best { emphasis.strong(row) } else { row };
        writeln!(out, "{row}")?;
    }
    writeln!(out, "over the whole run; skill = 1 - RMSE/RMSE(mean); * champion at the end")?;
    if let Some(coverage) = race.coverage() {
        let (held, wanted) = (100.0 * coverage.total(), 100.0 * coverage.target());
        let width = significant(coverage.total_width());
        writeln!(out, "intervals held {held:.2} % of the targets ({wanted} % wanted), mean width {width}")?;
    }
    Ok(())
}
