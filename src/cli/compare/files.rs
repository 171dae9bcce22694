//! The results for programs, and the writing of all results to the disk.

use std::{fs, path::Path};

use anyhow::Context;
use serde::Serialize;

use super::standings::{Board, Figures, MIN_STREAMS, Score, Standings};
use crate::{
    models::explain::Explanation,
    pipeline::{decode::Fields, prequential::PUBLISHED},
};

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    streams: Vec<StreamPart<'a>>,
    overall: OverallPart<'a>,
    models: Vec<ModelPart<'a>>,
}

#[derive(Serialize)]
struct StreamPart<'a> {
    name: &'a str,
    kind: &'static str,
    records: u64,
    scored: u64,
    dead_letters: u64,
    skipped: u64,
    rejections: &'a [String],
    notices: &'a [String],
    fields: &'a Fields,
    drifts: Vec<DriftPart>,
    winner: &'a str,
    verdict: String,
    test: String,
    /// Sorted, the best first.
    models: Vec<ScorePart<'a>>,
    /// Predictions that the daemon would have published from all models; absent where there is one model.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<PublishedPart>,
    pairs: Vec<PairPart<'a>>,
}

#[derive(Serialize)]
struct DriftPart {
    at: u64,
    width: u64,
}

#[derive(Serialize)]
struct ScorePart<'a> {
    model: &'a str,
    #[serde(flatten)]
    figures: Figures,
    runs: Vec<RunPart>,
    importance: Option<&'a Explanation>,
}

#[derive(Serialize)]
struct PublishedPart {
    #[serde(flatten)]
    figures: Figures,
    runs: Vec<RunPart>,
}

#[derive(Serialize)]
struct RunPart {
    seed: Option<u64>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct PairPart<'a> {
    a: &'a str,
    b: &'a str,
    difference: f64,
    p: Option<f64>,
    beyond_noise: bool,
    too_erratic: bool,
}

#[derive(Serialize)]
struct OverallPart<'a> {
    winner: &'a str,
    verdict: String,
    /// Sorted, the best first.
    models: Vec<RankPart<'a>>,
    friedman: Option<FriedmanPart>,
    critical_difference: Option<f64>,
    least_streams: usize,
    pairs: Vec<RankPairPart<'a>>,
}

#[derive(Serialize)]
struct RankPart<'a> {
    model: &'a str,
    mean_rank: f64,
    wins: usize,
    mean_skill: f64,
}

#[derive(Serialize)]
struct RankPairPart<'a> {
    a: &'a str,
    b: &'a str,
    difference: f64,
    beyond_noise: bool,
    /// Number of streams on which `a`'s error was smaller beyond noise, and on which `b`'s was.
    a_better: usize,
    b_better: usize,
}

#[derive(Serialize)]
struct FriedmanPart {
    chi2: f64,
    f: f64,
    p: f64,
}

#[derive(Serialize)]
struct ModelPart<'a> {
    name: &'a str,
    kind: &'a str,
    settings: &'a str,
}

/// Encodes all results as JSON. Numbers that are not finite are null.
pub(super) fn json(standings: &Standings) -> anyhow::Result<Vec<u8>> {
    let name = |model: usize| standings.models[model].name.as_str();
    let document = Document {
        format: 1,
        streams: standings.streams.iter().map(|board| stream(standings, board)).collect(),
        overall: overall(standings),
        models: standings
            .models
            .iter()
            .enumerate()
            .map(|(i, model)| ModelPart { name: name(i), kind: model.kind, settings: &model.toml })
            .collect(),
    };
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    Ok(text)
}

fn stream<'a>(standings: &'a Standings, board: &'a Board) -> StreamPart<'a> {
    let name = |model: usize| standings.models[model].name.as_str();
    let run = |(seed, run): (&Option<u64>, &Figures)| RunPart { seed: *seed, figures: *run };
    let runs = |score: &Score| board.seeds.iter().zip(&score.runs).map(run).collect();
    let models = board.order.iter().map(|&model| {
        let score = &board.scores[model];
        ScorePart {
            model: name(model),
            figures: score.mean,
            runs: runs(score),
            importance: board.importance[model].as_ref(),
        }
    });
    let pairs = board.pairs.iter().map(|pair| PairPart {
        a: name(pair.a),
        b: name(pair.b),
        difference: pair.difference,
        p: pair.p,
        beyond_noise: pair.beyond_noise(),
        too_erratic: pair.too_erratic(),
    });
    StreamPart {
        name: &board.name,
        kind: board.kind,
        records: board.counts.records,
        scored: board.counts.scored,
        dead_letters: board.counts.rejected,
        skipped: board.counts.skipped,
        rejections: &board.counts.rejections,
        notices: &board.counts.notices,
        fields: &board.counts.fields,
        drifts: board.transitions.iter().map(|it| DriftPart { at: it.at, width: it.width }).collect(),
        winner: name(board.winner()),
        verdict: standings.verdict(board),
        test: board.test.described(),
        models: models.collect(),
        published: board.published.as_ref().map(|score| PublishedPart { figures: score.mean, runs: runs(score) }),
        pairs: pairs.collect(),
    }
}

fn overall(standings: &Standings) -> OverallPart<'_> {
    let overall = &standings.overall;
    let name = |model: usize| standings.models[model].name.as_str();
    let models = overall.order.iter().map(|&model| RankPart {
        model: name(model),
        mean_rank: overall.mean_ranks[model],
        wins: overall.wins[model],
        mean_skill: overall.skill[model],
    });
    let mut pairs = Vec::new();
    for a in 0..standings.models.len() {
        for b in a + 1..standings.models.len() {
            let found = standings.streams.iter().filter_map(|board| board.pair(a, b)).filter(|it| it.beyond_noise());
            let (a_better, b_better) =
                found.fold((0, 0), |(a, b), pair| if pair.difference < 0.0 { (a + 1, b) } else { (a, b + 1) });
            let difference = overall.mean_ranks[a] - overall.mean_ranks[b];
            let beyond_noise = overall.beyond_noise(a, b);
            pairs.push(RankPairPart { a: name(a), b: name(b), difference, beyond_noise, a_better, b_better });
        }
    }
    OverallPart {
        winner: name(overall.winner()),
        verdict: standings.overall_verdict(),
        models: models.collect(),
        friedman: overall.friedman.map(|found| FriedmanPart { chi2: found.chi2, f: found.f, p: found.p }),
        critical_difference: overall.critical_difference,
        least_streams: MIN_STREAMS,
        pairs,
    }
}

/// Encodes the results as CSV: a row per stream, seed and model, and for the published predictions of all models.
pub(super) fn csv(standings: &Standings) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "stream",
        "seed",
        "model",
        "kind",
        "records",
        "scored",
        "rmse",
        "mae",
        "r2",
        "skill",
        "micros",
        "bytes",
        "refused",
        "implausible",
        "stood_in",
        "drifts",
        "rescues",
    ])?;
    for board in &standings.streams {
        for (run, seed) in board.seeds.iter().enumerate() {
            let models = standings.models.iter().map(|model| (&*model.name, model.kind)).zip(&board.scores);
            let published = board.published.iter().map(|score| ((PUBLISHED, PUBLISHED), score));
            for ((name, kind), score) in models.chain(published) {
                let it = &score.runs[run];
                let counts = &it.incidents;
                writer.write_record([
                    board.name.clone(),
                    seed.map_or(String::new(), |seed| seed.to_string()),
                    name.to_owned(),
                    kind.to_owned(),
                    board.counts.records.to_string(),
                    board.counts.scored.to_string(),
                    it.rmse.to_string(),
                    it.mae.to_string(),
                    it.r2.to_string(),
                    it.skill.to_string(),
                    format!("{:.4}", it.micros),
                    it.bytes.to_string(),
                    counts.refused.to_string(),
                    counts.implausible.to_string(),
                    counts.stood_in.to_string(),
                    counts.drifts.to_string(),
                    counts.rescues.to_string(),
                ])?;
            }
        }
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// Writes files into a folder: each is new and whole or as it was before, whenever the process ends.
pub(super) fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> anyhow::Result<()> {
    for (name, content) in files {
        // The name is always the same, so that the next run overwrites the remains of an interrupted one.
        let partial = folder.join(format!(".{name}.partial"));
        let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, folder.join(name)));
        written.with_context(|| {
            // The partial file may not exist.
            let _ = fs::remove_file(&partial);
            format!("{} cannot be written", folder.join(name).display())
        })?;
    }
    Ok(())
}
