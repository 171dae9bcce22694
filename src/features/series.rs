//! The history of one value: what it was some samples or some time ago, and its windows.
//!
//! Invariant: time never runs backwards here. A value that is a little late counts as of the newest time; one that is later than
//! the longest span is left out, until [`RESTART_AFTER`] of them in a row show that a clock was set back, and the history begins anew.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thalweg_metrics::checked;

use super::{
    Span, Statistic,
    window::{Window, part_of},
};

/// Values in a row, each later than the longest span, after which the newest time is no longer believed.
pub const RESTART_AFTER: u32 = 10;

/// Spans that are asked of a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    /// Most samples that a lag goes back.
    pub(crate) samples: usize,
    /// Milliseconds that lags of time go back.
    pub(crate) ages: Vec<i64>,
    pub(crate) windows: Vec<Span>,
    /// Half-lives of exponentially weighted means.
    pub(crate) half_lives: Vec<Span>,
}

impl Wanted {
    /// Adds a lag and returns its place.
    pub(crate) fn lag(&mut self, span: Span) -> Past {
        match span {
            Span::Samples(n) => {
                self.samples = self.samples.max(n as usize);
                Past::Samples(n as usize)
            }
            Span::Time(age) => Past::Age(place(&mut self.ages, age)),
        }
    }

    /// Adds a window and returns the place of what is asked of it.
    pub(crate) fn window(&mut self, span: Span, statistic: Statistic) -> Past {
        match statistic {
            Statistic::Ewm => Past::Mean(place(&mut self.half_lives, span)),
            _ => Past::Window(place(&mut self.windows, span), statistic),
        }
    }

    /// Milliseconds by which a value may be late.
    fn tolerance(&self) -> i64 {
        let spans = self.windows.iter().chain(&self.half_lives).filter_map(|span| span.milliseconds());
        spans.chain(self.ages.iter().copied()).max().unwrap_or(0)
    }

    fn knows_time(&self) -> bool {
        self.tolerance() > 0
    }
}

fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

/// What is asked of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Past {
    /// The value so many samples ago, from 1.
    Samples(usize),
    /// Index of an age.
    Age(usize),
    /// Index of a window.
    Window(usize, Statistic),
    /// Index of a half-life.
    Mean(usize),
}

/// The history of one value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    /// Number of values.
    n: u64,
    /// The newest time, in milliseconds since 1970.
    now: Option<i64>,
    /// Values in a row that were too late.
    late: u32,
    /// The latest values, newest last.
    latest: VecDeque<f64>,
    ages: Vec<VecDeque<At>>,
    windows: Vec<Window>,
    means: Vec<Decayed>,
}

/// A value and its time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct At {
    time: i64,
    value: f64,
}

/// A mean in which a value weighs half as much after each half-life.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Decayed {
    weight: f64,
    mean: f64,
    at: i64,
}

checked!(At { time, value });
checked!(Decayed { weight, mean, at });
checked!(Series { n, now, late, latest, ages, windows, means } then fits);

impl Series {
    pub(crate) fn new(wanted: &Wanted) -> Self {
        Self {
            ages: vec![VecDeque::new(); wanted.ages.len()],
            windows: vec![Window::default(); wanted.windows.len()],
            means: vec![Decayed::default(); wanted.half_lives.len()],
            ..Self::default()
        }
    }

    /// Returns true where it has a place for all that is asked.
    pub(crate) fn fits_to(&self, wanted: &Wanted) -> bool {
        (self.ages.len(), self.windows.len(), self.means.len())
            == (wanted.ages.len(), wanted.windows.len(), wanted.half_lives.len())
            && self.latest.len() <= wanted.samples
    }

    fn fits(&mut self) -> Result<(), &'static str> {
        let is_sorted =
            |ages: &VecDeque<At>| ages.iter().zip(ages.iter().skip(1)).all(|(one, next)| one.time < next.time);
        if !self.ages.iter().all(is_sorted) {
            return Err("the values of a series are out of order");
        }
        if self.means.iter().any(|mean| mean.weight < 0.0) {
            return Err("a mean of a series has a negative weight");
        }
        Ok(())
    }

    /// Adds a known value, at a time if there is one: without, it only counts by its number. Returns false where it is too late, and
    /// only counts so, too.
    pub(crate) fn push(&mut self, wanted: &Wanted, time: Option<i64>, value: f64) -> bool {
        self.n += 1;
        if wanted.samples > 0 {
            if self.latest.len() == wanted.samples {
                self.latest.pop_front();
            }
            self.latest.push_back(value);
        }
        let count = i64::try_from(self.n).unwrap_or(i64::MAX);
        let counted = |span: &Span| span.milliseconds().is_none();
        for (window, span) in self.windows.iter_mut().zip(&wanted.windows).filter(|(_, span)| counted(span)) {
            window.push(*span, count, value);
        }
        for (mean, span) in self.means.iter_mut().zip(&wanted.half_lives).filter(|(_, span)| counted(span)) {
            mean.push(*span, count, value);
        }
        let Some(time) = time.filter(|_| wanted.knows_time()) else { return true };
        let is_in_time = self.advance(wanted, time);
        if is_in_time {
            self.push_at(wanted, value);
        }
        is_in_time
    }

    /// Moves the newest time on; false for a time that is too late. After some of those it is set back, and begins anew.
    fn advance(&mut self, wanted: &Wanted, time: i64) -> bool {
        let behind = self.now.map_or(0, |now| now.saturating_sub(time));
        if behind <= wanted.tolerance() {
            self.late = 0;
            self.now = Some(self.now.map_or(time, |now| now.max(time)));
            return true;
        }
        self.late += 1;
        if self.late < RESTART_AFTER {
            return false;
        }
        (self.late, self.now) = (0, Some(time));
        self.ages.iter_mut().for_each(VecDeque::clear);
        let windows = self.windows.iter_mut().zip(&wanted.windows);
        windows.filter(|(_, span)| span.milliseconds().is_some()).for_each(|(window, _)| window.clear());
        let means = self.means.iter_mut().zip(&wanted.half_lives);
        means.filter(|(_, span)| span.milliseconds().is_some()).for_each(|(mean, _)| *mean = Decayed::default());
        true
    }

    /// Adds a value at the newest time.
    fn push_at(&mut self, wanted: &Wanted, value: f64) {
        let Some(now) = self.now else { return };
        for (values, age) in self.ages.iter_mut().zip(&wanted.ages) {
            let apart = part_of(Span::Time(*age));
            match values.back_mut() {
                Some(last) if last.time == now => last.value = value,
                Some(last) if now - last.time < apart => {}
                _ => values.push_back(At { time: now, value }),
            }
            let begin = now.saturating_sub(*age);
            while values.get(1).is_some_and(|next| next.time <= begin) {
                values.pop_front();
            }
        }
        let timed = |span: &Span| span.milliseconds().is_some();
        for (window, span) in self.windows.iter_mut().zip(&wanted.windows).filter(|(_, span)| timed(span)) {
            window.push(*span, now, value);
        }
        for (mean, span) in self.means.iter_mut().zip(&wanted.half_lives).filter(|(_, span)| timed(span)) {
            mean.push(*span, now, value);
        }
    }

    /// Returns what is asked, as of a time; NaN where it is unknown.
    pub(crate) fn get(&self, wanted: &Wanted, past: Past, time: Option<i64>) -> f64 {
        match past {
            Past::Samples(back) => self.latest.len().checked_sub(back).map_or(f64::NAN, |i| self.latest[i]),
            Past::Age(i) => {
                let Some(time) = self.as_of(time) else { return f64::NAN };
                let begin = time.saturating_sub(wanted.ages[i]);
                let values = &self.ages[i];
                // Nearly always the first one is the one.
                let known = match (values.front(), values.get(1)) {
                    (Some(first), Some(next)) if first.time <= begin && next.time > begin => 1,
                    _ => values.partition_point(|value| value.time <= begin),
                };
                known.checked_sub(1).map_or(f64::NAN, |last| values[last].value)
            }
            Past::Window(i, statistic) => {
                let span = wanted.windows[i];
                let at = match span {
                    Span::Samples(_) => i64::try_from(self.n).unwrap_or(i64::MAX),
                    Span::Time(_) => match self.as_of(time) {
                        Some(time) => time,
                        None => return f64::NAN,
                    },
                };
                statistic.of(&self.windows[i].at(span, at), span)
            }
            Past::Mean(i) => {
                let Decayed { weight, mean, .. } = self.means[i];
                if weight > 0.0 { mean } else { f64::NAN }
            }
        }
    }

    /// Returns the time as of which something is asked: never before the newest.
    fn as_of(&self, time: Option<i64>) -> Option<i64> {
        time.map(|time| self.now.map_or(time, |now| now.max(time)))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let ages: usize =
            self.ages.iter().map(|values| values.len() * size_of::<At>() + size_of::<VecDeque<At>>()).sum();
        let windows: usize = self.windows.iter().map(|window| window.memory_bytes() + size_of::<Window>()).sum();
        let own = size_of::<Self>() + self.latest.len() * size_of::<f64>();
        own + ages + windows + self.means.len() * size_of::<Decayed>()
    }
}

impl Decayed {
    fn push(&mut self, half_life: Span, at: i64, value: f64) {
        let (half_life, since) = match half_life {
            Span::Samples(n) => (f64::from(n), at - self.at),
            Span::Time(milliseconds) => (milliseconds as f64, at - self.at),
        };
        if self.weight > 0.0 {
            self.weight *= libm::exp2(-(since as f64) / half_life);
        }
        self.weight += 1.0;
        self.mean += (value - self.mean) / self.weight;
        self.at = at;
    }
}
