//! The report: one page that needs nothing else.
//!
//! Invariant: the page asks for nothing from anywhere (its own policy forbids it), has no script, and is well-formed
//! XML, so that any name of a stream or a model stays text.

mod plot;

use std::fmt::Write;

use super::{
    standings::{Board, Figures, Score, Standings},
    text,
};
use crate::{
    app::fields,
    logging::figures::{bytes, chance, grouped, significant},
    models::explain::{Explanation, Importance},
    pipeline::prequential::PUBLISHED,
};
use plot::{Line, MAX_SERIES};
use thalweg_http::STYLE as SHARED_STYLE;

/// What is this page's own; the rest is the dashboard's.
const STYLE: &str = include_str!("style.css");

/// Most features in a table.
const MAX_FEATURES: usize = 12;

/// Most models in a table of all pairs.
const MAX_PAIRED_MODELS: usize = 12;

pub(super) fn page(standings: &Standings) -> anyhow::Result<Vec<u8>> {
    let mut out = String::with_capacity(1 << 20);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    out.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n",
    );
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    write!(
        out,
        "<title>Thalweg: comparison</title>\n<style>\n{SHARED_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>\n"
    )?;
    head(&mut out, standings)?;
    if standings.streams.len() > 1 {
        overall(&mut out, standings)?;
    }
    for (i, board) in standings.streams.iter().enumerate() {
        section(&mut out, standings, i, board)?;
    }
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(out.into_bytes())
}

fn head(out: &mut String, standings: &Standings) -> std::fmt::Result {
    let (models, streams) = (standings.models.len(), standings.streams.len());
    let many = |count: usize| if count == 1 { "" } else { "s" };
    writeln!(out, "<h1>Which model is best?</h1>")?;
    let version = env!("CARGO_PKG_VERSION");
    writeln!(
        out,
        "<p class=\"soft\">{models} model{} over {streams} stream{}, each sample predicted before it was learned from \
         (thalweg {version} compare)</p>",
        many(models),
        many(streams)
    )?;
    if streams > 1 {
        out.push_str("<nav>");
        for (i, board) in standings.streams.iter().enumerate() {
            write!(out, "<a href=\"#stream{i}\">{}</a> ", escaped(&board.name))?;
        }
        out.push_str("</nav>\n");
    }
    Ok(())
}

fn overall(out: &mut String, standings: &Standings) -> std::fmt::Result {
    let overall = &standings.overall;
    writeln!(out, "<section>\n<h2>Over all streams</h2>")?;
    writeln!(out, "<p class=\"verdict\">{}</p>", escaped(&standings.overall_verdict()))?;
    out.push_str("<div class=\"wide\"><table>\n<tr><th></th><th>model</th><th>mean rank</th><th>wins</th><th>mean skill</th><th>to the first</th></tr>\n");
    for (place, &model) in overall.order.iter().enumerate() {
        let more = overall.mean_ranks[model] - overall.mean_ranks[overall.winner()];
        let (class, distance) = match place {
            0 => ("", String::new()),
            _ if overall.beyond_noise(overall.winner(), model) => ("", format!("+{more:.2}")),
            _ => (" class=\"noise\"", format!("~ +{more:.2}")),
        };
        let best = if place == 0 { " class=\"best\"" } else { "" };
        writeln!(
            out,
            "<tr{best}><td>{}</td><td>{}</td><td>{:.2}</td><td>{}</td><td>{}</td><td{class}>{distance}</td></tr>",
            place + 1,
            escaped(&standings.models[model].name),
            overall.mean_ranks[model],
            overall.wins[model],
            text::share(overall.skill[model])
        )?;
    }
    writeln!(
        out,
        "</table></div>\n<p class=\"soft\">By the rank of the RMSE on each stream (Demšar 2006); ~ within noise, or too few \
         streams to tell. Skill is 1 − RMSE/RMSE(mean).</p>"
    )?;
    settings(out, standings, overall.winner(), "Settings of the first", true)?;
    writeln!(out, "</section>")
}

fn section(out: &mut String, standings: &Standings, i: usize, board: &Board) -> anyhow::Result<()> {
    writeln!(out, "<section id=\"stream{i}\">\n<h2>{}</h2>", escaped(&board.name))?;
    writeln!(
        out,
        "<p class=\"verdict\">{}</p>\n<p class=\"soft\">{}</p>",
        escaped(&standings.verdict(board)),
        about(board)
    )?;
    curves(out, standings, board)?;
    leaderboard(out, standings, board)?;
    if board.scores.len() > 1 {
        writeln!(
            out,
            "<p class=\"soft\">~ within noise, ! too erratic to judge, ? cannot be judged: {}.</p>",
            escaped(&board.test.described())
        )?;
        pairs(out, standings, board)?;
    }
    predictions(out, standings, board)?;
    importance(out, standings, board)?;
    settings(out, standings, board.winner(), "Settings of the winner", standings.streams.len() == 1)?;
    used(out, board)?;
    rejections(out, board)?;
    writeln!(out, "</section>")?;
    Ok(())
}

fn about(board: &Board) -> String {
    let counts = &board.counts;
    let mut text = format!("{} records, {} scored", grouped(counts.records as f64), grouped(counts.scored as f64));
    if counts.rejected > 0 {
        text.push_str(&format!(", {} not usable", grouped(counts.rejected as f64)));
    }
    if counts.skipped > 0 {
        text.push_str(&format!(", {} skipped", grouped(counts.skipped as f64)));
    }
    if let Some(late) = counts.late.as_ref().filter(|late| late.waiting > 0) {
        text.push_str(&format!(", {} targets had not come", grouped(late.waiting as f64)));
    }
    match &board.seeds[..] {
        [Some(seed)] => text.push_str(&format!(", seed {seed}")),
        [Some(first), .., Some(last)] => {
            text.push_str(&format!(", seeds {first} to {last}; plots are of the first"));
        }
        _ => {}
    }
    text
}

/// Returns the index of the style of a model's line; only the best models have a line.
fn series_of(board: &Board, model: usize) -> usize {
    // We take the place in the settings where there are few enough models, so that a model looks the same on every
    // stream.
    if board.scores.len() <= MAX_SERIES { model } else { board.order.iter().position(|it| *it == model).unwrap_or(0) }
}

fn curves(out: &mut String, standings: &Standings, board: &Board) -> anyhow::Result<()> {
    let drawn = &board.order[..board.order.len().min(MAX_SERIES)];
    let lines: Vec<Line<'_>> = drawn
        .iter()
        .rev()
        .map(|&model| Line {
            series: series_of(board, model),
            bins: &board.traces[model].curve.bins,
            is_winner: model == board.winner(),
        })
        .collect();
    let title = format!("Rolling RMSE of each model on {}", board.name);
    let svg = plot::curves(&title, &lines, &board.transitions).map_err(anyhow::Error::from_boxed)?;
    writeln!(out, "<h3>Error over time</h3>\n<ul class=\"legend\">")?;
    for &model in drawn {
        let (series, name) = (series_of(board, model), escaped(&standings.models[model].name));
        let width = if model == board.winner() { 3 } else { 2 };
        writeln!(
            out,
            "<li><svg class=\"key\" viewBox=\"0 0 28 10\"><path class=\"s{series}\" stroke-width=\"{width}\" fill=\"none\" \
             d=\"M0 5H28\"/></svg>{name}</li>"
        )?;
    }
    if !board.transitions.is_empty() {
        writeln!(
            out,
            "<li><svg class=\"key\" viewBox=\"0 0 28 10\"><path class=\"drift\" fill=\"none\" d=\"M14 0V10\"/></svg>drift</li>"
        )?;
    }
    writeln!(out, "</ul>\n<figure>{svg}")?;
    let mut caption =
        "Over the last metrics.window samples; of neighbouring values the least and the greatest are drawn, and \
                       peaks far beyond the rest are cut at the top."
            .to_owned();
    if board.order.len() > MAX_SERIES {
        caption.push_str(&format!(" The best {MAX_SERIES} of {} models.", board.order.len()));
    }
    let drifts: Vec<String> = board.transitions.iter().take(12).map(text::transition).collect();
    if !drifts.is_empty() {
        let more = if board.transitions.len() > drifts.len() { " …" } else { "" };
        caption.push_str(&format!(" The concept changes at {}{more}.", drifts.join(", ")));
    }
    writeln!(out, "<figcaption>{caption}</figcaption></figure>")?;
    Ok(())
}

fn leaderboard(out: &mut String, standings: &Standings, board: &Board) -> std::fmt::Result {
    out.push_str("<h3>Leaderboard</h3>\n<div class=\"wide\"><table>\n<tr><th></th><th>model</th><th>RMSE</th><th>MAE</th><th>R²</th>");
    out.push_str("<th>skill</th><th>µs/record</th><th>bytes</th><th>to best</th></tr>\n");
    for (place, &model) in board.order.iter().enumerate() {
        let Figures { rmse, mae, r2, skill, micros, bytes: size, .. } = &board.scores[model].mean;
        let level = place > 0 && board.pair(board.winner(), model).is_some_and(|pair| !pair.beyond_noise());
        writeln!(
            out,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{micros:.2}</td><td>{}</td><td{}>{}</td></tr>",
            if place == 0 { " class=\"best\"" } else { "" },
            place + 1,
            escaped(&standings.models[model].name),
            significant(*rmse),
            significant(*mae),
            text::share(*r2),
            text::share(*skill),
            bytes(*size as u64),
            if level { " class=\"noise\"" } else { "" },
            text::distance(board, model)
        )?;
    }
    if let Some(Score { mean, .. }) = &board.published {
        let Figures { rmse, mae, r2, skill, micros, bytes: size, .. } = mean;
        writeln!(
            out,
            "<tr><td></td><td>{PUBLISHED}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{micros:.2}</td><td>{}</td><td>{}</td></tr>",
            significant(*rmse),
            significant(*mae),
            text::share(*r2),
            text::share(*skill),
            bytes(*size as u64),
            text::beside_the_best(board, *rmse)
        )?;
    }
    writeln!(out, "</table></div>")?;
    if board.published.is_some() {
        writeln!(
            out,
            "<p class=\"soft\">{PUBLISHED}: what the daemon publishes of all models together, changes of the champion \
             included.</p>"
        )?;
    }
    Ok(())
}

/// Writes a table of all pairs: the excess of the row's RMSE over the column's, and its p-value.
fn pairs(out: &mut String, standings: &Standings, board: &Board) -> std::fmt::Result {
    if board.order.len() > MAX_PAIRED_MODELS {
        return Ok(());
    }
    writeln!(
        out,
        "<details><summary>Every two models</summary>\n<div class=\"wide\"><table class=\"pairs\">\n<tr><th>RMSE over</th>"
    )?;
    for &model in &board.order {
        writeln!(out, "<th>{}</th>", escaped(&standings.models[model].name))?;
    }
    writeln!(out, "</tr>")?;
    for &row in &board.order {
        writeln!(out, "<tr><td>{}</td>", escaped(&standings.models[row].name))?;
        for &column in &board.order {
            let Some(pair) = board.pair(row, column).filter(|_| row != column) else {
                out.push_str("<td></td>");
                continue;
            };
            let difference = if pair.a == row { pair.difference } else { -pair.difference };
            let class = if pair.beyond_noise() { "" } else { " class=\"noise\"" };
            let p = pair.p.map_or("not judged".to_owned(), chance);
            let sign = if difference > 0.0 { "+" } else { "" };
            writeln!(out, "<td{class}>{sign}{} ({})</td>", significant(difference), escaped(&p))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table></div></details>")
}

fn predictions(out: &mut String, standings: &Standings, board: &Board) -> anyhow::Result<()> {
    let winner = board.winner();
    let (trace, series) = (&board.traces[winner], series_of(board, winner));
    let name = &standings.models[winner].name;
    let title = format!("Predictions of {name} and targets on {}", board.name);
    let latest = plot::latest(&title, trace.latest.iter(), series).map_err(anyhow::Error::from_boxed)?;
    let scatter = plot::scatter(&title, &trace.scatter.kept, series).map_err(anyhow::Error::from_boxed)?;
    writeln!(
        out,
        "<h3>Predictions of {}</h3>\n<div class=\"beside\">\n<figure class=\"long\">{latest}<figcaption>The newest {} \
         samples: targets as dots, predictions as a line.</figcaption></figure>",
        escaped(name),
        trace.latest.len()
    )?;
    writeln!(
        out,
        "<figure>{scatter}<figcaption>Prediction against target of {} samples, spread evenly over the whole run; right \
         ones lie on the line.</figcaption></figure>\n</div>",
        trace.scatter.kept.len()
    )?;
    Ok(())
}

/// Writes the features that matter to the winner.
fn importance(out: &mut String, standings: &Standings, board: &Board) -> std::fmt::Result {
    let winner = board.winner();
    let Some(Explanation { method, samples, features }) = &board.importance[winner] else { return Ok(()) };
    let name = escaped(&standings.models[winner].name);
    writeln!(out, "<h3>What matters to {name}</h3>\n<div class=\"wide\"><table class=\"shares\">")?;
    writeln!(out, "<tr><th>feature</th><th>share</th><th></th></tr>")?;
    for Importance { feature, share } in features.iter().take(MAX_FEATURES) {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td><i style=\"width:{:.1}%\"></i></td></tr>",
            escaped(feature),
            text::share(*share),
            100.0 * share
        )?;
    }
    let more = features.len().saturating_sub(MAX_FEATURES);
    let more = if more > 0 { format!(" {more} more are in the JSON file.") } else { String::new() };
    writeln!(
        out,
        "</table></div>\n<p class=\"soft\">By {} over the last {samples} samples.{more}</p>",
        method.in_words()
    )
}

/// Writes the settings to paste to run a model. A stream's are folded away: there are as many as streams.
fn settings(out: &mut String, standings: &Standings, model: usize, title: &str, is_open: bool) -> std::fmt::Result {
    writeln!(
        out,
        "<details{}><summary>{title}: {}</summary>\n<p class=\"soft\">In settings.toml, in place of its [[models]]:</p>\n\
         <pre><code>{}</code></pre></details>",
        if is_open { " open=\"open\"" } else { "" },
        escaped(&standings.models[model].name),
        escaped(&standings.models[model].toml)
    )
}

fn used(out: &mut String, board: &Board) -> std::fmt::Result {
    writeln!(out, "<details><summary>Fields: what is used, and what is not</summary>\n<ul>")?;
    for line in fields::lines(&board.counts.fields).iter().chain(&board.counts.notices) {
        writeln!(out, "<li class=\"soft\">{}</li>", escaped(line))?;
    }
    writeln!(out, "</ul></details>")
}

fn rejections(out: &mut String, board: &Board) -> std::fmt::Result {
    if board.counts.rejections.is_empty() {
        return Ok(());
    }
    let count = grouped(board.counts.rejected as f64);
    writeln!(out, "<details><summary>{count} records that could not be used</summary>\n<ul>")?;
    for rejection in &board.counts.rejections {
        writeln!(out, "<li class=\"soft\">{}</li>", escaped(rejection))?;
    }
    writeln!(out, "</ul></details>")
}

/// Escapes text, for elements and attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            // XML forbids these characters, even escaped.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
