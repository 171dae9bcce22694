//! Predictions whose targets are not known yet.
//!
//! Invariant: what is scored when a target comes is what was published, by whom it was then, and models over others' predictions learn
//! from those of that time. What is learned from is the sample as it was predicted from.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thalweg_metrics::{Checked, Damaged, Interval, checked};
use thalweg_models::{Features, Scratch};

use super::{Candidate, Event, Made, Prequential};
use crate::labels::{Outcome, Settled};

/// What all models predicted for a sample.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Forecast {
    /// Number by which the sample waits.
    id: u64,
    /// The model whose prediction was published; `None` where it has left the race.
    champion: Option<usize>,
    baseline: f64,
    published: f64,
    /// Interval that was published.
    interval: Option<[f64; 2]>,
    /// Samples the models had learned from.
    version: u64,
    /// Per model its own prediction, and behind these what was published for each.
    numbers: Box<[f64]>,
    /// Per model, what its members predicted; empty where no model has some.
    members: Box<[Box<[f64]>]>,
}

// A model's own prediction may be anything.
checked!(Forecast { id, champion, baseline: any, published, interval: any, version, numbers: any, members: any });

/// Places of forecasts that have left which are kept, besides one for each that is there.
const MAX_HOLES: usize = 64;

/// Forecasts by number, which grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Forecasts {
    /// Of these some have left.
    places: VecDeque<(u64, Option<Arc<Forecast>>)>,
    /// How many have left since the others stood side by side.
    left: usize,
}

impl Forecasts {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn take(&mut self, id: u64) -> Option<Arc<Forecast>> {
        let place = self.places.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let forecast = self.places[place].1.take();
        while self.places.front().is_some_and(|(_, forecast)| forecast.is_none()) {
            self.places.pop_front();
        }
        self.left += 1;
        // One that waits for long must not keep the places of all behind it.
        if self.left > self.places.len() / 2 + MAX_HOLES {
            self.places.retain(|(_, forecast)| forecast.is_some());
            self.left = 0;
        }
        forecast
    }

    /// Forgets those of samples that do not wait any more.
    pub(super) fn retain(&mut self, ids: &HashSet<u64>) {
        self.places.retain(|(id, forecast)| forecast.is_some() && ids.contains(id));
    }

    /// Forgets their intervals, which were made by other settings.
    pub(super) fn forget_intervals(&mut self) {
        self.places.iter_mut().filter_map(|(_, forecast)| forecast.as_mut()).for_each(|forecast| {
            Arc::make_mut(forecast).interval = None;
        });
    }

    fn kept(&self) -> impl Iterator<Item = &Arc<Forecast>> {
        self.places.iter().filter_map(|(_, forecast)| forecast.as_ref())
    }

    fn of(forecasts: impl IntoIterator<Item = Arc<Forecast>>) -> Self {
        let places = forecasts.into_iter().map(|forecast| (forecast.id, Some(forecast))).collect();
        Self { places, left: 0 }
    }

    /// Returns true where they are those of so many models.
    pub(super) fn fit(&self, models: usize) -> bool {
        let fits = |forecast: &Forecast| {
            forecast.numbers.len() == 2 * models
                && [0, models].contains(&forecast.members.len())
                && forecast.champion.is_none_or(|champion| champion < models)
        };
        self.kept().all(|forecast| fits(forecast))
            && self.places.iter().is_sorted_by(|(one, _), (other, _)| one < other)
    }

    /// Returns them for other models, each of which was the one at its place in `before`: one that was none of them is taken to have
    /// predicted what the baseline did.
    pub(super) fn of_models(&self, before: &[Option<usize>]) -> Self {
        let moved = |forecast: &Arc<Forecast>| {
            let models = forecast.numbers.len() / 2;
            let number = |half: usize| {
                before.iter().map(move |place| place.map_or(forecast.baseline, |i| forecast.numbers[half * models + i]))
            };
            let champion = forecast.champion.and_then(|champion| before.iter().position(|it| *it == Some(champion)));
            let of = |place: &Option<usize>| place.and_then(|i| forecast.members.get(i)).cloned().unwrap_or_default();
            let members = before.iter().map(of).collect();
            Arc::new(Forecast { champion, numbers: number(0).chain(number(1)).collect(), members, ..**forecast })
        };
        Self::of(self.kept().map(moved))
    }
}

impl Serialize for Forecasts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.kept())
    }
}

impl<'de> Deserialize<'de> for Forecasts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(Vec::<Arc<Forecast>>::deserialize(deserializer)?))
    }
}

impl Checked for Forecasts {
    fn check(&mut self) -> Result<(), Damaged> {
        self.places.iter_mut().filter_map(|(_, forecast)| forecast.as_mut()).try_for_each(Checked::check)
    }
}

/// What was done with a sample that waited.
#[derive(Debug)]
pub struct Settlement<'a> {
    /// What had been published for each model, where that was scored now.
    pub scored: Option<&'a [f64]>,
    /// The model whose prediction had been the published one, where it is still in the race.
    pub champion: Option<usize>,
    /// Events of it, in order.
    pub events: &'a [Event],
}

impl Prequential {
    /// Returns the bytes that a forecast takes.
    pub fn forecast_bytes(&self) -> usize {
        let members = self.members_of([Features::new(&[]); 2], &[]);
        let apart: usize = members.iter().map(|members| size_of::<Box<[f64]>>() + 16 + members.len() * 8).sum();
        size_of::<Forecast>() + self.contenders.len() * 16 + 48 + apart
    }

    /// Forgets what was predicted for samples that do not wait any more.
    pub fn retain_forecasts(&mut self, ids: impl Iterator<Item = u64>) {
        if !self.forecasts.is_empty() {
            self.forecasts.retain(&ids.collect());
        }
    }

    /// Returns what each model's members predict for a sample; nothing where no model has some.
    fn members_of(&self, x: [Features<'_>; 2], keys: &[Option<String>]) -> Box<[Box<[f64]>]> {
        let (mut scratch, mut any) = (Scratch::default(), false);
        let of = |(i, contender): (usize, &Candidate)| {
            let mut members = Vec::new();
            let given = self.wiring.of(i).map(|inputs| inputs.given(keys, &self.buffers.predictions));
            match (given, contender.pipeline.per_key()) {
                (None, _) => contender.pipeline.members(contender.sees(x), &mut scratch, &mut members),
                (Some(Some(given)), Some(model)) => model.predictions(contender.sees(x), given, &mut members),
                (Some(_), _) => {}
            }
            any |= !members.is_empty();
            members.into_boxed_slice()
        };
        let members: Box<[_]> = self.contenders.iter().enumerate().map(of).collect();
        if any { members } else { Box::default() }
    }

    /// Keeps what was predicted for `x` in the last step, which had no target, until the target is known. Numbers grow.
    pub fn keep(&mut self, id: u64, x: Features<'_>, keys: &[Option<String>]) {
        let members = if self.is_usual(x) {
            self.members_of([x; 2], keys)
        } else {
            let row = self.admit(x, false);
            let members = self.members_of([x, x.replaced(&row)], keys);
            self.buffers.fenced = row;
            members
        };
        let Self { forecasts, buffers, champion, latest, version, .. } = self;
        let ends = |interval: Interval| [interval.lower, interval.upper];
        let forecast = Forecast {
            id,
            champion: Some(*champion),
            baseline: latest.baseline,
            published: buffers.predictions[*champion],
            version: *version,
            interval: latest.interval.map(ends),
            numbers: buffers.raw.iter().chain(&buffers.predictions).copied().collect(),
            members,
        };
        forecasts.places.push_back((id, Some(Arc::new(forecast))));
    }

    /// Takes what has become of a sample that was [kept](Self::keep): its prediction is scored and it is learned, where its target
    /// came. `x` is the sample as it was predicted from, in a row that may have grown since, and `keys` are its keys.
    pub fn settle(&mut self, id: u64, x: Features<'_>, keys: &[Option<String>], outcome: Outcome) -> Settlement<'_> {
        self.events.clear();
        let forecast = match outcome {
            Outcome::Corrected(_) => None,
            Outcome::Labelled(_) | Outcome::Defaulted(_) | Outcome::Missed(_) => self.forecasts.take(id),
        };
        let (scored, champion) = match (outcome, forecast) {
            (Outcome::Labelled(target) | Outcome::Defaulted(target), Some(forecast)) => {
                self.learn_late(x, keys, target, &forecast);
                (true, forecast.champion)
            }
            // One that is learned once more, or whose prediction is not known.
            (Outcome::Labelled(target) | Outcome::Defaulted(target) | Outcome::Corrected(target), _) => {
                self.learn_unscored(x, keys, target);
                (false, None)
            }
            (Outcome::Missed(_), _) => (false, None),
        };
        let Self { buffers, events, .. } = self;
        Settlement { scored: scored.then_some(&buffers.predictions), champion, events }
    }

    /// Takes what has become of samples, in order, and passes on each with what was done. `x` has the columns that there are by now.
    #[inline]
    pub fn settle_all(
        &mut self,
        settled: &[Settled],
        x: Features<'_>,
        mut pass_on: impl FnMut(&Settled, Settlement<'_>),
    ) {
        if settled.is_empty() {
            return;
        }
        let mut row = Vec::new();
        for settled in settled {
            row.clear();
            row.extend_from_slice(&settled.sample.features);
            row.resize(x.len().max(row.len()), f64::NAN);
            pass_on(settled, self.settle(settled.sample.id, x.over(&row), &settled.sample.keys, settled.outcome));
        }
    }

    fn learn_late(&mut self, x: Features<'_>, keys: &[Option<String>], target: f64, forecast: &Forecast) {
        let models = self.contenders.len();
        let (raw, predictions) = forecast.numbers.split_at(models);
        self.buffers.raw.copy_from_slice(raw);
        self.buffers.predictions.copy_from_slice(predictions);
        let interval = |ends: Option<[f64; 2]>| ends.map(|[lower, upper]| Interval { lower, upper });
        let members = Some(&forecast.members[..]);
        let made = Made {
            champion: forecast.champion,
            prediction: forecast.published,
            baseline: forecast.baseline,
            around: None,
            interval: interval(forecast.interval),
            is_before_rescue: forecast.version < self.rescued_at,
            behind: Some(self.version.saturating_sub(forecast.version)),
        };
        self.with_fenced(x, |race, x| race.score_and_learn(x, keys, target, made, members));
    }

    /// Learns a sample without scoring it.
    fn learn_unscored(&mut self, x: Features<'_>, keys: &[Option<String>], target: f64) {
        self.with_fenced(x, |race, x| {
            let baseline = race.predict(x, keys);
            let learned = race.admit_target(target);
            let limits = race.usual.judge(learned, baseline);
            race.learn_from(x, keys, [target, learned], Some(&limits), None);
        });
    }

    /// Has `learn` see the sample as it is, and as robust models see it.
    fn with_fenced(&mut self, x: Features<'_>, learn: impl FnOnce(&mut Self, [Features<'_>; 2])) {
        if self.is_usual(x) {
            learn(self, [x; 2]);
        } else {
            let row = self.admit(x, true);
            learn(self, [x, x.replaced(&row)]);
            self.buffers.fenced = row;
        }
    }
}
