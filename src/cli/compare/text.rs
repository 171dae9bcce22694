//! Prints the leaderboards on the terminal, within 100 columns unless names need more to be told apart.

use std::io::{self, Write};

use super::{
    super::emphasis::Emphasis,
    standings::{ALPHA, Board, Figures, Pair, Score, Standings, Test},
};
use crate::{
    app::fields,
    generator::Transition,
    logging::figures::{NO_FIGURE, bytes, cut, grouped, short, significant},
    pipeline::prequential::PUBLISHED,
};

/// Most characters of a model's name, where they tell it from the others; files have it whole.
const MAX_NAME_WIDTH: usize = 26;

pub(super) fn print(out: &mut impl Write, standings: &Standings, emphasis: Emphasis) -> io::Result<()> {
    let names = cut(standings.models.iter().map(|model| &*model.name), MAX_NAME_WIDTH);
    let least = if standings.models.len() > 1 { PUBLISHED.len() } else { 5 };
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(least);
    for board in &standings.streams {
        writeln!(out, "{}", about(board))?;
        if board.kind != "function" {
            let used = fields::lines(&board.counts.fields);
            for line in board.counts.rejections.iter().chain(&board.counts.notices).chain(&used) {
                eprintln!("{}: {line}", board.name);
            }
        }
        table(out, &names, board, width, emphasis)?;
        writeln!(out, "  {}\n", standings.verdict(board))?;
    }
    if standings.streams.len() > 1 {
        overall(out, standings, &names, width)?;
    }
    wrapped(
        out,
        "skill = 1 - RMSE/RMSE(mean); us/record: CPU time to predict, score and learn, the baseline of skill included",
    )?;
    if standings.models.len() > 1 {
        wrapped(out, "published: what the daemon publishes of all models together, changes of the champion included")?;
    }
    let mut tests: Vec<Test> = Vec::new();
    for board in standings.streams.iter().filter(|board| board.scores.len() > 1) {
        if !tests.contains(&board.test) {
            tests.push(board.test);
        }
    }
    for test in tests {
        wrapped(
            out,
            &format!(
                "~ within noise, ! too erratic to judge, ? cannot be judged, at {:.0} %: {}",
                ALPHA * 100.0,
                test.described()
            ),
        )?;
    }
    Ok(())
}

/// Describes the records of a stream.
fn about(board: &Board) -> String {
    let counts = &board.counts;
    let mut text = format!("{}: {} records", board.name, grouped(counts.records as f64));
    if counts.scored < counts.records - counts.rejected - counts.skipped - counts.labels {
        text.push_str(&format!(", {} scored", grouped(counts.scored as f64)));
    }
    if counts.rejected > 0 {
        text.push_str(&format!(", {} not usable", grouped(counts.rejected as f64)));
    }
    if counts.skipped > 0 {
        text.push_str(&format!(", {} skipped", grouped(counts.skipped as f64)));
    }
    if let Some(late) = counts.late.as_ref().filter(|late| late.waiting > 0) {
        text.push_str(&format!(", {} targets had not come", grouped(late.waiting as f64)));
    }
    if board.seeds.len() > 1 {
        text.push_str(&format!(", {} seeds", board.seeds.len()));
    }
    let shown: Vec<String> = board.transitions.iter().take(4).map(transition).collect();
    if !shown.is_empty() {
        let more = if board.transitions.len() > shown.len() { " …" } else { "" };
        text.push_str(&format!(", drift at {}{more}", shown.join(" ")));
    }
    text
}

/// Describes a change of the concept.
pub(super) fn transition(transition: &Transition) -> String {
    let Transition { at, width } = *transition;
    match width {
        0 => grouped(at as f64),
        width => format!("{}–{}", grouped(at as f64), grouped((at + width) as f64)),
    }
}

fn table(out: &mut impl Write, names: &[String], board: &Board, width: usize, emphasis: Emphasis) -> io::Result<()> {
    writeln!(
        out,
        "{:>4} {:width$} {:>10} {:>10} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "", "model", "RMSE", "MAE", "R2", "skill", "us/record", "bytes", "to best"
    )?;
    let row = |place: &str, name: &str, figures: &Figures, distance: &str| {
        let Figures { rmse, mae, r2, skill, micros, bytes: size, .. } = figures;
        let (rmse, mae) = (significant(*rmse), significant(*mae));
        let (r2, skill, size) = (share(*r2), share(*skill), bytes(*size as u64));
        format!(
            "{place:>4} {name:width$} {rmse:>10} {mae:>10} {r2:>8} {skill:>8} {micros:>9.2} {size:>9} {distance:>9}"
        )
    };
    for (place, &model) in board.order.iter().enumerate() {
        let row = row(&(place + 1).to_string(), &names[model], &board.scores[model].mean, &distance(board, model));
        writeln!(out, "{}", if place == 0 { emphasis.strong(row) } else { row })?;
    }
    if let Some(Score { mean, .. }) = &board.published {
        writeln!(out, "{}", row("", PUBLISHED, mean, &beside_the_best(board, mean.rmse)))?;
    }
    Ok(())
}

/// Compares the published predictions with the best model, without a test.
pub(super) fn beside_the_best(board: &Board, rmse: f64) -> String {
    let more = 100.0 * (rmse / board.scores[board.winner()].mean.rmse - 1.0);
    match more {
        more if !more.is_finite() => NO_FIGURE.to_owned(),
        more if more < 1000.0 => format!("{more:+.1} %"),
        more => format!("x {}", short(more / 100.0 + 1.0)),
    }
}

/// Says how much larger a model's error is than the best, and whether that is noise.
pub(super) fn distance(board: &Board, model: usize) -> String {
    let winner = board.winner();
    if model == winner {
        return "best".to_owned();
    }
    let mark = match board.pair(winner, model) {
        Some(Pair { p: None, .. }) | None => "?",
        Some(pair) if pair.beyond_noise() => "",
        Some(pair) if pair.too_erratic() => "!",
        Some(_) => "~",
    };
    let more = 100.0 * (board.scores[model].mean.rmse / board.scores[winner].mean.rmse - 1.0);
    match more {
        more if !more.is_finite() => format!("{mark}far off"),
        more if more < 1000.0 => format!("{mark}+{more:.1} %"),
        more => format!("{mark}x {}", short(more / 100.0 + 1.0)),
    }
}

/// Formats a share that may be far below 0.
pub(super) fn share(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.4}") } else { short(value) }
}

fn overall(out: &mut impl Write, standings: &Standings, names: &[String], width: usize) -> io::Result<()> {
    let overall = &standings.overall;
    writeln!(out, "over all {} streams", standings.streams.len())?;
    writeln!(out, "{:>4} {:width$} {:>10} {:>10} {:>10}", "", "model", "mean rank", "wins", "mean skill")?;
    for (place, &model) in overall.order.iter().enumerate() {
        let name = &names[model];
        let (rank, wins, skill) = (overall.mean_ranks[model], overall.wins[model], share(overall.skill[model]));
        writeln!(out, "{:>4} {name:width$} {rank:>10.2} {wins:>10} {skill:>10}", place + 1)?;
    }
    wrapped(out, &format!("  {}", standings.overall_verdict()))?;
    writeln!(out)
}

/// Writes a sentence in lines of at most 100 characters, those after the first indented a little more.
fn wrapped(out: &mut impl Write, text: &str) -> io::Result<()> {
    const WIDTH: usize = 100;
    let indent = text.len() - text.trim_start().len();
    let mut line = " ".repeat(indent);
    for word in text.split_whitespace() {
        let has_words = !line.trim().is_empty();
        if has_words && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line = " ".repeat(indent + 2);
        } else if has_words {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_between_words() {
        let mut out = Vec::new();
        wrapped(&mut out, &format!("  {}", "word ".repeat(40))).expect("room");
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(
            text.lines().count() > 1 && text.lines().all(|line| line.len() <= 100 && line.starts_with("  ")),
            "{text}"
        );
        assert_eq!(text.split_whitespace().count(), 40);
    }
}
