//! The final metrics of a replay, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::Counts;
use crate::{metrics::Scores, pipeline::snapshot::ModelSnapshot};

#[derive(Serialize)]
struct Report<'a> {
    records: u64,
    scored: u64,
    dead_letters: u64,
    champion: &'a str,
    models: Vec<ModelReport<'a>>,
}

#[derive(Serialize)]
struct ModelReport<'a> {
    name: &'a str,
    kind: &'a str,
    mae: f64,
    rmse: f64,
    r2: f64,
    skill: f64,
    rolling: Errors,
    refused: u64,
}

#[derive(Serialize)]
struct Errors {
    mae: f64,
    rmse: f64,
    r2: f64,
}

impl From<&Scores> for Errors {
    fn from(scores: &Scores) -> Self {
        Self { mae: scores.mae(), rmse: scores.rmse(), r2: scores.r2() }
    }
}

pub(super) fn json(out: &mut impl Write, counts: Counts, champion: usize, models: &[ModelSnapshot]) -> io::Result<()> {
    let report = Report {
        records: counts.records,
        scored: counts.scored,
        dead_letters: counts.rejected,
        champion: models.get(champion).map_or("", |model| &model.name),
        models: models
            .iter()
            .map(|model| ModelReport {
                name: &model.name,
                kind: model.kind,
                mae: model.total.mae(),
                rmse: model.total.rmse(),
                r2: model.total.r2(),
                skill: model.total_skill,
                rolling: (&model.rolling).into(),
                refused: model.refused,
            })
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

pub(super) fn text(out: &mut impl Write, counts: Counts, champion: usize, models: &[ModelSnapshot]) -> io::Result<()> {
    let Counts { records, scored, rejected } = counts;
    writeln!(out, "{records} records, {scored} scored, {rejected} not usable")?;
    let width = models.iter().map(|model| model.name.chars().count()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "  {:width$}  {:>12}  {:>12}  {:>8}  {:>8}  {:>8}",
        "model", "RMSE", "MAE", "R2", "skill", "refused"
    )?;
    for (i, model) in models.iter().enumerate() {
        let mark = if i == champion { '*' } else { ' ' };
        let ModelSnapshot { name, total, total_skill, refused, .. } = model;
        let (rmse, mae, r2) = (significant(total.rmse()), significant(total.mae()), total.r2());
        writeln!(out, "{mark} {name:width$}  {rmse:>12}  {mae:>12}  {r2:>8.4}  {total_skill:>8.4}  {refused:>8}")?;
    }
    writeln!(out, "over the whole run; skill = 1 - RMSE/RMSE(mean); * champion at the end")
}

/// Four decimals for everyday sizes, powers of ten for the rest.
fn significant(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e7).contains(&value.abs()) { format!("{value:.4e}") } else { format!("{value:.4}") }
}
