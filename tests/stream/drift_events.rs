//! Drift events: each detector sees an abrupt change of a model's error soon, and none before it.

use thalweg_metrics::drift::{AdwinParams, CusumParams, DetectorKind, KswinParams, PageHinkleyParams};
use thalweg_models::{Features, ModelConfig, ModelKind, linear};
use thalweg_pipeline::{
    encode::Encoder,
    prequential::{Config, Drift, Event, Prequential},
};
use thalweg_state as state;

/// The relation between features and target turns around here.
const CHANGE: usize = 3000;

/// Pseudo-random numbers in −1..1 without structure that matters here.
fn noise(i: usize) -> f64 {
    ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract() * 2.0 - 1.0
}

fn sample(i: usize) -> ([f64; 2], f64) {
    let x = [noise(i * 31), noise(i * 7919 + 3)];
    let plane = 5.0 * x[0] - 3.0 * x[1];
    (x, if i < CHANGE { plane } else { -plane } + 0.3 * noise(i * 104_729 + 1))
}

fn race(drift: Option<DetectorKind>) -> Prequential {
    let linear = |name| ModelConfig::new(name, ModelKind::Linear(linear::Params::river()));
    Prequential::new(&Config { drift, ..Config::of(vec![linear("one"), linear("other")]) })
}

/// When each drift event came, with its model.
fn drifts(race: &mut Prequential, samples: std::ops::Range<usize>) -> Vec<(usize, usize)> {
    let mut seen = Vec::new();
    for i in samples {
        let (x, y) = sample(i);
        for event in race.step(Features::new(&x), Some(y)).events {
            if let Event::Drift { model, .. } = event {
                seen.push((i, *model));
            }
        }
    }
    seen
}

/// Each with how many samples after the change it may take.
fn detectors() -> [(DetectorKind, usize); 4] {
    [
        (DetectorKind::Adwin(AdwinParams::default()), 64),
        (DetectorKind::PageHinkley(PageHinkleyParams::default()), 20),
        (DetectorKind::Kswin(KswinParams { alpha: 1e-5, ..KswinParams::default() }), 40),
        (DetectorKind::Cusum(CusumParams::default()), 20),
    ]
}

#[test]
fn an_abrupt_change_is_seen_soon_and_nothing_before_it() {
    for (detector, within) in detectors() {
        let mut race = race(Some(detector));
        // The models begin at 0 and learn the plane: their error falls, which two-sided detectors see as a change.
        drifts(&mut race, 0..1000);
        let seen = drifts(&mut race, 1000..CHANGE + within);
        println!("{}: {seen:?}", detector.name());
        let (first, _) = *seen.first().unwrap_or_else(|| panic!("{} saw nothing", detector.name()));
        assert!(first >= CHANGE, "{} at {first}", detector.name());
        // The same samples, the same model, the same answer: one event that names both.
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(race.drifted().0.collect::<Vec<_>>(), [0, 1]);
    }
}

#[test]
fn what_is_seen_is_counted_and_none_watches_where_nobody_asks() {
    for (detector, _) in detectors() {
        let mut race = race(Some(detector));
        let seen = drifts(&mut race, 0..CHANGE + 500);
        for standing in race.standings() {
            assert!(standing.counts.drifts >= seen.len() as u64 && !seen.is_empty(), "{}: {seen:?}", detector.name());
        }
    }
    assert_eq!(drifts(&mut race(None), 0..CHANGE + 500), []);
}

/// Every few hundred samples the whole stream turns around.
#[test]
fn a_stream_that_keeps_changing_is_one_event_in_a_thousand_samples_and_baselines_raise_none() {
    let turning = |models: Vec<ModelConfig>| {
        let mut race = Prequential::new(&Config::of(models));
        let (mut events, mut counted) = (Vec::new(), 0);
        for i in 0..20_000 {
            let (x, y) = sample(i % CHANGE);
            let y = if i / 300 % 2 == 0 { y } else { 20.0 - y };
            let step = race.step(Features::new(&x), Some(y));
            events.extend(step.events.iter().filter(|event| matches!(event, Event::Drift { .. })).map(|_| i));
        }
        race.standings().iter().for_each(|standing| counted += standing.counts.drifts);
        (events, counted)
    };
    let [mean, last] =
        [("mean", ModelKind::Mean), ("last", ModelKind::Last)].map(|(name, kind)| ModelConfig::new(name, kind));
    let linear = ModelConfig::new("linear", ModelKind::Linear(linear::Params::river()));
    let (events, counted) = turning(vec![mean.clone(), last.clone(), linear]);
    assert!(counted > 100, "{counted} detections");
    assert!((5..=21).contains(&events.len()), "{events:?}");
    assert!(events.windows(2).all(|pair| pair[1] - pair[0] >= 900), "{events:?}");
    let (events, counted) = turning(vec![mean, last]);
    assert!(events.is_empty() && counted > 5, "{counted} detections, {events:?}");
}

#[test]
fn a_restored_race_sees_what_one_that_never_stopped_sees() {
    for (detector, _) in detectors() {
        let (mut straight, mut stopped) = (race(Some(detector)), race(Some(detector)));
        let expected = drifts(&mut straight, 0..CHANGE + 300);
        let mut seen = drifts(&mut stopped, 0..CHANGE - 7);
        let config = stopped.config().clone();
        let saved = rmp_serde::to_vec_named(&stopped).expect("saved");
        let mut restored = Prequential::restored(state::read(&saved).expect("restored"), &config).0;
        seen.extend(drifts(&mut restored, CHANGE - 7..CHANGE + 300));
        assert_eq!(seen, expected, "{}", detector.name());
    }
}

/// As settings.toml names them.
fn parameters(detector: &DetectorKind) -> serde_json::Value {
    match detector {
        DetectorKind::Adwin(_) => serde_json::json!({
            "delta": 0.002, "clock": 32, "max_buckets": 5, "min_window_length": 5, "grace_period": 10
        }),
        DetectorKind::PageHinkley(_) => serde_json::json!({
            "min_instances": 30, "delta": 0.005, "threshold": 50.0, "alpha": 0.9999, "mode": "both"
        }),
        DetectorKind::Kswin(_) => serde_json::json!({
            "alpha": 1e-5, "window_size": 100, "stat_size": 30, "seed": 42
        }),
        DetectorKind::Cusum(_) => serde_json::json!({ "slack": 2.0, "threshold": 40.0, "rate": 0.005 }),
    }
}

#[test]
fn the_error_before_and_after_tells_how_much_the_model_suffers() {
    for (detector, within) in detectors() {
        let mut race = race(Some(detector));
        drifts(&mut race, 0..CHANGE);
        let mut first = None;
        // The squared errors around the change, as the models are scored.
        for i in CHANGE..CHANGE + within {
            let (x, y) = sample(i);
            for event in race.step(Features::new(&x), Some(y)).events {
                if let Event::Drift { drift, .. } = event {
                    first = first.or(Some(*drift));
                }
            }
        }
        let Drift { before, after } = first.expect("a drift");
        // Noise of ±0.3 has a deviation of 0.17; of the turned plane errors are several units.
        assert!(before > 0.1 && before < 0.6, "{}: before {before}", detector.name());
        assert!(after > 2.0 * before && after < 12.0, "{}: after {after}, before {before}", detector.name());
    }
}

#[test]
fn a_model_that_gets_better_has_a_smaller_error_after_than_before() {
    let mut race = race(Some(DetectorKind::default()));
    let mut falls = 0;
    for i in 0..1000 {
        let (x, y) = sample(i);
        for event in race.step(Features::new(&x), Some(y)).events {
            if let Event::Drift { drift, .. } = event {
                assert!(drift.after < drift.before, "{drift:?}");
                falls += 1;
            }
        }
    }
    assert!(falls > 0);
}

#[test]
fn a_drift_event_names_model_detector_and_errors() {
    for (detector, within) in detectors() {
        let mut race = race(Some(detector));
        drifts(&mut race, 0..CHANGE + within);
        let encoder = Encoder::new("samples", 3, race.names().cloned().collect::<Vec<_>>(), true);
        let drift = Drift { before: 0.25, after: 6.5 };
        let out = encoder.event(17, 1_700_000_000_000, Event::Drift { model: 1, drift }, &race);
        let event: serde_json::Value = serde_json::from_slice(&out.value.expect("a value")).expect("JSON");
        let standing = &race.standings()[1];
        let expected = serde_json::json!({
            "event": "drift",
            "model": "other",
            "detector": detector.name(),
            "parameters": parameters(&detector),
            "rmse_before": 0.25,
            "rmse_after": 6.5,
            "faded_rmse": standing.faded.rmse(),
            "rmse": standing.rolling.rmse(),
            "models": ["one", "other"],
            "samples_ago": race.drifted().1,
            "source": { "topic": "samples", "partition": 3, "offset": 17 },
            "timestamp": 1_700_000_000_000_i64,
        });
        assert_eq!(event, expected);
        assert_eq!((out.source, out.timestamp), (17, 1_700_000_000_000));
    }
}
