//! Random streams, whose labels come late or never and whose clock jumps, beside a model that remembers everything.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};
use thalweg_features::{Feature, Kind, RESTART_AFTER, Span, Statistic};

use crate::{Sample, Stream, by, feature};

/// Spans short enough that no two values count as one.
const SPANS: [Span; 5] = [Span::Samples(1), Span::Samples(3), Span::Samples(20), Span::Time(40), Span::Time(700)];
const STATISTICS: [Statistic; 8] = [
    Statistic::Mean,
    Statistic::Deviation,
    Statistic::Min,
    Statistic::Max,
    Statistic::Count,
    Statistic::Sum,
    Statistic::Slope,
    Statistic::Ewm,
];

/// Time of the first sample.
const BEGIN: i64 = 1_700_000_000_000;

/// All values of one series, in the order in which they came.
#[derive(Clone, Debug, Default)]
struct All {
    /// With the times as of which they count, where they count by time.
    values: Vec<(f64, Option<i64>)>,
    now: Option<i64>,
    late: u32,
}

impl All {
    fn push(&mut self, value: f64, time: i64) {
        let tolerance = 700;
        if self.now.is_some_and(|now| now - time > tolerance) {
            self.late += 1;
            if self.late < RESTART_AFTER {
                self.values.push((value, None));
                return;
            }
            self.values.iter_mut().for_each(|(_, time)| *time = None);
            self.now = Some(time);
        }
        self.late = 0;
        let now = self.now.map_or(time, |now| now.max(time));
        self.now = Some(now);
        self.values.push((value, Some(now)));
    }

    fn as_of(&self, time: i64) -> i64 {
        self.now.map_or(time, |now| now.max(time))
    }

    fn timed(&self) -> impl DoubleEndedIterator<Item = (f64, i64)> {
        self.values.iter().filter_map(|(value, time)| Some((*value, (*time)?)))
    }

    fn lag(&self, span: Span, time: i64) -> f64 {
        match span {
            Span::Samples(n) => self.values.iter().nth_back(n as usize - 1).map_or(f64::NAN, |(value, _)| *value),
            Span::Time(age) => {
                let begin = self.as_of(time) - age;
                self.timed().rev().find(|(_, at)| *at <= begin).map_or(f64::NAN, |(value, _)| value)
            }
        }
    }

    fn rolling(&self, span: Span, statistic: Statistic, time: i64) -> f64 {
        let all: Vec<(f64, f64)> = match span {
            Span::Samples(_) => self.values.iter().zip(1..).map(|((value, _), i)| (*value, f64::from(i))).collect(),
            Span::Time(_) => self.timed().map(|(value, at)| (value, (at - BEGIN) as f64)).collect(),
        };
        let within: Vec<(f64, f64)> = match span {
            Span::Samples(n) => all.iter().rev().take(n as usize).copied().collect(),
            Span::Time(width) => {
                let begin = (self.as_of(time) - width - BEGIN) as f64;
                all.iter().filter(|(_, at)| *at > begin).copied().collect()
            }
        };
        let n = within.len() as f64;
        let mean = within.iter().map(|(value, _)| value).sum::<f64>() / n;
        let middle = within.iter().map(|(_, at)| at).sum::<f64>() / n;
        let squares: f64 = within.iter().map(|(value, _)| (value - mean).powi(2)).sum();
        let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NAN, f64::min);
        match statistic {
            Statistic::Mean if n > 0.0 => mean,
            Statistic::Mean => f64::NAN,
            Statistic::Deviation if n > 1.0 => (squares / (n - 1.0)).sqrt(),
            Statistic::Deviation => f64::NAN,
            Statistic::Min => least(&mut within.iter().map(|(value, _)| *value)),
            Statistic::Max => -least(&mut within.iter().map(|(value, _)| -value)),
            Statistic::Count => n,
            Statistic::Sum => within.iter().map(|(value, _)| value).sum(),
            Statistic::Slope => {
                let unit = if matches!(span, Span::Time(_)) { 1000.0 } else { 1.0 };
                let spread: f64 = within.iter().map(|(_, at)| (at - middle).powi(2)).sum();
                let products: f64 = within.iter().map(|(value, at)| (at - middle) * (value - mean)).sum();
                if spread > 0.0 { unit * products / spread } else { f64::NAN }
            }
            Statistic::Ewm => {
                let half_life = match span {
                    Span::Samples(n) => f64::from(n),
                    Span::Time(width) => width as f64,
                };
                let Some((_, last)) = all.last() else { return f64::NAN };
                let weight = |at: f64| ((at - last) / half_life).exp2();
                let (sum, weights) = all
                    .iter()
                    .fold((0.0, 0.0), |(sum, all), (value, at)| (sum + weight(*at) * value, all + weight(*at)));
                sum / weights
            }
        }
    }
}

fn features() -> Vec<Feature> {
    let of = vec!["y".to_owned(), "x".to_owned()];
    let lag = Kind::Lag { of: of.clone(), at: SPANS.to_vec() };
    let rolling = Kind::Rolling { of, over: SPANS.to_vec(), statistics: STATISTICS.to_vec() };
    vec![feature(lag.clone()), feature(rolling.clone()), by("device", lag), by("device", rolling)]
}

/// What happens next.
#[derive(Clone, Debug)]
enum Act {
    Sample {
        key: Option<u8>,
        step: i64,
        x: Option<f64>,
        y: Option<f64>,
    },
    /// The label of an earlier sample comes.
    Label {
        back: usize,
        y: f64,
    },
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let step = prop_oneof![20 => 0..60_i64, 4 => -300..0_i64, 1 => 600..5000_i64, 1 => -9000..-600_i64];
    let value = || proptest::option::weighted(0.8, -100.0..100.0_f64);
    let sample = (proptest::option::weighted(0.9, 0..3_u8), step, value(), value())
        .prop_map(|(key, step, x, y)| Act::Sample { key, step, x, y });
    let label = (0..30_usize, -100.0..100.0_f64).prop_map(|(back, y)| Act::Label { back, y });
    vec(prop_oneof![30 => sample, 8 => label, 1 => Just(Act::Restart)], 1..250)
}

fn is_close(ours: f64, theirs: f64) -> bool {
    ours.is_nan() && theirs.is_nan() || (ours - theirs).abs() <= 1e-7 * theirs.abs().max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn features_see_what_was_known_and_no_more(acts in acts()) {
        let mut stream = Stream::new(&features());
        let names: Vec<String> = stream.plan.columns().iter().map(|column| column.name.clone()).collect();
        // Per key (none for all samples) the series of the target and of the field.
        let mut all: HashMap<Option<u8>, [All; 2]> = HashMap::new();
        let (mut seen, mut time): (Vec<(Option<u8>, Sample)>, i64) = (Vec::new(), BEGIN);
        for act in acts {
            match act {
                Act::Restart => stream.restart(),
                Act::Label { back, y } => {
                    let Some((key, sample)) = seen.len().checked_sub(back + 1).map(|i| seen[i].clone()) else { continue };
                    stream.plan.remember_target(&mut stream.past, &sample.keys, sample.time, y);
                    let at = sample.time.expect("a time");
                    all.entry(None).or_default()[0].push(y, at);
                    if key.is_some() {
                        all.entry(key).or_default()[0].push(y, at);
                    }
                }
                Act::Sample { key, step, x, y } => {
                    time += step;
                    let keys = vec![key.map(|key| key.to_string())];
                    let sample = Sample { time: Some(time), fields: vec![x.unwrap_or(f64::NAN)], keys, target: y };
                    let row = stream.next(&sample);
                    let mut values = names.iter().zip(row);
                    for of in [Some(None), key.map(Some)] {
                        let empty = [All::default(), All::default()];
                        let pair = of.and_then(|of| all.get(&of)).unwrap_or(&empty);
                        for series in pair {
                            for span in SPANS {
                                let (name, ours) = values.next().expect("a lag");
                                prop_assert!(is_close(ours, series.lag(span, time)), "{name}: {ours} at {time}");
                            }
                        }
                        for (series, span) in pair.iter().flat_map(|series| SPANS.map(|span| (series, span))) {
                            for statistic in STATISTICS {
                                let (name, ours) = values.next().expect("a statistic");
                                let theirs = series.rolling(span, statistic, time);
                                prop_assert!(is_close(ours, theirs), "{name}: {ours} and {theirs} at {time}");
                            }
                        }
                    }
                    for of in [Some(None), key.map(Some)].into_iter().flatten() {
                        let [target, field] = all.entry(of).or_default();
                        x.into_iter().for_each(|x| field.push(x, time));
                        y.into_iter().for_each(|y| target.push(y, time));
                    }
                    seen.push((key, sample));
                }
            }
        }
    }
}
