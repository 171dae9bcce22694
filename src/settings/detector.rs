//! A drift detector with its parameters, wherever one can be chosen.

use super::Section;
use crate::metrics::drift::{AdwinParams, CusumParams, DetectorKind, KswinParams, Mode, PageHinkleyParams};

const DETECTORS: [&str; 5] = ["none", "adwin", "page_hinkley", "kswin", "cusum"];

/// The detector that `key` chooses; `None` for "none".
pub(super) fn read(section: &mut Section, key: &str, default: Option<DetectorKind>) -> Option<DetectorKind> {
    let Some((kind, mut section)) = section.choice(key, &DETECTORS) else { return default };
    let positive = |number: f64| number > 0.0;
    let inside = |number: f64| number > 0.0 && number < 1.0;
    let mut whole =
        |key: &str, default: u32, least: u64| section.integer(key, u64::from(default), least..=1_000_000) as u32;
    Some(match kind {
        "adwin" => {
            let default = AdwinParams::default();
            DetectorKind::Adwin(AdwinParams {
                clock: whole("clock", default.clock, 1),
                max_buckets: whole("max_buckets", default.max_buckets, 2),
                min_window_length: whole("min_window_length", default.min_window_length, 1),
                grace_period: whole("grace_period", default.grace_period, 0),
                delta: section.number("delta", default.delta, "over 0 and under 1", inside),
            })
        }
        "page_hinkley" => {
            let default = PageHinkleyParams::default();
            DetectorKind::PageHinkley(PageHinkleyParams {
                min_instances: whole("min_instances", default.min_instances, 1),
                delta: section.number("delta", default.delta, "0 or more", |delta| delta >= 0.0),
                threshold: section.number("threshold", default.threshold, "over 0", positive),
                alpha: section.number("alpha", default.alpha, "over 0 and at most 1", |a| a > 0.0 && a <= 1.0),
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
                alpha: section.number("alpha", default.alpha, "over 0 and under 1", inside),
                seed: section.integer("seed", default.seed, 0..=u64::MAX),
            })
        }
        "cusum" => {
            let default = CusumParams::default();
            DetectorKind::Cusum(CusumParams {
                slack: section.number("slack", default.slack, "0 or more", |slack| slack >= 0.0),
                threshold: section.number("threshold", default.threshold, "over 0", positive),
                rate: section.number("rate", default.rate, "over 0 and under 1", inside),
            })
        }
        _ => return None,
    })
}
