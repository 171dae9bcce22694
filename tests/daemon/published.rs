//! What is published is scored like a model; who is followed from the start; no figure before there is one.

use crate::support::daemon::Workspace;
use serde_json::Value;
use thalweg::{
    generator::{Config as Source, Function, Stream},
    metrics::{Rolling, Scores},
    models::{Features, ModelConfig, ModelKind, linear, mixture, tree},
    pipeline::prequential::{Config, Event, Prequential},
    state,
};

const WINDOW: usize = 200;

fn models() -> Vec<ModelConfig> {
    vec![
        ModelConfig::new("mean", ModelKind::Mean),
        ModelConfig::new("last", ModelKind::Last),
        ModelConfig::new("linear", ModelKind::Linear(linear::Params::default())).scaled(true),
        ModelConfig::new("tree", ModelKind::HoeffdingTree(tree::Params::default())).scaled(true),
    ]
}

fn with_mixture() -> Vec<ModelConfig> {
    let mut models = models();
    models.push(ModelConfig::new("mixture", ModelKind::Mixture(mixture::Params::default())));
    models
}

fn race(models: Vec<ModelConfig>) -> Config {
    Config { window: WINDOW, ..Config::of(models) }
}

fn stream(name: &str) -> Stream {
    let function = Function::from_name(name).expect("a function");
    Stream::new(&Source { function, ..Source::default() }).expect("a stream")
}

/// Targets with what was published of them.
fn run(race: &mut Prequential, stream: &mut Stream, n: usize) -> Vec<(f64, f64)> {
    let mut x = Vec::new();
    let one = |_| {
        let y = stream.next_sample(&mut x);
        let step = race.step(Features::new(&x), Some(y));
        (y, step.predictions[step.champion])
    };
    (0..n).map(one).collect()
}

#[test]
fn what_is_published_is_scored_as_it_was_whichever_model_it_was_of() {
    let mut race = Prequential::new(&race(models()));
    let pairs = run(&mut race, &mut stream("friedman_drift"), 3000);
    let (mut total, mut rolling) = (Scores::default(), Rolling::new(WINDOW));
    for (y, p) in pairs {
        total.update(y, p);
        rolling.update(y, p);
    }
    let (published, standings) = (race.published(), race.standings());
    assert_eq!((published.total, published.rolling), (total, rolling.scores()));
    assert_eq!(&published.rolling_errors, rolling.errors());
    assert!(published.skill > Some(0.0) && published.total_skill > Some(0.0));
    assert!(standings.iter().all(|model| model.total != published.total), "it was of more than one model");
}

#[test]
fn its_scores_go_on_to_the_bit_after_a_restart() {
    let mut straight = Prequential::new(&race(models()));
    let mut stream = stream("friedman_drift");
    for _ in 0..5 {
        run(&mut straight, &mut stream, 277);
        let bytes = rmp_serde::to_vec_named(&straight).expect("saved");
        let mut restored = Prequential::restored(state::read(&bytes).expect("restored"), &race(models())).0;
        let mut again = self::stream("friedman_drift");
        again.seek(straight.version());
        let mut on = straight.clone();
        let mut forward = self::stream("friedman_drift");
        forward.seek(straight.version());
        assert_eq!(run(&mut on, &mut forward, 300), run(&mut restored, &mut again, 300));
        assert_eq!(on.published(), restored.published());
    }
}

#[test]
fn a_state_from_before_it_was_scored_opens_and_begins_to_score_it() {
    let mut old = Prequential::new(&race(models()));
    run(&mut old, &mut stream("friedman"), 1000);
    let mut state: Value = serde_json::to_value(&old).expect("a state");
    let fields = state.as_object_mut().expect("fields");
    for field in ["published", "drifts"] {
        fields.remove(field).expect("a field");
    }
    for contender in fields["contenders"].as_array_mut().expect("models") {
        contender.as_object_mut().expect("fields").remove("track").expect("a field");
    }
    for field in ["target_min", "target_max"] {
        fields["config"].as_object_mut().expect("settings").remove(field).expect("a setting");
    }
    let bytes = rmp_serde::to_vec_named(&state).expect("an old state");
    let (mut restored, afresh) = Prequential::restored(state::read(&bytes).expect("an old state"), &race(models()));
    assert!(afresh.is_empty());
    assert_eq!(restored.published().total.n(), 0);
    assert_eq!((restored.published().skill, restored.published().total_skill), (None, None));
    assert_eq!(restored.champion(), old.champion());
    let mut changes = 0;
    let (mut stream, mut x) = (stream("friedman"), Vec::new());
    stream.seek(1000);
    for _ in 0..100 {
        let y = stream.next_sample(&mut x);
        let step = restored.step(Features::new(&x), Some(y));
        changes += step.events.iter().filter(|event| matches!(event, Event::ChampionChanged { .. })).count();
    }
    assert_eq!(restored.published().total.n(), 100);
    assert!(changes <= 1, "it knows how the models did before: {changes} changes");
}

#[test]
fn a_mixture_is_published_from_the_first_sample_on_also_by_a_configured_champion() {
    let champion = ModelConfig::new(
        "best",
        ModelKind::Champion(thalweg::models::champion::Params {
            members: vec!["mean".into(), "mixture".into()],
            margin: 0.02,
        }),
    );
    let mut models = with_mixture();
    for configured in [false, true] {
        if configured {
            models.push(champion.clone());
        }
        let mut race = Prequential::new(&race(models.clone()));
        assert_eq!(race.champion(), 4);
        let (mut stream, mut x) = (stream("friedman"), Vec::new());
        for _ in 0..600 {
            let y = stream.next_sample(&mut x);
            assert_eq!(race.step(Features::new(&x), Some(y)).champion, 4);
        }
    }
}

#[test]
fn without_a_mixture_the_leader_is_found_within_a_few_samples() {
    let mut race = Prequential::new(&race(models()));
    let pairs = run(&mut race, &mut stream("sine"), 5000);
    // A slow sine, which the last target follows at a tenth of the mean's error.
    let (published, best) = (race.published(), race.standings());
    let best = best.iter().map(|model| model.total.rmse()).fold(f64::INFINITY, f64::min);
    assert!(published.total.rmse() <= 1.01 * best, "{} of {best}", published.total.rmse());
    assert_eq!(pairs.len(), 5000);
}

#[test]
fn nothing_is_predicted_beyond_what_the_target_can_be() {
    let config = Config { target_min: Some(10.0), target_max: Some(18.0), ..race(models()) };
    let mut race = Prequential::new(&config);
    let (mut stream, mut x, mut cut) = (stream("friedman"), Vec::new(), 0);
    for _ in 0..2000 {
        let y = stream.next_sample(&mut x);
        let step = race.step(Features::new(&x), Some(y));
        assert!(step.predictions.iter().all(|p| (10.0..=18.0).contains(p)), "{:?}", step.predictions);
        cut += step.predictions.iter().filter(|p| **p == 10.0 || **p == 18.0).count();
        if let Some(interval) = step.interval {
            assert!(interval.lower >= 10.0 && interval.upper <= 18.0, "{interval:?}");
        }
    }
    assert!(cut > 100, "{cut}");
    let standings = race.standings();
    assert!(standings.iter().all(|model| model.counts.implausible < 50), "what is cut is not implausible");
}

#[test]
fn a_replay_without_targets_shows_no_figure_and_fails() {
    let site = Workspace::new(&["schema.target=price"]);
    let file = site.write("in.csv", "a,y\n1,2\n2,3\n3,4\n").display().to_string();
    let output = site.command(&["replay", &file, "--report", "json"]).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for row in report["models"].as_array().expect("models").iter().chain([&report["published"]]) {
        for field in ["rmse", "mae", "r2", "skill", "error_p90"] {
            assert!(row[field].is_null(), "{field} in {row}");
        }
        assert!(row["rolling"]["rmse"].is_null() && row["faded"]["rmse"].is_null(), "{row}");
    }
    let output = site.command(&["replay", &file]).output().expect("the binary runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("published") && !text.contains("0.0000") && !text.contains("NaN"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("schema.target"));
}
