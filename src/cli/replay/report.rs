//! The final metrics of a replay, for people and for programs.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use super::{super::emphasis::Emphasis, Counts};
use crate::{
    logging::figures::{NO_FIGURE, finite, short, significant},
    metrics::{Coverage, Faded, Quantiles, Scores},
    pipeline::{
        decode::Fields,
        prequential::{PUBLISHED, Prequential},
        snapshot::{Late, ModelSnapshot},
    },
};

#[derive(Serialize)]
struct Report<'a> {
    records: u64,
    scored: u64,
    dead_letters: u64,
    /// Number of records that only said that a row was deleted.
    skipped: u64,
    /// Targets that come later than their samples; absent where none do.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Labels>,
    /// Number of rejected records by reason.
    reasons: &'a BTreeMap<&'static str, u64>,
    champion: &'a str,
    /// Use of the records' fields.
    fields: &'a Fields,
    /// Absent where no intervals are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<Intervals>,
    /// Scores of the published predictions, whichever model made them.
    published: PublishedReport,
    models: Vec<ModelReport<'a>>,
}

/// Targets that come later than their samples.
#[derive(Serialize)]
struct Labels {
    /// Records that were labels.
    records: u64,
    labelled: u64,
    corrected: u64,
    waiting: u64,
    expired: u64,
    no_room: u64,
    unmatched: u64,
    /// Seconds from a sample to its label.
    delay_p50: Option<f64>,
    delay_p90: Option<f64>,
    delay_p99: Option<f64>,
}

impl Labels {
    fn of(late: &Late, records: u64) -> Self {
        let Late { waiting, labelled, corrected, expired, no_room, unmatched, delays, .. } = *late;
        let [delay_p50, delay_p90, delay_p99] = [0, 1, 2].map(|i| delays.map(|delays| delays[i]));
        Self { records, labelled, corrected, waiting, expired, no_room, unmatched, delay_p50, delay_p90, delay_p99 }
    }
}

/// Figures like those of a model.
#[derive(Serialize)]
struct PublishedReport {
    #[serde(flatten)]
    total: Errors,
    skill: Option<f64>,
    rolling: Errors,
    faded: FadedErrors,
    implausible: u64,
    stood_in: u64,
}

/// Coverage over the whole run, and over the last samples.
#[derive(Serialize)]
struct Intervals {
    target: f64,
    coverage: Option<f64>,
    width: Option<f64>,
    recent_coverage: Option<f64>,
    recent_width: Option<f64>,
}

impl From<Coverage> for Intervals {
    fn from(coverage: Coverage) -> Self {
        let known = |figure: f64| (coverage.n() > 0).then_some(figure);
        Self {
            target: coverage.target(),
            coverage: known(coverage.total()),
            width: known(coverage.total_width()),
            recent_coverage: known(coverage.recent()),
            recent_width: known(coverage.recent_width()),
        }
    }
}

#[derive(Serialize)]
struct ModelReport<'a> {
    name: &'a str,
    kind: &'a str,
    #[serde(flatten)]
    total: Errors,
    skill: Option<f64>,
    rolling: Errors,
    faded: FadedErrors,
    refused: u64,
    implausible: u64,
    stood_in: u64,
    drifts: u64,
    rescues: u64,
    memory_bytes: usize,
}

/// `null` where there is no figure yet.
#[derive(Serialize)]
struct Errors {
    mae: Option<f64>,
    rmse: Option<f64>,
    r2: Option<f64>,
    bias: Option<f64>,
    smape: Option<f64>,
    error_p50: Option<f64>,
    error_p90: Option<f64>,
    error_p99: Option<f64>,
}

#[derive(Serialize)]
struct FadedErrors {
    mae: Option<f64>,
    rmse: Option<f64>,
    bias: Option<f64>,
    smape: Option<f64>,
}

impl Errors {
    fn of(scores: &Scores, errors: &Quantiles) -> Self {
        Self {
            mae: scores.known(Scores::mae),
            rmse: scores.known(Scores::rmse),
            r2: scores.known_r2(),
            bias: scores.known(Scores::bias),
            smape: scores.known(Scores::smape),
            error_p50: errors.known(0.5),
            error_p90: errors.known(0.9),
            error_p99: errors.known(0.99),
        }
    }
}

impl From<&Faded> for FadedErrors {
    fn from(faded: &Faded) -> Self {
        let [mae, rmse, bias, smape] =
            [Faded::mae, Faded::rmse, Faded::bias, Faded::smape].map(|figure| faded.known(figure));
        Self { mae, rmse, bias, smape }
    }
}

pub(super) fn json(
    out: &mut impl Write,
    counts: &Counts,
    late: Option<Late>,
    fields: &Fields,
    race: &Prequential,
) -> io::Result<()> {
    let (models, published) = (race.standings(), race.published());
    let report = Report {
        records: counts.records,
        scored: counts.scored,
        dead_letters: counts.rejected,
        skipped: counts.skipped,
        labels: late.map(|late| Labels::of(&late, counts.labels)),
        reasons: &counts.reasons,
        champion: models.get(race.champion()).map_or("", |model| &model.name),
        fields,
        intervals: race.coverage().map(Into::into),
        published: PublishedReport {
            total: Errors::of(&published.total, &published.total_errors),
            skill: published.total_skill,
            rolling: Errors::of(&published.rolling, &published.rolling_errors),
            faded: (&published.faded).into(),
            implausible: published.counts.implausible,
            stood_in: published.counts.stood_in,
        },
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
                stood_in: model.counts.stood_in,
                drifts: model.counts.drifts,
                rescues: model.counts.rescues,
                memory_bytes: model.memory,
            })
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

pub(super) fn text(
    out: &mut impl Write,
    counts: &Counts,
    late: Option<Late>,
    race: &Prequential,
    emphasis: Emphasis,
) -> io::Result<()> {
    let models = race.standings();
    let Counts { records, scored, rejected, skipped, labels, reasons } = counts;
    let told: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) };
    let skipped = if *skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    writeln!(out, "{records} records, {scored} scored, {rejected} not usable{told}{skipped}")?;
    if let Some(late) = late {
        writeln!(out, "{}", waiting(&late, *labels))?;
    }
    let published = race.published();
    let best = models.iter().filter_map(|model| model.total.known(Scores::rmse)).min_by(f64::total_cmp);
    let names = models.iter().chain([&published]).map(|model| model.name.chars().count());
    let width = names.max().unwrap_or(0).max(5);
    writeln!(
        out,
        "  {:width$}  {:>12}  {:>12}  {:>8}  {:>8}  {:>8}",
        "model", "RMSE", "MAE", "R2", "skill", "refused"
    )?;
    for (i, model) in models.iter().chain([&published]).enumerate() {
        let mark = if i == race.champion() { '*' } else { ' ' };
        let ModelSnapshot { name, total, total_skill, counts, .. } = model;
        let [rmse, mae] = [Scores::rmse, Scores::mae].map(|figure| finite(total.known(figure), significant));
        let [r2, skill] = [total.known_r2(), *total_skill].map(|share| finite(share, |share| format!("{share:.4}")));
        let refused = if i < models.len() { counts.refused.to_string() } else { NO_FIGURE.to_owned() };
        let row = format!("{mark} {name:width$}  {rmse:>12}  {mae:>12}  {r2:>8}  {skill:>8}  {refused:>8}");
        let is_best = i < models.len() && best.is_some() && total.known(Scores::rmse) == best;
        let row = if is_best { emphasis.strong(row) } else { row };
        writeln!(out, "{row}")?;
    }
    writeln!(out, "over the whole run; skill = 1 - RMSE/RMSE(mean); * champion at the end")?;
    writeln!(out, "{PUBLISHED}: what was the champion's when it was predicted, changes of the champion included")?;
    if let Some(coverage) = race.coverage().filter(|coverage| coverage.n() > 0) {
        let (held, wanted) = (100.0 * coverage.total(), 100.0 * coverage.target());
        let width = significant(coverage.total_width());
        writeln!(out, "intervals held {held:.2} % of the targets ({wanted} % wanted), mean width {width}")?;
    }
    Ok(())
}

/// Says what has become of samples whose targets come late.
fn waiting(late: &Late, labels: u64) -> String {
    let Late { labelled, waiting, delays, .. } = *late;
    let mut text = format!("{labelled} targets came after their samples, {waiting} have not come");
    if labels > 0 {
        text = format!("{labels} records are labels; {text}");
    }
    if let Some([half, _, nearly_all]) = delays {
        let [half, nearly_all] = [half, nearly_all].map(short);
        text.push_str(&format!("; half came within {half} s, 99 % within {nearly_all} s"));
    }
    let others = [
        (late.corrected, "were corrected"),
        (late.expired, "samples waited for too long"),
        (late.no_room, "samples had no room to wait"),
        (late.unmatched, "labels had no sample"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!("; {count} {what}"));
    }
    text
}
