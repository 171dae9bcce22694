//! Ranges of the usual values of each column, so that a single absurd value (a sensor's 65535, a −9999 for "unknown")
//! is replaced before a model learns it.
//!
//! Invariant: a value whose distance from the middle is over thirty times the largest usual one is replaced by the
//! nearest usual value, until such values have become so frequent that the stream must have changed: then they count. A
//! replacement is always a value that was seen. Nothing is allocated per row. What this does not do: judge columns with
//! too few values, or whose values hardly ever differed; their values pass.

use serde::{Deserialize, Serialize};

use super::{Features, SampleWindow};
use thalweg_metrics::checked;

/// Maximum number of rows with a target before values are judged.
const WARM_UP_ROWS: u64 = 100;

/// Ratio of the allowed distance from the middle to the largest one before: levels jump by ten times and more.
const MAX_DISTANCE_RATIO: f64 = 30.0;

/// Minimum number of values other than the middle that give a range.
const MIN_DIFFERENT_VALUES: usize = 8;

/// Share of them that is trusted at first; the rest must follow without a gap of [`MAX_DISTANCE_RATIO`].
const TRUSTED_SHARE: f64 = 0.6;

/// Number of values of a new column that are judged together.
const NEW_COLUMN_VALUES: usize = 10;

/// Number of rows over which an outlier's count decays to 1/e; and the count above which the stream has changed: 41 in
/// a row, or 5 % of all for long.
const BEYOND_DECAY_ROWS: f64 = 1000.0;
const MAX_BEYOND_COUNT: f64 = 40.0;

/// Number of rows without an outlier after which the next one is reported, and minimum between two reports.
const QUIET_ROWS: u64 = 100;
const REPORT_INTERVAL_ROWS: u64 = 1000;

/// A value that was replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// Column; `None` is the target.
    pub column: Option<usize>,
    /// Value in the sample.
    pub value: f64,
    /// Value that replaced it: the nearest usual one.
    pub taken_for: f64,
    /// Number of values of the column that were replaced, this one included.
    pub count: u64,
}

/// Ranges of usual values of all columns of the features, and of the target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fence {
    /// Number of rows learned from.
    rows: u64,
    /// True once values are judged.
    judges: bool,
    /// Usual range by column; a value within it needs no further check.
    least: Vec<f64>,
    most: Vec<f64>,
    columns: Vec<Column>,
    target: Column,
    target_least: f64,
    target_most: f64,
}

checked!(Fence { rows, judges, least, most, columns, target, target_least, target_most } then fits);

impl Fence {
    fn fits(&self) -> Result<(), &'static str> {
        let Self { least, most, columns, target, .. } = self;
        if least.len() != columns.len() || most.len() != columns.len() {
            return Err("the ranges of usual values are of different columns");
        }
        if columns.iter().chain([target]).any(|column| column.young.len() > NEW_COLUMN_VALUES) {
            return Err("a column looks at more values than it may");
        }
        Ok(())
    }
}

/// State of one column beside its range.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Column {
    /// Middle of its values; `None` while there is none.
    centre: Option<f64>,
    /// True once its range is known.
    known: bool,
    /// Until then: the values other than the middle, or all while there is no middle.
    young: Vec<f64>,
    /// Faded number of outliers.
    beyond: f64,
    /// Number of outliers since the beginning.
    count: u64,
    /// Row of the last outlier, and of the last one that was reported.
    last: u64,
    told: u64,
}

checked!(Column { centre, known, young, beyond, count, last, told });

/// The verdict on a value outside of the range.
enum Verdict {
    Counts,
    /// Replaced by the first; reported if the second is true.
    Beyond(f64, bool),
}

impl Fence {
    /// True once values are judged.
    #[inline]
    pub fn judges(&self) -> bool {
        self.judges
    }

    /// Returns true if all values of a row are within their ranges, so that there is nothing to do.
    #[inline]
    pub fn is_usual(&self, x: Features<'_>) -> bool {
        let values = x.values();
        values.len() <= self.least.len() && within(values, &self.least, &self.most)
    }

    /// Judges a row that is not usual, and writes into `row` what is to be learned of it. Reports each outlier to
    /// `tell`.
    #[cold]
    pub fn admit(&mut self, x: Features<'_>, row: &mut Vec<f64>, mut tell: impl FnMut(Outlier)) {
        row.clear();
        row.extend_from_slice(x.values());
        for i in self.columns.len()..x.len() {
            self.push(if x.is_nominal(i) { None } else { Some(Column::default()) });
        }
        for (i, value) in row.iter_mut().enumerate() {
            // Also true of NaN.
            if !(*value < self.least[i] || *value > self.most[i]) {
                continue;
            }
            let (column, range) = (&mut self.columns[i], (&mut self.least[i], &mut self.most[i]));
            if let Verdict::Beyond(taken_for, told) = column.judge(*value, range, self.rows) {
                if told {
                    tell(Outlier { column: Some(i), value: *value, taken_for, count: column.count });
                }
                *value = taken_for;
            }
        }
    }

    /// Writes `x` into `row` with outliers replaced by the nearest usual value, where nothing is to be learned.
    #[cold]
    pub fn peek(&self, x: Features<'_>, row: &mut Vec<f64>) {
        row.clear();
        row.extend_from_slice(x.values());
        let ranges = self.least.iter().zip(&self.most);
        for ((value, (least, most)), column) in row.iter_mut().zip(ranges).zip(&self.columns) {
            // False of NaN.
            if (*value < *least || *value > *most) && !column.counts(*value, *least, *most) {
                *value = value.clamp(*least, *most);
            }
        }
    }

    /// Judges the target; returns what is to be learned of it.
    #[inline]
    pub fn admit_target(&mut self, y: f64, tell: impl FnMut(Outlier)) -> f64 {
        if self.target_least <= y && y <= self.target_most { y } else { self.judge_target(y, tell) }
    }

    #[cold]
    fn judge_target(&mut self, y: f64, mut tell: impl FnMut(Outlier)) -> f64 {
        let range = (&mut self.target_least, &mut self.target_most);
        match self.target.judge(y, range, self.rows) {
            Verdict::Counts => y,
            Verdict::Beyond(taken_for, told) => {
                if told {
                    tell(Outlier { column: None, value: y, taken_for, count: self.target.count });
                }
                taken_for
            }
        }
    }

    /// Counts a row to learn from.
    #[inline]
    pub fn next(&mut self) {
        self.rows += 1;
    }

    /// Returns true if enough is known for the first judgement; `learned` samples have been learned.
    #[inline]
    pub fn is_due(&self, learned: u64, recent: &SampleWindow) -> bool {
        !self.judges && (learned >= WARM_UP_ROWS || recent.len() >= NEW_COLUMN_VALUES && recent.is_full())
    }

    /// Begins to judge values, by those of the latest rows. Replaces outliers in `recent`, and reports the first one of
    /// each column.
    #[cold]
    pub fn begin(&mut self, recent: &mut SampleWindow, mut tell: impl FnMut(Outlier)) {
        self.judges = true;
        let mut values = Vec::with_capacity(recent.len());
        for i in self.columns.len()..recent.columns() {
            if recent.is_nominal(i) {
                self.push(None);
                continue;
            }
            values.clear();
            values.extend(recent.rows().filter_map(|(x, _)| x.get(i).copied()).filter(|value| !value.is_nan()));
            let (column, least, most) = Column::of(&mut values);
            self.push(Some(column));
            (self.least[i], self.most[i]) = (least, most);
        }
        values.clear();
        values.extend(recent.rows().map(|(_, y)| y));
        (self.target, self.target_least, self.target_most) = Column::of(&mut values);
        let Self { rows, least, most, columns, target, target_least, target_most, .. } = self;
        recent.map_values(|i, value| {
            let features = columns.len();
            let (column, least, most) = match columns.get_mut(i) {
                Some(column) => (column, least[i], most[i]),
                None => (&mut *target, *target_least, *target_most),
            };
            // Also true for NaN, for nominal columns, and for columns without a known range.
            if !column.known || !(value < least || value > most) {
                return value;
            }
            let taken_for = value.clamp(least, most);
            column.count += 1;
            if column.count == 1 {
                (column.told, column.last) = (*rows, *rows);
                tell(Outlier { column: (i < features).then_some(i), value, taken_for, count: 1 });
            }
            taken_for
        });
    }

    /// Appends a column; a nominal one is never judged.
    fn push(&mut self, column: Option<Column>) {
        let (least, most) = if column.is_some() { (f64::MAX, -f64::MAX) } else { (-f64::MAX, f64::MAX) };
        self.columns.push(column.unwrap_or_default());
        self.least.push(least);
        self.most.push(most);
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let young: usize = self.columns.iter().map(|column| size_of_val(column.young.as_slice())).sum();
        2 * size_of_val(self.least.as_slice()) + size_of_val(self.columns.as_slice()) + young
    }
}

/// Returns true if all values are within; without a branch, so that the processor checks several columns at once.
#[inline(never)]
fn within(values: &[f64], least: &[f64], most: &[f64]) -> bool {
    let d = values.len();
    let (least, most) = (&least[..d], &most[..d]);
    let mut beyond = false;
    for i in 0..d {
        // False of NaN.
        beyond |= (values[i] < least[i]) | (values[i] > most[i]);
    }
    !beyond
}

impl Column {
    /// Makes a column from its first values, and its range.
    fn of(values: &mut [f64]) -> (Self, f64, f64) {
        let mut column = Self::default();
        if values.len() < NEW_COLUMN_VALUES {
            column.young = values.to_vec();
            return (column, f64::MAX, -f64::MAX);
        }
        values.sort_by(f64::total_cmp);
        let centre = values[values.len() / 2];
        column.centre = Some(centre);
        match range(centre, values) {
            Some((least, most)) => {
                column.known = true;
                (column, least, most)
            }
            None => {
                column.young.extend(values.iter().filter(|value| **value != centre).take(NEW_COLUMN_VALUES));
                (column, centre, centre)
            }
        }
    }

    /// Returns true if a value outside of the range is near enough to it.
    fn counts(&self, value: f64, least: f64, most: f64) -> bool {
        let Some(centre) = self.centre else { return true };
        let reach = if self.known { (centre - least).max(most - centre) } else { centre.abs() };
        // A column that has always been 0 has no scale.
        reach == 0.0 || (value - centre).abs() <= MAX_DISTANCE_RATIO * reach
    }

    /// Judges a value outside of the range, and widens the range if it counts.
    fn judge(&mut self, value: f64, (least, most): (&mut f64, &mut f64), row: u64) -> Verdict {
        let Some(centre) = self.centre else {
            self.young.push(value);
            if self.young.len() >= NEW_COLUMN_VALUES {
                let mut values = std::mem::take(&mut self.young);
                (*self, *least, *most) = Self::of(&mut values);
            }
            return Verdict::Counts;
        };
        if !self.counts(value, *least, *most) {
            self.beyond = self.beyond * libm::exp(-(row.saturating_sub(self.last) as f64) / BEYOND_DECAY_ROWS) + 1.0;
            self.count += 1;
            let quiet = self.count == 1 || row.saturating_sub(self.last) > QUIET_ROWS;
            let told = quiet && (self.told == 0 || row.saturating_sub(self.told) >= REPORT_INTERVAL_ROWS);
            self.last = row;
            if told {
                self.told = row.max(1);
            }
            if self.beyond <= MAX_BEYOND_COUNT {
                return Verdict::Beyond(value.clamp(*least, *most), told);
            }
            self.beyond = 0.0;
            self.known = true;
        }
        if self.known {
            (*least, *most) = (least.min(value), most.max(value));
        } else {
            self.young.push(value);
            if self.young.len() >= MIN_DIFFERENT_VALUES {
                self.young.sort_by(f64::total_cmp);
                if let Some((from, to)) = range(centre, &self.young) {
                    (*least, *most) = (least.min(from), most.max(to));
                    self.known = true;
                }
                self.young = Vec::new();
            }
        }
        Verdict::Counts
    }
}

/// Returns the range of sorted values that follow on most of them without a gap; `None` if too few differ from the
/// middle.
fn range(centre: f64, values: &[f64]) -> Option<(f64, f64)> {
    let mut off: Vec<f64> = values.iter().map(|value| (value - centre).abs()).filter(|off| *off > 0.0).collect();
    if off.len() < MIN_DIFFERENT_VALUES {
        return None;
    }
    off.sort_by(f64::total_cmp);
    let (trusted, rest) = off.split_at((TRUSTED_SHARE * off.len() as f64) as usize);
    let reach =
        rest.iter().try_fold(
            *trusted.last()?,
            |reach, off| {
                if *off <= MAX_DISTANCE_RATIO * reach { Ok(*off) } else { Err(reach) }
            },
        );
    let reach = reach.unwrap_or_else(|reach| reach);
    let joined = || values.iter().copied().filter(|value| (value - centre).abs() <= reach);
    Some((joined().fold(centre, f64::min), joined().fold(centre, f64::max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values of a column that were replaced.
    fn disbelieved(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let (mut fence, mut recent, mut row, mut beyond) =
            (Fence::default(), SampleWindow::default(), Vec::new(), Vec::new());
        for (t, value) in (0..).zip(values) {
            let one = [value];
            let x = Features::new(&one);
            fence.next();
            if fence.judges() && !fence.is_usual(x) {
                fence.admit(x, &mut row, |_| ());
                if row[0].to_bits() != value.to_bits() {
                    beyond.push(value);
                }
            }
            recent.push(x, 0.0);
            if fence.is_due(t + 1, &recent) {
                fence.begin(&mut recent, |outlier| beyond.push(outlier.value));
            }
        }
        beyond
    }

    /// Numbers in 0..1 without structure that matters here.
    fn number(i: u32) -> f64 {
        (f64::from(i) * 0.754_877_666_246_692_7).fract()
    }

    #[test]
    fn what_is_rare_grows_or_begins_late_is_believed() {
        let nothing: Vec<f64> = Vec::new();
        assert_eq!(disbelieved((0..5000).map(|i| f64::from(i % 40 == 7))), nothing, "one of forty categories");
        assert_eq!(disbelieved((0..5000).map(|i| f64::from(u8::from(i > 3000)))), nothing, "a flag that rises late");
        assert_eq!(disbelieved((0..5000).map(|i| 1e9 + f64::from(i))), nothing, "a counter");
        assert_eq!(disbelieved((0..5000).map(|i| libm::exp(f64::from(i) / 400.0))), nothing, "growth");
        assert_eq!(disbelieved((1..5000).map(|i| 1.0 / (1.0 - number(i)))), nothing, "a heavy tail");
        assert_eq!(
            disbelieved((0..5000).map(|i| if i > 900 { number(i) } else { f64::NAN })),
            nothing,
            "unknown at first"
        );
        assert_eq!(disbelieved((0..5000).map(|i| if i > 900 { 1e6 * number(i) } else { 0.0 })), nothing, "0 at first");
    }

    #[test]
    fn what_is_absurd_is_not_whenever_it_comes() {
        for at in [0, 10, 95, 100, 4000] {
            for value in [65535.0, -9999.0, 1e300, -f64::MAX] {
                for long in [1, 20] {
                    let values = (0..5000).map(|i| if (at..at + long).contains(&i) { value } else { 10.0 * number(i) });
                    let beyond = disbelieved(values);
                    assert!(!beyond.is_empty() && beyond.iter().all(|it| *it == value), "{at}, {value}: {beyond:?}");
                }
            }
        }
    }

    #[test]
    fn what_stays_is_believed_after_forty_values() {
        let beyond = disbelieved((0..1000).map(|i| if i < 500 { number(i) } else { 1e6 + number(i) }));
        assert_eq!(beyond.len(), 40);
    }
}
