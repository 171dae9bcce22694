//! Continues from a stored state, under the same settings or others.
//!
//! Invariant: a damaged state is an error and never a panic later. A model with unchanged settings keeps what it has
//! learned.

use super::{
    Baseline, Bounds, Buffers, Candidate, Config, Prequential, Published, election, member_graph::MemberGraph,
};
use thalweg_metrics::{Rolling, checked};
use thalweg_models::{ModelConfig, champion::Track};

checked!(Prequential {
    config,
    contenders,
    baseline,
    champion,
    published,
    version,
    usual,
    intervals,
    drifts,
    recent,
    fence,
    forecasts,
    rescued_at,
    bounds: skipped,
    default: skipped,
    wiring: skipped,
    tracks: skipped,
    buffers: skipped,
    latest: skipped,
    events: skipped,
} then fits);

impl Prequential {
    fn fits(&mut self) -> Result<(), &'static str> {
        let Self { config, contenders, baseline, champion, .. } = self;
        let n = contenders.len();
        if n != config.models.len() || contenders.iter().zip(&config.models).any(|(it, model)| it.config != *model) {
            return Err("the models are not those that are configured");
        }
        if *champion >= n || matches!(baseline, Baseline::Configured(i) if *i >= n) {
            return Err("the champion or the baseline is none of the models");
        }
        self.wiring =
            MemberGraph::new(&config.models, &config.keys).map_err(|_| "a model has members that are not there")?;
        // In a state older than tracks, elections begin with the rolling scores.
        if contenders.iter().all(|contender| contender.track == Track::default()) {
            for contender in contenders {
                let rolling = contender.scores.rolling.scores();
                contender.track = Track::with(rolling.n(), rolling.rmse() * rolling.rmse());
            }
        }
        if self.published.is_empty() {
            self.published.scores = Published::new(config).scores;
        }
        if !self.forecasts.fit(n) {
            return Err("what was predicted does not fit the models");
        }
        self.default = election::default_of(&config.models);
        self.bounds = Bounds::of(config);
        self.buffers = Buffers::new(n);
        Ok(())
    }

    /// Continues from a stored state under today's settings: a model with exactly the same settings keeps what it has
    /// learned, any other starts afresh. Returns the names of those that do. Metrics, detectors and guards with other
    /// settings begin anew.
    pub fn restored(stored: Self, config: &Config) -> (Self, Vec<String>) {
        if stored.config == *config {
            return (stored, Vec::new());
        }
        let mut fresh = Self::new(config);
        fresh.version = stored.version;
        fresh.usual = stored.usual;
        fresh.recent = stored.recent;
        fresh.fence = stored.fence;
        // Drifts name models by index.
        if stored.config.models == config.models && stored.config.drift == config.drift {
            fresh.drifts = stored.drifts;
        }
        fresh.published = stored.published.under(&stored.config, config);
        let before = &stored.config;
        if before.intervals == config.intervals {
            let same = before.window == config.window;
            fresh.intervals = stored.intervals.map(|it| if same { it } else { it.over(config.window) });
        }
        let place = |model: &ModelConfig| before.models.iter().position(|old| model.continues(old));
        fresh.forecasts = stored.forecasts.of_models(&config.models.iter().map(place).collect::<Vec<_>>());
        fresh.rescued_at = stored.rescued_at;
        if before.intervals != config.intervals {
            fresh.forecasts.forget_intervals();
        }
        let champion = stored.contenders.get(stored.champion).map(|contender| contender.name.clone());
        let mut kept: Vec<Candidate> = stored.contenders;
        if let Baseline::Own(own) = stored.baseline {
            kept.push(*own);
        }
        let mut afresh = Vec::new();
        let default = |config: &Config| election::default_of(&config.models).map(|i| config.models[i].clone());
        let same_default = default(before) == default(config);
        for contender in fresh.all_mut() {
            let Some(i) = kept.iter().position(|old| contender.config.continues(&old.config)) else {
                afresh.push(contender.config.name.clone());
                continue;
            };
            let old = kept.swap_remove(i);
            (contender.pipeline, contender.counts) = (old.pipeline, old.counts);
            contender.pipeline.adopt(&contender.config);
            contender.track = if same_default { old.track } else { old.track.against_another() };
            let scores = std::mem::replace(&mut contender.scores, old.scores);
            if before.window != config.window {
                contender.scores.rolling = Rolling::new(config.window);
            }
            if before.fading != config.fading {
                contender.scores.faded = scores.faded;
            }
            if before.drift == config.drift {
                contender.detector = old.detector;
            }
            if before.guard == config.guard {
                contender.guard = old.guard;
            }
        }
        let as_before = fresh.contenders.iter().position(|contender| Some(&contender.name) == champion.as_ref());
        fresh.champion = fresh.followed().or(as_before).unwrap_or_else(|| fresh.first());
        (fresh, afresh)
    }

    /// Returns the names of the models of `config` that would start afresh.
    pub fn lacking(&self, config: &Config) -> Vec<String> {
        let lacks = |model: &&ModelConfig| !self.config.models.iter().any(|known| model.continues(known));
        config.models.iter().filter(lacks).map(|model| model.name.clone()).collect()
    }

    /// Continues from a stored state under the settings of `learned`, whose models stand in for those that would start afresh. Both
    /// have taken the same samples last, and the same columns.
    #[must_use]
    pub fn joined(stored: Self, mut learned: Self) -> Self {
        let (mut race, afresh) = Self::restored(stored, &learned.config.clone());
        let mut others: Vec<&mut Candidate> = learned.all_mut().collect();
        for contender in race.all_mut().filter(|it| afresh.contains(&it.config.name)) {
            if let Some(other) = others.iter_mut().find(|other| other.config == contender.config) {
                std::mem::swap(contender, other);
            }
        }
        race
    }
}
