//! Results in sentences.

use super::standings::{Board, MIN_STREAMS, Standings, Test};
use crate::{
    logging::figures::{chance, significant},
    metrics::significance::{BLOCKS, MIN_PAIRS},
};

impl Test {
    /// Describes the test in full, with its authors.
    pub(super) fn described(self) -> String {
        match self {
            Test::Seeds(seeds) => format!(
                "paired t-test (Student 1908) of the RMSE over {seeds} seeds{}, adjusted for the number of pairs (Holm 1979)",
                if seeds < MIN_PAIRS { "" } else { ", or signed ranks (Wilcoxon 1945) where these say the same" }
            ),
            Test::Blocks => format!(
                "t-test of the squared errors' difference over {BLOCKS} stretches of the run, which keeps their \
                 autocorrelation inside (Diebold and Mariano 1995; Ibragimov and Müller 2010), or signed ranks of their \
                 ratios (Wilcoxon 1945) where these say the same, adjusted for both tests (Bonferroni) and for the number of \
                 pairs (Holm 1979)"
            ),
            Test::TooShort => "too few records to tell differences from noise".to_owned(),
        }
    }
}

impl Standings {
    fn name(&self, model: usize) -> &str {
        &self.models[model].name
    }

    /// Returns a stream's result in a sentence.
    pub(super) fn verdict(&self, board: &Board) -> String {
        let winner = board.winner();
        let rmse = board.scores[winner].mean.rmse;
        let mut text = format!("{} wins with RMSE {}", self.name(winner), significant(rmse));
        let Some(&second) = board.order.get(1) else { return format!("{text}; it ran alone") };
        let (level, erratic) = (board.level(), board.erratic());
        let less = less_than(rmse, board.scores[second].mean.rmse);
        text.push_str(&format!(", {less} {}", self.name(second)));
        if board.test == Test::TooShort {
            text.push_str("; too few records to tell that from noise");
        } else if board.pair(winner, second).is_some_and(|pair| pair.p.is_none()) {
            text.push_str("; errors without bounds, which no test can judge");
        } else if level.is_empty() && erratic.is_empty() {
            let p = board.pairs.iter().filter(|pair| pair.a == winner || pair.b == winner).filter_map(|pair| pair.p);
            text.push_str(&format!("; beyond noise against all ({})", chance(p.fold(0.0, f64::max))));
        } else {
            for (says, models) in [("within noise of", level), ("too erratic to judge against", erratic)] {
                let names: Vec<&str> = models.iter().take(3).map(|model| self.name(*model)).collect();
                let more = if models.len() > 3 { format!(" and {} more", models.len() - 3) } else { String::new() };
                if !names.is_empty() {
                    text.push_str(&format!("; {says} {}{more}", names.join(", ")));
                }
            }
        }
        text
    }

    /// Returns the result over all streams in a sentence.
    pub(super) fn overall_verdict(&self) -> String {
        let overall = &self.overall;
        let winner = overall.winner();
        let count = self.streams.len();
        let mut text = format!(
            "{} leads with mean rank {:.2} over {count} streams",
            self.name(winner),
            overall.mean_ranks[winner]
        );
        match (overall.friedman, overall.critical_difference) {
            (None, _) => text.push_str(&format!(
                "; {count} are too few to say that of other streams (from {MIN_STREAMS} on ranks are tested)"
            )),
            (Some(found), None) => {
                text.push_str(&format!("; but ranks do not differ beyond noise (Friedman, {})", chance(found.p)));
            }
            (Some(found), Some(critical)) => {
                let beaten: Vec<&str> = overall
                    .order
                    .iter()
                    .filter(|model| overall.beyond_noise(winner, **model))
                    .map(|model| self.name(*model))
                    .collect();
                let beaten = if beaten.is_empty() { "none".to_owned() } else { beaten.join(", ") };
                text.push_str(&format!(
                    "; beyond noise against {beaten}: ranks differ (Friedman, {}), by {critical:.2} at least to count (Nemenyi)",
                    chance(found.p)
                ));
            }
        }
        text
    }
}

/// Says how much smaller an error is than another.
fn less_than(error: f64, other: f64) -> String {
    if error == other {
        return "the same as".to_owned();
    }
    let share = 100.0 * (1.0 - error / other);
    match share {
        share if !share.is_finite() || share < 0.05 => "hardly less than".to_owned(),
        share if share < 10.0 => format!("{share:.1} % less than"),
        share => format!("{share:.0} % less than"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_errors_are_told_in_shares() {
        assert_eq!(less_than(1.0, 2.0), "50 % less than");
        assert_eq!(less_than(1.98, 2.0), "1.0 % less than");
        assert_eq!(less_than(2.0, 2.0), "the same as");
        assert_eq!(less_than(2.0, 2.0001), "hardly less than");
        assert_eq!(less_than(2.0, f64::INFINITY), "100 % less than");
    }
}
