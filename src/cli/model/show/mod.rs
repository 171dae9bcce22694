//! `thalweg model show`: prints what the models have learned, for a person at a terminal or in a pipe.
//!
//! Reading order: this file (partitions and models), `table` (columns under each other), `tree`.

mod keys;
mod rules;
mod table;
mod tree;

use std::io::{self, BufWriter, Write, stdout};

use clap::Args;

use super::{Learned, Selection};
use crate::{
    logging::figures,
    metrics::Scores,
    models::{
        Description,
        describe::{Linear, Weight},
        explain::Explanation,
        per_key::OwnDescription,
        steps::StepDescription,
    },
    pipeline::{
        learned::{Keys, LearnedModel},
        snapshot::ModelSnapshot,
    },
    settings::Settings,
};
use table::{Table, number};

/// Keys of each end that are printed unless more are asked for.
const MAX_KEYS_SHOWN: usize = 10;

/// Most categories of a feature that are printed.
const MAX_CATEGORIES_SHOWN: usize = 12;

#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    selection: Selection,
    /// Levels of a tree that are printed
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    depth: u32,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let learned = super::read(settings, &options.selection, Keys::Ends(MAX_KEYS_SHOWN))?;
    let mut out = BufWriter::with_capacity(1 << 16, stdout().lock());
    for Learned { found, models } in &learned {
        let checkpoint = &found.checkpoint;
        writeln!(
            out,
            "partition {} of {}: version {} (samples learned), position {}, written {} UTC",
            checkpoint.partition,
            checkpoint.topic,
            checkpoint.prequential.version(),
            checkpoint.position,
            found.written_at
        )?;
        published(&mut out, &checkpoint.prequential.published())?;
        for learned in models {
            writeln!(out)?;
            model(&mut out, learned, options.depth as usize)?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}

/// Prints the scores of the published predictions, if any were scored.
fn published(out: &mut impl Write, standing: &ModelSnapshot) -> io::Result<()> {
    if standing.total.n() == 0 {
        return Ok(());
    }
    writeln!(out, "\npublished, whichever model was champion\n  scored {}", standing.total.n())?;
    errors(out, standing)
}

fn errors(out: &mut impl Write, standing: &ModelSnapshot) -> io::Result<()> {
    let mut errors = Table::new(&["errors", "RMSE", "MAE", "R2", "skill"]);
    for (name, scores, skill) in
        [("rolling", &standing.rolling, standing.skill), ("total", &standing.total, standing.total_skill)]
    {
        let [rmse, mae] = [Scores::rmse, Scores::mae].map(|figure| scores.known(figure));
        errors.known(name, [rmse, mae, scores.known_r2(), skill]);
    }
    errors.print(out, 2)
}

fn model(out: &mut impl Write, model: &LearnedModel, depth: usize) -> io::Result<()> {
    let LearnedModel { config, standing, is_champion, steps, description, own, explanation } = model;
    let mark = if *is_champion { ", champion" } else { "" };
    writeln!(out, "{} ({}{mark})", config.name, standing.kind)?;
    let counts = standing.counts;
    writeln!(
        out,
        "  scored {}, refused {}, drifts {}, rescues {}, size {}",
        standing.total.n(),
        counts.refused,
        counts.drifts,
        counts.rescues,
        figures::bytes(standing.memory as u64)
    )?;
    errors(out, standing)?;
    for description in steps {
        step(out, description)?;
    }
    learned(out, description, depth)?;
    for OwnDescription { name, steps, learned: description } in own {
        writeln!(out, "  {name}, of this key alone")?;
        for description in steps {
            step(out, description)?;
        }
        learned(out, description, depth)?;
    }
    explanation.as_ref().map_or(Ok(()), |explanation| importance(out, explanation))
}

fn learned(out: &mut impl Write, description: &Description, depth: usize) -> io::Result<()> {
    match description {
        Description::Constant(constant) => writeln!(out, "  predicts {}", number(constant.prediction)),
        Description::Linear(model) => linear(out, model),
        Description::Network(network) => {
            linear(out, &network.linear)?;
            for (i, unit) in network.units.iter().enumerate() {
                writeln!(out, "  unit {} of {}: weight {}, tanh of", i + 1, network.units.len(), number(unit.weight))?;
                linear(out, &unit.input)?;
            }
            Ok(())
        }
        Description::Tree(learned) => tree::print(out, learned, depth),
        Description::Forest(forest) => {
            for (i, learned) in forest.trees.iter().enumerate() {
                writeln!(out, "  tree {} of {}", i + 1, forest.trees.len())?;
                tree::print(out, learned, depth)?;
            }
            Ok(())
        }
        Description::Rules(learned) => rules::print(out, learned),
        Description::Mixture(mixture) => {
            let mut table = Table::new(&[mixture.rule, "weight", "recent RMSE"]);
            mixture.members.iter().for_each(|it| table.row(&it.name, [it.weight, it.recent_rmse]));
            table.print(out, 2)
        }
        Description::PerKey(learned) => keys::print(out, learned),
    }
}

fn step(out: &mut impl Write, step: &StepDescription) -> io::Result<()> {
    match step {
        StepDescription::StandardScaler { features, .. } => {
            let mut table = Table::new(&["standard_scaler", "mean", "deviation", "n"]);
            features.iter().for_each(|it| table.row(&it.feature, [it.mean, it.deviation, it.n]));
            table.print(out, 2)
        }
        StepDescription::MinMaxScaler { features } => {
            let mut table = Table::new(&["min_max_scaler", "least", "greatest"]);
            features.iter().for_each(|it| table.row(&it.feature, [it.least, it.greatest]));
            table.print(out, 2)
        }
        StepDescription::OneHot { columns } => writeln!(out, "  one_hot: {}", list(columns)),
        StepDescription::TargetEncoder { mean, features, .. } => {
            let mut table = Table::new(&["target_encoder", "mean", "n"]);
            let mut left_out = Vec::new();
            for feature in features {
                // We print the most frequent ones, which are typical of the feature.
                let mut categories: Vec<_> = feature.categories.iter().collect();
                categories.sort_by(|a, b| b.n.total_cmp(&a.n));
                for it in categories.iter().take(MAX_CATEGORIES_SHOWN) {
                    table.row(&format!("{}={}", feature.feature, it.category), [it.mean, it.n]);
                }
                let more = categories.len().saturating_sub(MAX_CATEGORIES_SHOWN);
                if more > 0 {
                    left_out.push(format!("{more} more of {}", feature.feature));
                }
            }
            table.print(out, 2)?;
            if !left_out.is_empty() {
                writeln!(out, "    and {}, less frequent; export has all", left_out.join(", "))?;
            }
            writeln!(out, "    mean of all targets {}", number(*mean))
        }
        StepDescription::Polynomial { columns } => writeln!(out, "  polynomial: {}", list(columns)),
    }
}

/// Lists the names that fit on a line, and how many more there are.
fn list(names: &[String]) -> String {
    const MAX_NAMES_SHOWN: usize = 8;
    let more = names.len().saturating_sub(MAX_NAMES_SHOWN);
    let shown = names[..names.len() - more].join(", ");
    match (names.len(), more) {
        (0, _) => "no columns yet".into(),
        (_, 0) => shown,
        _ => format!("{shown} and {more} more"),
    }
}

fn linear(out: &mut impl Write, model: &Linear) -> io::Result<()> {
    let mut table = Table::new(&["feature", "weight"]);
    table.row("(intercept)", [model.intercept]);
    for Weight { feature, weight } in by_weight(model) {
        table.row(feature, [*weight]);
    }
    table.print(out, 2)
}

/// Prints the features that matter most, with their shares.
fn importance(out: &mut impl Write, explanation: &Explanation) -> io::Result<()> {
    const MAX_FEATURES_SHOWN: usize = 10;
    let Explanation { method, samples, features } = explanation;
    let mut table = Table::new(&[&format!("importance by {}", method.in_words()), "share"]);
    features.iter().take(MAX_FEATURES_SHOWN).for_each(|it| table.row(&it.feature, [it.share]));
    table.print(out, 2)?;
    let more = features.len().saturating_sub(MAX_FEATURES_SHOWN);
    let more = if more > 0 { format!("and {more} more, ") } else { String::new() };
    writeln!(out, "    {more}over the last {samples} samples")
}

/// Returns the weights, largest first; equal ones in the order of the columns.
fn by_weight(model: &Linear) -> Vec<&Weight> {
    let mut weights: Vec<&Weight> = model.weights.iter().collect();
    weights.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
    weights
}
