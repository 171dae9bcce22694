//! Prediction intervals: what the published prediction's interval holds across drift, restarts and upgrades.

use crate::support::daemon::{Workspace, stdout};
use serde_json::Value;
use thalweg::{
    generator::{Config, Function, Stream},
    metrics::Conformal,
    models::{Features, ModelConfig, ModelKind, linear, tree},
    pipeline::prequential::{Config as Race, Prequential},
    state,
};

fn race() -> Race {
    let model = |kind: ModelKind, scale| ModelConfig::new(kind.name(), kind).scaled(scale);
    Race::of(vec![
        model(ModelKind::Mean, false),
        model(ModelKind::Last, false),
        model(ModelKind::Linear(linear::Params::river()), true),
        model(ModelKind::HoeffdingTree(tree::Params::default()), true),
    ])
}

fn stream(name: &str, seed: u64) -> Stream {
    let function = Function::from_name(name).expect("a function");
    Stream::new(&Config { function, seed, ..Config::default() }).expect("a stream")
}

/// For each of `n` samples whether the interval held the target.
fn held(prequential: &mut Prequential, stream: &mut Stream, n: usize) -> Vec<bool> {
    let mut x = Vec::new();
    let step = |_| {
        let y = stream.next_sample(&mut x);
        prequential.step(Features::new(&x), Some(y)).interval.is_some_and(|interval| interval.holds(y))
    };
    (0..n).map(step).collect()
}

fn share(held: &[bool]) -> f64 {
    held.iter().filter(|held| **held).count() as f64 / held.len() as f64
}

#[test]
fn the_share_wanted_is_held_over_all_and_soon_after_each_drift() {
    // The default function changes at 15,000 and back at 30,000.
    let mut after = Vec::new();
    for seed in 1..=5 {
        for coverage in [0.8, 0.9] {
            let mut prequential = Prequential::new(&Race { intervals: Some(coverage), ..race() });
            let held = held(&mut prequential, &mut stream("friedman_drift", seed), 32_000);
            assert!((share(&held) - coverage).abs() < 0.002, "{} of {coverage}", share(&held));
            for drift in [15_000, 30_000] {
                for window in [&held[drift..drift + 500], &held[drift + 250..drift + 750]] {
                    // No sequence of 500 is exact, so each has a little more and their mean does not.
                    assert!((share(window) - coverage).abs() < 0.03, "{} of {coverage} at {drift}", share(window));
                    after.push(share(window) - coverage);
                }
            }
            let counted = prequential.coverage().expect("intervals are on");
            assert_eq!((counted.n(), counted.target()), (31_999, coverage));
            assert!((counted.total() - share(&held[1..])).abs() < 1e-12);
            assert!(counted.recent_width() > 0.0 && (counted.recent() - coverage).abs() < 0.02);
        }
    }
    let mean = after.iter().sum::<f64>() / after.len() as f64;
    assert!(mean.abs() < 0.01, "after drifts: {mean}");
}

#[test]
fn a_sample_without_target_has_an_interval_and_changes_none() {
    let mut prequential = Prequential::new(&race());
    let mut stream = stream("friedman", 1);
    assert_eq!(prequential.step(Features::new(&[0.5; 10]), None).interval, None);
    held(&mut prequential, &mut stream, 300);
    let first = prequential.step(Features::new(&[0.5; 10]), None).interval;
    assert!(first.is_some());
    assert_eq!(prequential.step(Features::new(&[0.5; 10]), None).interval, first);
}

#[test]
fn other_settings_begin_anew_and_the_same_go_on() {
    let mut prequential = Prequential::new(&race());
    held(&mut prequential, &mut stream("friedman", 1), 500);
    let x = [0.5; 10];
    let before = prequential.step(Features::new(&x), None).interval;
    let restored = |race: &Race| Prequential::restored(prequential.clone(), race).0;
    // Not of the intervals.
    let mut same = restored(&Race { fading: 0.5, ..race() });
    assert_eq!(same.step(Features::new(&x), None).interval, before);
    assert_eq!(same.coverage(), prequential.coverage());
    let mut window = restored(&Race { window: 10, ..race() });
    assert_eq!(window.step(Features::new(&x), None).interval, before);
    assert_eq!(window.coverage().map(|coverage| coverage.n()), Some(0));
    for intervals in [Some(0.8), None] {
        let mut other = restored(&Race { intervals, ..race() });
        assert_eq!(other.step(Features::new(&x), None).interval, None);
        assert_eq!(other.coverage().map(|coverage| coverage.target()), intervals);
    }
}

#[test]
fn a_state_from_before_there_were_intervals_keeps_its_models_and_begins_them() {
    let mut old = Prequential::new(&Race { intervals: None, ..race() });
    held(&mut old, &mut stream("friedman", 1), 500);
    let mut state: Value = serde_json::to_value(&old).expect("a state");
    state.as_object_mut().and_then(|state| state.remove("intervals")).expect("the intervals");
    state["config"].as_object_mut().and_then(|config| config.remove("intervals")).expect("the setting");
    let bytes = rmp_serde::to_vec_named(&state).expect("an old state");
    let stored: Prequential = state::read(&bytes).expect("an old state");
    let (mut restored, afresh) = Prequential::restored(stored, &race());
    assert_eq!((restored.version(), afresh), (500, vec![]));
    let x = [0.5; 10];
    assert_eq!(restored.step(Features::new(&x), None).predictions, old.step(Features::new(&x), None).predictions);
    assert!(restored.step(Features::new(&x), Some(1.0)).interval.is_none());
    assert!(restored.step(Features::new(&x), Some(1.0)).interval.is_some());
}

#[test]
fn what_is_published_across_restarts_is_what_one_run_of_errors_gives_to_the_bit() {
    let site = Workspace::new(&["generator.rate=20000", "metrics.report_every=100ms", "intervals.coverage=0.8"]);
    for run in 1..=3_u64 {
        let mut daemon = site.start(&[]);
        let report = daemon.line("some progress", |line| {
            line["event"] == "report" && line["records"].as_u64().is_some_and(|records| records > 3000 * run)
        });
        let coverage = report["coverage"].as_f64().expect("the share of late");
        assert!((coverage - 0.8).abs() < 0.03, "{report}");
        // The first is killed, and so loses what it had not saved.
        if run == 1 { daemon.kill() } else { assert!(daemon.stop().success()) }
    }
    assert!(site.run(&["run", "--until-caught-up"]).status.success());

    let mut conformal = Conformal::new(0.8);
    let predictions = site.topic("predictions");
    for (_, value, _) in &predictions {
        let text = String::from_utf8(value.clone().expect("a value")).expect("UTF-8");
        let prediction: Value = serde_json::from_str(&text).expect("JSON");
        let [p, y] = ["prediction", "target"].map(|name| prediction[name].as_f64().expect("a number"));
        let ends = ["lower", "upper"].map(|name| prediction[name].as_f64());
        let expected = conformal.around(p);
        assert_eq!(ends, [expected.map(|it| it.lower), expected.map(|it| it.upper)], "{text}");
        // Where a reader of the line looks for them.
        let order = ["\"prediction\":", "\"lower\":", "\"upper\":", "\"model\":"].map(|key| text.find(key));
        assert!(order.is_sorted() && order[0].is_some(), "{text}");
        conformal.update(y, p);
    }
    assert!(predictions.len() > 9000);
}

#[test]
fn replay_reports_them_and_whoever_does_not_want_them_sees_nothing() {
    let site = Workspace::new(&["generator.enabled=false"]);
    let samples = stdout(&site.run(&["generate", "--function", "friedman", "-n", "3000"]));
    let file = site.write("samples.jsonl", samples).display().to_string();
    let report = |more: &[&str]| -> Value {
        serde_json::from_str(&stdout(&site.run(&[&["replay", &file, "--report", "json"], more].concat())))
            .expect("JSON")
    };
    let intervals = &report(&[])["intervals"];
    assert_eq!(intervals["target"], 0.9);
    for share in ["coverage", "recent_coverage"] {
        assert!((intervals[share].as_f64().expect("a share") - 0.9).abs() < 0.01, "{intervals}");
    }
    for width in ["width", "recent_width"] {
        assert!(intervals[width].as_f64().expect("a width") > 3.0, "{intervals}");
    }
    let text = stdout(&site.run(&["replay", &file]));
    assert!(text.contains("% of the targets (90 % wanted), mean width "), "{text}");

    let off = "intervals.enabled=false";
    assert_eq!(report(&["--set", off]).get("intervals"), None);
    let site = Workspace::new(&["generator.count=500", "generator.rate=0", "metrics.report_every=50ms", off]);
    let mut daemon = site.start(&[]);
    let line = daemon.line("all samples", |line| line["records"] == 500);
    assert!(daemon.stop().success());
    assert_eq!((line.get("coverage"), line.get("width")), (None, None));
    let prediction = site.predictions().pop().expect("a prediction");
    assert_eq!((prediction.get("lower"), prediction.get("upper")), (None, None));
}

#[test]
fn a_share_that_cannot_be_held_is_an_error() {
    for (value, fits) in
        [("0.5", true), ("0.999", true), ("0.49", false), ("1.0", false), ("nan", false), ("90", false)]
    {
        let output = Workspace::new(&[]).run(&["check", "--set", &format!("intervals.coverage={value}")]);
        assert_eq!(output.status.code(), Some(if fits { 0 } else { 78 }), "{value}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.contains("intervals.coverage"), !fits, "{said}");
    }
}
