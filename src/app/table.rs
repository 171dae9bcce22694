//! Formats the daemon's state as rows on a terminal: the `report` and `model` lines of a log at a glance.
//!
//! Invariant: a figure is shown only if something was scored.

use std::net::SocketAddr;

use super::contact::Contact;
use thalweg_logging::figures::{cut, figure, grouped, known, share};
use thalweg_logging::{Look, Row};
use thalweg_metrics::{Coverage, Faded, Scores};
use thalweg_pipeline::snapshot::ModelSnapshot;

/// Maximum number of characters of a model's name, unless it takes more to tell models apart.
const MAX_NAME_CHARS: usize = 24;
/// Maximum number of partitions that have a row each; of more, only the sum is shown.
const MAX_PARTITION_ROWS: usize = 4;
/// Relative change of the error below which it counts as steady.
const MIN_NOTABLE_CHANGE: f64 = 0.02;

/// The figures of all partitions together.
pub(super) struct Totals<'a> {
    pub(super) records: u64,
    /// Records per second.
    pub(super) rate: f64,
    /// Number of records without a published answer; `None` if unknown.
    pub(super) lag: Option<i64>,
    /// Number of records of the lag that an open transaction keeps from being read.
    pub(super) undecided: i64,
    pub(super) contact: Contact,
    /// Champion, or the partitions' champions with their partitions.
    pub(super) champion: &'a str,
    /// Name of every champion.
    pub(super) champions: Vec<&'a str>,
    pub(super) dead_letters: u64,
    pub(super) skipped: u64,
    /// Samples that wait for their labels.
    pub(super) waiting: u64,
    pub(super) missed: u64,
    pub(super) coverage: Option<Coverage>,
    /// Address of the dashboard, where there is one.
    pub(super) page: Option<SocketAddr>,
}

/// The figures of one partition.
pub(super) struct Partition {
    pub(super) number: i32,
    /// Number of records without a published answer.
    pub(super) lag: i64,
    /// Number of records of it that an open transaction keeps from being read.
    pub(super) undecided: i64,
    pub(super) records: u64,
    pub(super) champion: String,
}

/// Makes the rows for a terminal of `columns` columns.
pub(super) fn rows(
    totals: &Totals<'_>,
    models: &[ModelSnapshot],
    published: &ModelSnapshot,
    partitions: &[Partition],
    columns: usize,
) -> Vec<Row> {
    let names = cut(models.iter().chain([published]).map(|model| &*model.name), MAX_NAME_CHARS);
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let wide = columns >= width + 52;
    let head = if wide {
        format!("  {:width$} {:>10} {:>10} {:>8} {:>8} {:>8}", "model", "RMSE", "MAE", "R2", "skill", "trend")
    } else {
        format!("  {:width$} {:>10} {:>8} {:>8}", "model", "RMSE", "skill", "trend")
    };
    let mut rows = vec![Row { text: head, look: Look::Faint }];
    for (i, (model, name)) in models.iter().chain([published]).zip(names).enumerate() {
        let is_champion = i < models.len() && totals.champions.contains(&&*model.name);
        let mark = if is_champion { '*' } else { ' ' };
        let scores = &model.rolling;
        let [rmse, mae] = [Scores::rmse, Scores::mae].map(|of| known(scores.known(of), figure));
        let [r2, skill] = [scores.known_r2(), model.skill].map(|it| known(it, share));
        let late = model.faded.known(Faded::rmse).zip(scores.known(Scores::rmse));
        let trend = known(late, |(late, window)| trend(late, window));
        let text = if wide {
            format!("{mark} {name:width$} {rmse:>10} {mae:>10} {r2:>8} {skill:>8} {trend:>8}")
        } else {
            format!("{mark} {name:width$} {rmse:>10} {skill:>8} {trend:>8}")
        };
        rows.push(Row { text, look: if is_champion { Look::Strong } else { Look::Plain } });
    }
    let faint = |text: String| Row { text, look: Look::Faint };
    if (2..=MAX_PARTITION_ROWS).contains(&partitions.len()) {
        for Partition { number, lag, undecided, records, champion } in partitions {
            let lag = format!("{}{}", grouped(lag.unsigned_abs()), behind(*undecided));
            rows.push(faint(format!(
                "  partition {number}: lag {lag}, {} records, champion {champion}",
                grouped(*records)
            )));
        }
    }
    let Totals { records, rate, lag, undecided, contact, champion, coverage, .. } = totals;
    let Totals { dead_letters, skipped, missed, waiting, .. } = totals;
    let lag = lag.map_or_else(|| "unknown".to_owned(), |lag| grouped(lag.unsigned_abs()));
    let lag = lag + &behind(*undecided);
    let (rate, records) = (grouped(rate.round() as u64), grouped(*records));
    let over = if partitions.len() > 1 { format!("{} partitions, ", partitions.len()) } else { String::new() };
    let contact = contact.told();
    let mut last = format!("  {contact}{over}lag {lag}, {rate}/s, {records} records, champion {champion}");
    if let Some(coverage) = coverage.filter(|coverage| coverage.n() > 0) {
        last.push_str(&format!(", intervals {:.1} %", 100.0 * coverage.recent()));
    }
    let counts = [(waiting, "wait for labels"), (dead_letters, "not usable"), (skipped, "skipped"), (missed, "missed")];
    for (count, what) in counts {
        if *count > 0 {
            last.push_str(&format!(", {} {what}", grouped(*count)));
        }
    }
    rows.push(faint(last));
    if let Some(page) = totals.page {
        rows.push(faint(format!("  watch it at http://{page}/")));
    }
    rows
}

/// Says how much of a lag waits for an open transaction.
fn behind(undecided: i64) -> String {
    if undecided == 0 {
        String::new()
    } else {
        format!(" ({} behind an open transaction)", grouped(undecided.unsigned_abs()))
    }
}

/// Compares the recent error with that over the whole window.
fn trend(late: f64, window: f64) -> String {
    let change = late / window - 1.0;
    match change {
        change if !change.is_finite() || change.abs() < MIN_NOTABLE_CHANGE => "steady".to_owned(),
        change if change > 9.99 => "+999 %".to_owned(),
        change => format!("{:+.0} %", 100.0 * change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trend_is_the_errors_change_of_late() {
        assert_eq!(trend(1.01, 1.0), "steady");
        assert_eq!(trend(0.5, 1.0), "-50 %");
        assert_eq!(trend(100.0, 1.0), "+999 %");
        assert_eq!(trend(0.0, 0.0), "steady");
    }
}
