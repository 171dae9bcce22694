//! Reads drift detectors, wherever a setting names one.

use super::{
    Section,
    choices::{choices, every, or_none},
    range::{BETWEEN_0_AND_1, NOT_NEGATIVE, POSITIVE, UP_TO_1},
};
use thalweg_metrics::drift::{AdwinParams, CusumParams, DetectorKind, KswinParams, Mode, PageHinkleyParams};

/// Reads the detector that `key` names; `None` for "none". Parameters of ADWIN that are not given are those of
/// `default`.
pub(super) fn read(section: &mut Section, key: &str, default: Option<DetectorKind>) -> Option<DetectorKind> {
    let adwin = if let Some(DetectorKind::Adwin(params)) = default { params } else { AdwinParams::default() };
    let detectors = every!(DetectorKind {
        Adwin(adwin),
        PageHinkley(PageHinkleyParams::default()),
        Kswin(KswinParams::default()),
        Cusum(CusumParams::default()),
    });
    let named = or_none("none", detectors.iter().map(|detector| (detector.name(), *detector)));
    let Some((chosen, mut section)) = section.choice(key, &named) else { return default };
    let mut whole = |key: &str, default: u32, least: u32| section.integer(key, default, least..=1_000_000);
    Some(match chosen? {
        DetectorKind::Adwin(default) => DetectorKind::Adwin(AdwinParams {
            clock: whole("clock", default.clock, 1),
            max_buckets: whole("max_buckets", default.max_buckets, 2),
            min_window_length: whole("min_window_length", default.min_window_length, 1),
            grace_period: whole("grace_period", default.grace_period, 0),
            delta: section.number("delta", default.delta, BETWEEN_0_AND_1),
        }),
        DetectorKind::PageHinkley(default) => DetectorKind::PageHinkley(PageHinkleyParams {
            min_instances: whole("min_instances", default.min_instances, 1),
            delta: section.number("delta", default.delta, NOT_NEGATIVE),
            threshold: section.number("threshold", default.threshold, POSITIVE),
            alpha: section.number("alpha", default.alpha, UP_TO_1),
            mode: section.one_of("mode", default.mode, &choices!(Mode { "up": Up, "down": Down, "both": Both })),
        }),
        DetectorKind::Kswin(default) => {
            let (window_size, stat_size) =
                (whole("window_size", default.window_size, 2), whole("stat_size", default.stat_size, 1));
            // There must be enough older values to draw as many from.
            if stat_size > window_size / 2 {
                section.problem("stat_size", "must be at most half of window_size");
            }
            DetectorKind::Kswin(KswinParams {
                window_size,
                stat_size,
                alpha: section.number("alpha", default.alpha, BETWEEN_0_AND_1),
                seed: section.integer("seed", default.seed, 0..),
            })
        }
        DetectorKind::Cusum(default) => DetectorKind::Cusum(CusumParams {
            slack: section.number("slack", default.slack, NOT_NEGATIVE),
            threshold: section.number("threshold", default.threshold, POSITIVE),
            rate: section.number("rate", default.rate, BETWEEN_0_AND_1),
        }),
    })
}
