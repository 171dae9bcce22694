//! `thalweg model export`: writes everything as one JSON document, every number exact to the bit.

use std::{
    fs::File,
    io::{BufWriter, Write, stdout},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Learned, LearnedModel, Selection};
use crate::{
    metrics::Scores,
    models::{Description, ModelKind, explain::Explanation, steps::StepDescription},
    settings::Settings,
};

/// Format of the document; raised when a reader of an older document would misunderstand a newer one.
const FORMAT: u32 = 1;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    topic: &'a str,
    partitions: Vec<Partition<'a>>,
}

#[derive(Serialize)]
struct Partition<'a> {
    partition: i32,
    position: i64,
    version: u64,
    written_at: &'a str,
    /// Scores of the published predictions, whichever model made them.
    published: Published,
    models: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Published {
    rolling: Errors,
    total: Errors,
    /// Skill against the mean; `null` where there is none yet.
    rolling_skill: Option<f64>,
    total_skill: Option<f64>,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    kind: &'static str,
    champion: bool,
    parameters: Value,
    rolling: Errors,
    total: Errors,
    steps: &'a [StepDescription],
    learned: &'a Description,
    importance: Option<&'a Explanation>,
}

#[derive(Serialize)]
struct Errors {
    n: u64,
    /// `null` where there is no figure yet.
    mae: Option<f64>,
    rmse: Option<f64>,
    r2: Option<f64>,
}

impl From<&Scores> for Errors {
    fn from(scores: &Scores) -> Self {
        let [mae, rmse] = [Scores::mae, Scores::rmse].map(|figure| scores.known(figure));
        Self { n: scores.n(), mae, rmse, r2: scores.known_r2() }
    }
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let learned = super::read(settings, &options.selection)?;
    let partitions = learned.iter().map(partition).collect::<anyhow::Result<_>>()?;
    let document = Document { format: FORMAT, topic: &settings.topics.samples, partitions };
    match &options.output {
        None => write(&document, stdout().lock()),
        Some(path) => {
            let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
            write(&document, file)
        }
    }
}

fn write(document: &Document<'_>, out: impl Write) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    serde_json::to_writer_pretty(&mut out, document).map_err(std::io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

fn partition(Learned { found, models }: &Learned) -> anyhow::Result<Partition<'_>> {
    let checkpoint = &found.checkpoint;
    let published = checkpoint.prequential.published();
    Ok(Partition {
        partition: checkpoint.partition,
        position: checkpoint.position,
        version: checkpoint.prequential.version(),
        written_at: &found.written_at,
        published: Published {
            rolling: (&published.rolling).into(),
            total: (&published.total).into(),
            rolling_skill: published.skill,
            total_skill: published.total_skill,
        },
        models: models.iter().map(model).collect::<anyhow::Result<_>>()?,
    })
}

fn model(model: &LearnedModel) -> anyhow::Result<Model<'_>> {
    Ok(Model {
        name: &model.config.name,
        kind: model.config.kind.name(),
        champion: model.is_champion,
        parameters: parameters(&model.config.kind)?,
        rolling: (&model.standing.rolling).into(),
        total: (&model.standing.total).into(),
        steps: &model.steps,
        learned: &model.description,
        importance: model.explanation.as_ref(),
    })
}

/// Returns the kind's own parameters, without its name around them.
fn parameters(kind: &ModelKind) -> anyhow::Result<Value> {
    Ok(match serde_json::to_value(kind)? {
        Value::Object(variant) => variant.into_iter().next().map_or(Value::Null, |(_, parameters)| parameters),
        _ => Value::Object(serde_json::Map::new()),
    })
}
