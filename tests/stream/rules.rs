//! Adaptive model rules where things go wrong: drift, anomalies, bad input, dead rules, too many of them, damaged states.

use serde_json::{Value, json};
use thalweg_generator::{Function, Stream};
use thalweg_models::{
    Features, Model, ModelConfig, ModelKind, Pipeline, Regressor, Scratch,
    rules::{AmRules, Literal, Params, PredType},
    tree::Splitter,
};

/// Numbers in [0, 1) that repeat on every run (the mix of SplitMix64).
fn noise(i: usize) -> f64 {
    let mut bits = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Four features of which the first makes a step of 10 and the second a slope of 4, on top of `level`.
fn sample(i: usize, level: f64) -> ([f64; 4], f64) {
    let x = [1, 2, 3, 4].map(|column| noise(4 * i + column));
    (x, level + if x[0] > 0.5 { 10.0 } else { 0.0 } + 4.0 * x[1])
}

fn eager() -> Params {
    Params { n_min: 100, delta: 0.01, ..Params::default() }
}

fn trained(params: Params, n: usize, level: f64) -> AmRules {
    let mut rules = AmRules::new(params);
    for (x, y) in (0..n).map(|i| sample(i, level)) {
        rules.learn_one(Features::new(&x), y, 1.0).expect("learned");
    }
    rules
}

fn saved(rules: &AmRules) -> Vec<u8> {
    rmp_serde::to_vec_named(rules).expect("saved")
}

#[test]
fn a_step_becomes_rules_and_is_predicted() {
    let rules = trained(eager(), 5000, 0.0);
    let on_the_step = |literal: &Literal| literal.feature() == 0;
    assert!(rules.rules().any(|rule| rule.literals.iter().any(on_the_step)), "{:?}", rules.rules().collect::<Vec<_>>());
    let error = |i| {
        let (x, y) = sample(i, 0.0);
        (rules.predict_one(Features::new(&x)) - y).abs()
    };
    let mae = (5000..6000).map(error).sum::<f64>() / 1000.0;
    assert!(mae < 1.0, "{mae}");
}

#[test]
fn a_rule_that_drifts_goes_unless_nothing_watches_it() {
    for watched in [true, false] {
        let params = eager();
        let drift_detector = params.drift_detector.filter(|_| watched);
        let mut rules = trained(Params { drift_detector, pred_type: PredType::Mean, ..params }, 3000, 0.0);
        let before = rules.rules().len();
        assert!(before > 0);
        for (x, y) in (3000..3400).map(|i| sample(i, 50.0)) {
            rules.learn_one(Features::new(&x), y, 1.0).expect("learned");
        }
        let gone = rules.n_drifts_detected();
        if watched {
            assert!(gone > 0 && rules.rules().len() < before + 1, "{gone} of {before} rules");
        } else {
            assert_eq!(gone, 0);
            assert!(rules.rules().len() >= before);
        }
    }
}

#[test]
fn an_anomaly_is_learned_by_the_default_rule_and_not_by_the_one_that_covers_it() {
    let mut rules = trained(eager(), 5000, 0.0);
    let (x, y) = (5000..).map(|i| sample(i, 0.0)).find(|(x, _)| covering(&rules, x).is_some()).expect("a sample");
    let at = covering(&rules, &x).expect("a rule");
    let free: Vec<usize> = (2..4)
        .filter(|i| rules.rules().all(|rule| rule.literals.iter().all(|literal| literal.feature() != *i)))
        .collect();
    assert!(!free.is_empty(), "a feature that no rule tests");
    for far in [50.0, -1e9, 1e120, 1e300, f64::MAX] {
        let mut odd = x;
        free.iter().for_each(|i| odd[*i] = far);
        let (n, others, anomalies) = (weight(&rules, at), rules.default_rule().n, rules.n_anomalies());
        rules.learn_one(Features::new(&odd), y, 1.0).expect("learned");
        assert_eq!((weight(&rules, at), rules.n_anomalies()), (n, anomalies + 1), "{far}");
        assert_eq!(rules.default_rule().n, others + 1.0, "{far}");
    }
    let n = weight(&rules, at);
    rules.learn_one(Features::new(&x), y, 1.0).expect("learned");
    assert_eq!(weight(&rules, at), n + 1.0, "an ordinary sample is learned");
}

/// The rule that covers `x`, where it is the only one and has learned enough to tell anomalies.
fn covering(rules: &AmRules, x: &[f64]) -> Option<usize> {
    let covers = |literals: &[Literal]| literals.iter().all(|literal| literal.covers(Features::new(x)));
    let mut covering = rules.rules().enumerate().filter(|(_, rule)| covers(rule.literals));
    let (at, rule) = covering.next()?;
    (covering.next().is_none() && rule.n > 50.0).then_some(at)
}

fn weight(rules: &AmRules, at: usize) -> f64 {
    rules.rules().nth(at).expect("the rule").n
}

#[test]
fn no_prediction_falls_to_zero_when_the_default_rule_becomes_a_rule() {
    let mut rules = AmRules::new(eager());
    let mut made = 0;
    for (x, y) in (0..5000).map(|i| sample(i, 1e6)) {
        let x = Features::new(&x);
        let before = rules.rules().len();
        let error = (rules.predict_one(x) - y).abs();
        assert!(made == 0 || error < 20.0, "{error} with {before} rules");
        rules.learn_one(x, y, 1.0).expect("learned");
        made += usize::from(rules.rules().len() > before);
    }
    assert!(made > 1, "the default rule became a rule {made} times");
}

#[test]
fn one_feature_of_noise_makes_no_rule_and_a_constant_target_neither() {
    let mut noisy = AmRules::new(Params::default());
    let mut flat = AmRules::new(Params::default());
    for i in 0..20_000 {
        let x = [noise(i * 13 + 5)];
        noisy.learn_one(Features::new(&x), noise(i * 7919 + 3), 1.0).expect("learned");
        flat.learn_one(Features::new(&[x[0], x[0] * x[0]]), 7.0, 1.0).expect("learned");
    }
    assert_eq!((noisy.rules().len(), flat.rules().len()), (0, 0));
    assert!((flat.predict_one(Features::new(&[0.5, 0.25])) - 7.0).abs() < 1e-9);
}

/// River makes 71 rules of this stream, 19 of which nothing can pass (another seed, the same function).
#[test]
fn no_rule_is_dead_or_says_the_same_twice() {
    let function = Function::from_name("planes2d").expect("a function");
    let mut stream = Stream::new(&thalweg_generator::Config { function, ..Default::default() }).expect("a stream");
    let config = ModelConfig::new("rules", ModelKind::AmRules(Params::default())).scaled(true);
    let (mut pipeline, mut scratch, mut x) = (Pipeline::new(&config), Scratch::default(), Vec::new());
    for _ in 0..50_000 {
        let y = stream.next_sample(&mut x);
        pipeline.learn_one(Features::new(&x), y, &mut scratch).expect("learned");
    }
    let Model::AmRules(rules) = pipeline.model() else { panic!("no rules") };
    assert!(rules.rules().len() > 5, "{}", rules.rules().len());
    for rule in rules.rules() {
        for feature in 0..10 {
            let (mut least, mut most) = (Vec::new(), Vec::new());
            for literal in rule.literals.iter().filter(|literal| literal.feature() == feature) {
                match *literal {
                    Literal::Above { threshold, .. } => least.push(threshold),
                    Literal::AtMost { threshold, .. } => most.push(threshold),
                    _ => panic!("{literal:?} of a number"),
                }
            }
            assert!(least.len() <= 1 && most.len() <= 1, "{:?}", rule.literals);
            assert!(least.iter().all(|least| most.iter().all(|most| least < most)), "{:?}", rule.literals);
        }
    }
}

#[test]
fn the_set_does_not_outgrow_its_bound_and_what_is_idle_makes_place() {
    let mut rules = trained(Params { max_rules: 2, ..eager() }, 6000, 0.0);
    assert_eq!(rules.rules().len(), 2);
    // The step goes on in a column of its own, so nothing that was learned covers any of it.
    for (x, y) in (0..6000).map(|i| sample(i, 0.0)) {
        let x = [f64::NAN, f64::NAN, f64::NAN, f64::NAN, x[0], x[1]];
        rules.learn_one(Features::new(&x), y, 1.0).expect("learned");
        assert!(rules.rules().len() <= 2);
    }
    let new = |rule: &thalweg_models::rules::RuleView<'_>| rule.literals.iter().all(|literal| literal.feature() >= 4);
    assert!(rules.rules().filter(new).count() > 0, "{:?}", rules.rules().collect::<Vec<_>>());
}

#[test]
fn a_search_that_finds_nothing_does_not_grow_for_ever() {
    let mut rules = AmRules::new(Params { splitter: Splitter::Ebst, pred_type: PredType::Mean, ..Params::default() });
    let mut most = 0;
    for i in 0..60_000 {
        let x: Vec<f64> = (0..10).map(|j| noise(i * 7919 + j * 104_729) + i as f64 * 1e-9).collect();
        rules.learn_one(Features::new(&x), 7.0, 1.0).expect("learned");
        if i % 1000 == 999 {
            most = most.max(rules.memory_bytes());
        }
    }
    assert!((4 << 20..9 << 20).contains(&most), "{most} bytes");
}

#[test]
fn what_is_refused_or_weightless_leaves_no_trace() {
    let mut rules = trained(eager(), 3000, 0.0);
    let before = saved(&rules);
    let x = [0.5; 4];
    for y in [f64::NAN, f64::INFINITY, -1e101, f64::MAX] {
        rules.learn_one(Features::new(&x), y, 1.0).expect_err("refused");
    }
    for weight in [f64::NAN, -1.0, f64::INFINITY] {
        rules.learn_one(Features::new(&x), 1.0, weight).expect_err("refused");
    }
    rules.learn_one(Features::new(&x), 1.0, 0.0).expect("nothing to learn");
    assert_eq!(saved(&rules), before);
}

#[test]
fn unknown_and_nominal_features_pass_only_their_own_tests() {
    let nominal = [false, true];
    let mut rules = AmRules::new(Params { pred_type: PredType::Model, ..eager() });
    for i in 0..4000 {
        let category = (i % 4) as f64;
        let x = if i % 11 == 0 { [noise(i), f64::NAN] } else { [noise(i), category] };
        let y = if category == 2.0 { 9.0 } else { 1.0 } + noise(i * 31);
        rules.learn_one(Features::with_nominal(&x, &nominal), y, 1.0).expect("learned");
    }
    let literals: Vec<Literal> = rules.rules().flat_map(|rule| rule.literals.to_vec()).collect();
    let telling =
        |literal: &Literal| matches!(literal, Literal::Is { category: 2.0, .. } | Literal::IsNot { category: 2.0, .. });
    assert!(literals.iter().any(telling), "{literals:?}");
    let predict = |category| rules.predict_one(Features::with_nominal(&[0.5, category], &nominal));
    assert!(predict(2.0) > 6.0 && predict(0.0) < 4.0, "{} {}", predict(2.0), predict(0.0));
    assert!(predict(f64::NAN).is_finite() && predict(99.0).is_finite());
}

#[test]
fn a_damaged_state_is_an_error() {
    let rules = trained(eager(), 5000, 0.0);
    let good = serde_json::to_value(&rules).expect("saved");
    let read = |state: Value| thalweg_state::read::<AmRules>(&rmp_serde::to_vec_named(&state).expect("saved"));
    let restored = read(good.clone()).expect("restored");
    assert_eq!((saved(&restored), restored.memory_bytes()), (saved(&rules), rules.memory_bytes()));
    let nodes = "/rules/0/learner/observers/watched/0/observer/Ebst/nodes";
    let root = "/rules/0/learner/observers/watched/0/observer/Ebst/root";
    assert!(good.pointer(nodes).is_some() && good.pointer(root).is_some(), "the places that are damaged below");
    let damages = [
        ("/params/max_rules", json!(0)),
        ("/rules/0/literals", json!([])),
        ("/rules/0/learner/target/n", json!(-1.0)),
        ("/rules/0/learner/predictor/n", json!(-1.0)),
        ("/default_rule/predictor/n", json!(-1.0)),
        (root, json!(1_000_000)),
        (nodes, json!([])),
        ("/seen", json!(u64::MAX)),
        ("/rules/0/literals/0", json!({ "Perhaps": 1 })),
    ];
    for (place, damage) in damages {
        let mut state = good.clone();
        *state.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = damage;
        assert!(read(state).is_err(), "{place}");
    }
    let mut bytes = saved(&rules);
    // An infinite mean, which JSON cannot say.
    let mean = rules.default_rule().mean.to_be_bytes();
    let at = bytes.windows(8).rposition(|window| window == mean).expect("the mean");
    bytes[at..at + 8].copy_from_slice(&f64::INFINITY.to_be_bytes());
    assert!(thalweg_state::read::<AmRules>(&bytes).is_err());
}
