//! Models over the predictions of others: members predict before them and once, what they see is what was published, and
//! the settings name what cannot be.

use thalweg::{
    generator::{Config as Source, Function, Stream},
    models::{Description, Features, ModelConfig, ModelKind, aggregation::Rule, champion, linear, mixture, tree},
    pipeline::prequential::{Config, Event, Misfit, Prequential, check},
    settings::{Settings, Sources},
    state,
};

fn champion(name: &str, members: &[&str], margin: f64) -> ModelConfig {
    let members = members.iter().map(ToString::to_string).collect();
    ModelConfig::new(name, ModelKind::Champion(champion::Params { members, margin }))
}

fn mixture(name: &str, rule: Rule, members: &[&str]) -> ModelConfig {
    let members = members.iter().map(ToString::to_string).collect();
    ModelConfig::new(name, ModelKind::Mixture(mixture::Params { rule, members }))
}

fn mean() -> ModelConfig {
    ModelConfig::new("mean", ModelKind::Mean)
}

fn linear() -> ModelConfig {
    ModelConfig::new("linear", ModelKind::Linear(linear::Params::river())).scaled(true)
}

fn tree() -> ModelConfig {
    ModelConfig::new("tree", ModelKind::HoeffdingTree(tree::Params::default()))
}

fn race(models: Vec<ModelConfig>) -> Config {
    Config { window: 200, ..Config::of(models) }
}

fn friedman() -> Stream {
    let function = Function::from_name("friedman").expect("a function");
    Stream::new(&Source { function, ..Source::default() }).expect("a stream")
}

/// Every prediction of `n` samples.
fn run(race: &mut Prequential, stream: &mut Stream, n: usize) -> Vec<Vec<f64>> {
    let mut x = Vec::new();
    let one = |_| {
        let y = stream.next_sample(&mut x);
        race.step(Features::new(&x), Some(y)).predictions.to_vec()
    };
    (0..n).map(one).collect()
}

#[test]
fn a_champion_says_what_the_member_it_follows_says_wherever_it_stands() {
    // The champion comes first in the settings, and one follows another.
    let models =
        vec![champion("outer", &["best", "mean"], 0.0), champion("best", &["mean", "linear"], 0.0), mean(), linear()];
    let mut race = Prequential::new(&race(models));
    let mut followed = [0; 2];
    for predictions in run(&mut race, &mut friedman(), 2000) {
        let [outer, best, mean, linear] = predictions[..] else { panic!("four predictions") };
        assert!(best == mean || best == linear);
        assert!(outer == best || outer == mean);
        followed[usize::from(best == linear && linear != mean)] += 1;
    }
    assert!(followed[0] > 0 && followed[1] > 1500, "the linear model was followed {followed:?} times");
}

#[test]
fn a_mixture_of_named_models_is_no_worse_than_the_best_of_them_by_every_rule() {
    for rule in Rule::ALL {
        // It comes before its members, and a champion over it before all.
        let models = vec![
            champion("best", &["mixture", "tree"], 0.02),
            mixture("mixture", rule, &["mean", "linear", "tree"]),
            mean(),
            linear(),
            tree(),
        ];
        let mut race = Prequential::new(&race(models));
        run(&mut race, &mut friedman(), 10_000);
        let rmse: Vec<f64> = race.standings().iter().map(|standing| standing.total.rmse()).collect();
        let best = rmse[2..].iter().copied().fold(f64::INFINITY, f64::min);
        assert!(rmse[1] < 1.03 * best, "{rule:?}: {rmse:?}");
        assert!(rmse[0] < 1.05 * best, "{rule:?}: {rmse:?}");
    }
}

#[test]
fn a_mixture_tells_the_weights_of_its_members_by_name() {
    let mut race = Prequential::new(&race(vec![mean(), mixture("both", Rule::MlPoly, &["linear", "mean"]), linear()]));
    run(&mut race, &mut friedman(), 2000);
    let (_, description) = race.describe(1, &[]).expect("the mixture");
    let Description::Mixture(description) = description else { panic!("{description:?}") };
    let [linear, mean] = &description.members[..] else { panic!("two members: {description:?}") };
    assert_eq!((&*linear.name, &*mean.name), ("linear", "mean"));
    assert!(linear.weight > 0.8 && (linear.weight + mean.weight - 1.0).abs() < 1e-12, "{description:?}");
    assert!(linear.recent_rmse < mean.recent_rmse, "{description:?}");
}

#[test]
fn members_are_the_same_with_and_without_a_champion_over_them() {
    let mut with = Prequential::new(&race(vec![champion("best", &["linear", "tree"], 0.02), linear(), tree()]));
    let mut without = Prequential::new(&race(vec![linear(), tree()]));
    let (with, without) = (run(&mut with, &mut friedman(), 3000), run(&mut without, &mut friedman(), 3000));
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with[1..], without[..]);
    }
}

#[test]
fn what_is_published_is_what_the_configured_champion_follows() {
    let mut race = Prequential::new(&race(vec![mean(), linear(), tree(), champion("best", &["mean", "linear"], 0.02)]));
    let (mut stream, mut x, mut changes) = (friedman(), Vec::new(), Vec::new());
    for i in 0..3000 {
        let y = stream.next_sample(&mut x);
        let step = race.step(Features::new(&x), Some(y));
        assert!(step.champion < 2, "the tree is no member");
        if i > 0 {
            assert_eq!(step.predictions[3], step.predictions[step.champion]);
        }
        changes.extend(step.events.iter().filter(|event| matches!(event, Event::ChampionChanged { .. })).copied());
    }
    assert!(!changes.is_empty() && changes.len() < 10, "{changes:?}");
    assert!(changes.iter().all(|change| matches!(change, Event::ChampionChanged { of: Some(3), .. })), "{changes:?}");
    assert!(matches!(changes.last(), Some(Event::ChampionChanged { from: 0, to: 1, .. })), "{changes:?}");
}

#[test]
fn from_the_first_sample_on_only_what_the_champion_follows_is_published() {
    // Neither the champion itself nor a model that is no member, though both come before its members.
    let of = |members: &[&str]| race(vec![champion("best", members, 0.02), tree(), mean(), linear()]);
    let mut stream = friedman();
    let mut x = Vec::new();
    let mut first = Prequential::new(&of(&["mean", "linear"]));
    for _ in 0..300 {
        let y = stream.next_sample(&mut x);
        let step = first.step(Features::new(&x), Some(y));
        assert!(step.champion >= 2, "model {} is published", step.champion);
    }
    // Other members, before there was an election among them.
    let (mut restored, _) = Prequential::restored(first, &of(&["tree"]));
    assert_eq!(restored.champion(), 1);
    assert_eq!(restored.step(Features::new(&x), None).champion, 1);
}

#[test]
fn a_champion_with_a_margin_changes_its_mind_less_often() {
    // A series whose neighbours are now a little more alike and now a little less than half: the latest target and the mean
    // take turns at being five percent better.
    let changes = |margin| {
        let models =
            vec![mean(), ModelConfig::new("last", ModelKind::Last), champion("best", &["mean", "last"], margin)];
        let mut race = Prequential::new(&race(models));
        let (mut noise, mut y, mut changes) = (1_u64, 0.0, 0);
        for i in 0..26_000 {
            // Knuth's generator (MMIX).
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (noise >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
            let alike: f64 = if i / 4000 % 2 == 0 { 0.55 } else { 0.45 };
            y = alike * y + (1.0 - alike * alike).sqrt() * uniform;
            let step = race.step(Features::new(&[0.0]), Some(y));
            let changed = step.events.iter().filter(|event| matches!(event, Event::ChampionChanged { .. })).count();
            // At the start whoever leads is followed, margin or not.
            changes += if i < 2000 { 0 } else { changed };
        }
        changes
    };
    let (without, with) = (changes(0.0), changes(0.15));
    assert!(without >= 5 && with <= 1, "{without} changes without a margin, {with} with one");
}

#[test]
fn a_restored_race_with_champions_and_mixtures_goes_on_to_the_bit() {
    let mut models = vec![champion("best", &["mean", "linear", "tree"], 0.02), mean(), linear(), tree()];
    models.extend(Rule::ALL.map(|rule| mixture(rule.name(), rule, &["best", "linear", "tree"])));
    for stop in [0, 1, 99, 100, 101, 1500] {
        let mut uninterrupted = Prequential::new(&race(models.clone()));
        let mut stream = friedman();
        run(&mut uninterrupted, &mut stream, stop);
        let bytes = rmp_serde::to_vec_named(&uninterrupted).expect("saved");
        let mut restored: Prequential = state::read(&bytes).expect("restored");
        let mut again = friedman();
        (0..stop).for_each(|_| {
            again.next_sample(&mut Vec::new());
        });
        assert_eq!(run(&mut restored, &mut again, 800), run(&mut uninterrupted, &mut stream, 800), "after {stop}");
    }
}

#[test]
fn members_that_are_not_there_and_circles_are_told() {
    let unknown = [mean(), mixture("best", Rule::Boa, &["mean", "maen"])];
    assert_eq!(check(&unknown), Err(Misfit::Unknown { model: 1, name: "maen".to_owned() }));
    let circle = [mean(), champion("a", &["b", "mean"], 0.0), champion("b", &["a"], 0.0)];
    assert_eq!(check(&circle), Err(Misfit::Circle { model: 1 }));
    assert_eq!(check(&[champion("a", &["a"], 0.0)]), Err(Misfit::Circle { model: 0 }));
}

fn settings(models: &str) -> Result<Settings, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let sources = Sources::new(Some(file.path().to_owned()), [], [format!("models={models}")]);
    Settings::load(&sources).map_err(|errors| errors.to_string())
}

#[test]
fn the_settings_name_members_that_are_not_there() {
    let wrong = settings(r#"[{kind="mean"},{kind="linear"},{kind="champion",members=["mean","linaer"]}]"#);
    let wrong = wrong.expect_err("a member that is not there");
    assert!(wrong.contains("models[2].members") && wrong.contains("`linear`"), "{wrong}");
    let alone = settings(r#"[{kind="champion"}]"#).expect_err("nothing to choose from");
    assert!(alone.contains("models[0].members"), "{alone}");
    let itself = settings(r#"[{kind="mean"},{kind="champion",members=["champion"]}]"#).expect_err("a circle");
    assert!(itself.contains("models[1].members"), "{itself}");
}

#[test]
fn a_champion_without_members_chooses_among_all_that_are_none() {
    let settings = settings(r#"[{kind="mean"},{kind="champion"},{kind="linear"},{name="other",kind="champion"}]"#);
    let race = settings.expect("settings").race;
    for champion in [1, 3] {
        assert_eq!(race.models[champion].kind.members(), ["mean", "linear"]);
    }
}
