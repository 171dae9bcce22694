//! Drift detectors, wherever a setting names one.

use super::{
    Section,
    range::{BETWEEN, NOT_NEGATIVE, POSITIVE, SHARE},
};
use crate::metrics::drift::{AdwinParams, CusumParams, DetectorKind, KswinParams, Mode, PageHinkleyParams};

const DETECTORS: [&str; 5] = ["none", "adwin", "page_hinkley", "kswin", "cusum"];

/// The detector that `key` names; `None` for "none".
pub(super) fn read(section: &mut Section, key: &str, default: Option<DetectorKind>) -> Option<DetectorKind> {
    let Some((kind, mut section)) = section.choice(key, &DETECTORS) else { return default };
    let mut whole = |key: &str, default: u32, least: u32| section.integer(key, default, least..=1_000_000);
    Some(match kind {
        "adwin" => {
            let default = match default {
                Some(DetectorKind::Adwin(default)) => default,
                _ => AdwinParams::default(),
            };
            DetectorKind::Adwin(AdwinParams {
                clock: whole("clock", default.clock, 1),
                max_buckets: whole("max_buckets", default.max_buckets, 2),
                min_window_length: whole("min_window_length", default.min_window_length, 1),
                grace_period: whole("grace_period", default.grace_period, 0),
                delta: section.number("delta", default.delta, BETWEEN),
            })
        }
        "page_hinkley" => {
            let default = PageHinkleyParams::default();
            DetectorKind::PageHinkley(PageHinkleyParams {
                min_instances: whole("min_instances", default.min_instances, 1),
                delta: section.number("delta", default.delta, NOT_NEGATIVE),
                threshold: section.number("threshold", default.threshold, POSITIVE),
                alpha: section.number("alpha", default.alpha, SHARE),
                mode: match section.one_of("mode", "both", &["up", "down", "both"]) {
                    "up" => Mode::Up,
                    "down" => Mode::Down,
                    _ => Mode::Both,
                },
            })
        }
        "kswin" => {
            let default = KswinParams::default();
            let (window_size, stat_size) =
                (whole("window_size", default.window_size, 2), whole("stat_size", default.stat_size, 1));
            // The older values must be enough to draw as many from.
            if stat_size > window_size / 2 {
                section.problem("stat_size", "must be at most half of window_size");
            }
            DetectorKind::Kswin(KswinParams {
                window_size,
                stat_size,
                alpha: section.number("alpha", default.alpha, BETWEEN),
                seed: section.integer("seed", default.seed, 0..),
            })
        }
        "cusum" => {
            let default = CusumParams::default();
            DetectorKind::Cusum(CusumParams {
                slack: section.number("slack", default.slack, NOT_NEGATIVE),
                threshold: section.number("threshold", default.threshold, POSITIVE),
                rate: section.number("rate", default.rate, BETWEEN),
            })
        }
        _ => return None,
    })
}
