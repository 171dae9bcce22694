//! Going on from a stored state, under the same settings or others.
//!
//! Invariant: a state that is damaged is an error and never a panic later. What is configured as it was keeps what it has
//! learned.

use serde::Deserialize;

use super::{Baseline, Config, Contender, Intervals, Prequential, Usual, wiring::Wiring};
use crate::{
    metrics::{Rolling, saved},
    models::{Fence, Recent, Scratch},
    state::whole,
};

/// What a state file holds, not yet checked.
#[derive(Deserialize)]
pub(super) struct Saved {
    config: Config,
    contenders: Vec<Contender>,
    baseline: Baseline,
    champion: usize,
    #[serde(deserialize_with = "saved::count")]
    version: u64,
    usual: Usual,
    /// States from before there were intervals have none.
    #[serde(default)]
    intervals: Option<Intervals>,
    #[serde(default, deserialize_with = "whole")]
    recent: Recent,
    /// States from before judged no value.
    #[serde(default, deserialize_with = "whole")]
    fence: Fence,
}

impl TryFrom<Saved> for Prequential {
    type Error = &'static str;

    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let Saved { config, contenders, baseline, champion, version, usual, intervals, recent, fence } = saved;
        let n = contenders.len();
        if n != config.models.len() || contenders.iter().zip(&config.models).any(|(it, model)| it.config != *model) {
            return Err("the models are not those that are configured");
        }
        if champion >= n || matches!(baseline, Baseline::Configured(i) if i >= n) {
            return Err("the champion or the baseline is none of the models");
        }
        let Ok(wiring) = Wiring::new(&config.models) else {
            return Err("a model has members that are not there");
        };
        Ok(Self {
            wiring,
            row: Vec::new(),
            config,
            contenders,
            baseline,
            champion,
            version,
            usual,
            intervals,
            recent,
            fence,
            fenced: Vec::new(),
            raw: vec![0.0; n],
            predictions: vec![0.0; n],
            events: Vec::new(),
            scratch: Scratch::default(),
        })
    }
}

impl Prequential {
    /// Goes on from a stored state under today's settings: a model that is configured exactly as it was keeps what it
    /// has learned, any other starts afresh. Names those that do. Metrics, detectors and guards with other settings
    /// begin anew.
    pub fn restored(stored: Self, config: &Config) -> (Self, Vec<String>) {
        if stored.config == *config {
            return (stored, Vec::new());
        }
        let mut fresh = Self::new(config);
        fresh.version = stored.version;
        fresh.usual = stored.usual;
        fresh.recent = stored.recent;
        fresh.fence = stored.fence;
        let before = &stored.config;
        if before.intervals == config.intervals {
            let same = before.window == config.window;
            fresh.intervals = stored.intervals.map(|it| if same { it } else { it.over(config.window) });
        }
        let champion = stored.contenders.get(stored.champion).map(|contender| contender.name.clone());
        let mut kept: Vec<Contender> = stored.contenders;
        if let Baseline::Own(own) = stored.baseline {
            kept.push(*own);
        }
        let mut afresh = Vec::new();
        for contender in fresh.all_mut() {
            let Some(i) = kept.iter().position(|old| old.config == contender.config) else {
                afresh.push(contender.config.name.clone());
                continue;
            };
            let old = kept.swap_remove(i);
            (contender.pipeline, contender.counts) = (old.pipeline, old.counts);
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
        fresh.champion = fresh.followed().or(as_before).unwrap_or(0);
        (fresh, afresh)
    }
}
