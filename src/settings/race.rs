//! Reads `[metrics]`, `[guard]` and `[intervals]`: how the race is scored and guarded.

use super::{
    Section,
    choices::choices,
    detector,
    range::{FINITE, Range, UP_TO_1},
};
use thalweg_models::ModelConfig;
use thalweg_pipeline::prequential::{Action, Config, GuardConfig};

/// Minimum and maximum of the target.
pub(super) type Bounds = [Option<f64>; 2];

pub(super) fn read(
    models: Vec<ModelConfig>,
    metrics: &mut Section,
    mut guard: Section,
    intervals: Section,
    [target_min, target_max]: Bounds,
) -> Config {
    let default = Config::of(models);
    Config {
        window: metrics.integer("window", default.window, 1..=10_000_000),
        fading: metrics.number("fading", default.fading, UP_TO_1),
        drift: detector::read(metrics, "drift", default.drift),
        guard: GuardConfig {
            action: guard.one_of(
                "action",
                default.guard.action,
                &choices!(Action { "off": Off, "rollback": RollBack, "reset": Reset }),
            ),
            factor: guard.number("factor", default.guard.factor, Range::over(1.0)),
            every: guard.integer("every", default.guard.every, 1..=1_000_000_000),
        },
        intervals: coverage(intervals, default.intervals),
        target_min,
        target_max,
        ..default
    }
}

/// Reads `target_min` and `target_max` of `[schema]`.
pub(super) fn bounds(schema: &mut Section) -> Bounds {
    let [least, greatest] = ["target_min", "target_max"]
        .map(|key| schema.has(key).then(|| schema.number(key, 0.0, FINITE.described_as("a number"))));
    if let (Some(least), Some(greatest)) = (least, greatest)
        && least >= greatest
    {
        schema.problem("target_max", &format!("must be over target_min, {least}"));
    }
    [least, greatest]
}

fn coverage(mut section: Section, default: Option<f64>) -> Option<f64> {
    let enabled = section.boolean("enabled", default.is_some());
    let coverage = section.number("coverage", default.unwrap_or(0.9), 0.5..1.0);
    enabled.then_some(coverage)
}
