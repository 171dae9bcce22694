//! Adaptive model rules give River's numbers, and do better where River fails.
//!
//! The vectors are of River 0.26.1, with predictions to 11 digits: `ss` (scaler and defaults), `plain` (no scaler),
//! `mean`, `unordered`, and `mixed` (nominal and absent features) on streams that other tests use; `ss_turning`,
//! `ebst_turning` and `plain_turning` on one whose target turns over, with anomalies. River was given rules with identities of their own,
//! see [`rules::AmRules`].

use crate::vectors::{Table, assert_close, deviation};
use thalweg_metrics::drift::{DetectorKind, PageHinkleyParams};
use thalweg_models::{
    Features, Model, ModelConfig, ModelKind, Pipeline, Scratch,
    rules::{AmRules, Literal, Params, PredType},
    tree::Splitter,
};

const TOLERANCE: f64 = 1e-9;

type Sample = (Vec<f64>, f64);

const NUMBERS: &[bool] = &[];
const MIXED: &[bool] = &[false, false, true, true];
const COLUMNS: [&str; 4] = ["a", "b", "c", "d"];
/// In the order of their names, as River tries them.
const CATEGORIES: [&str; 5] = ["blue", "green", "red", "u", "v"];

fn friedman() -> Vec<Sample> {
    let table = Table::read("friedman_20000_4dp");
    (0..table.len()).map(|row| (table.features(row, "x"), table.number(row, "y"))).collect()
}

/// Friedman's function, turned over in every other 5,000 samples; the last five features of every 97th sample are far off.
fn turning() -> Vec<Sample> {
    let mut samples = friedman();
    for (i, (x, y)) in samples.iter_mut().enumerate() {
        if i % 97 == 96 {
            x[5..].iter_mut().for_each(|value| *value += 3.0);
        }
        if (i / 5000) % 2 == 1 {
            *y = 30.0 - *y;
        }
    }
    samples
}

fn category(name: &str) -> f64 {
    CATEGORIES.iter().position(|known| *known == name).map_or(f64::NAN, |at| at as f64)
}

/// Numbers in columns 0 and 1, categories in 2 and 3, any of them unknown at times.
fn mixed() -> Vec<Sample> {
    let table = Table::read("mixed_4000");
    let sample = |row| {
        let [a, b] = ["a", "b"].map(|column| table.number(row, column));
        let [c, d] = ["c", "d"].map(|column| category(table.text(row, column)));
        (vec![a, b, c, d], table.number(row, "y"))
    };
    (0..table.len()).map(sample).collect()
}

fn mean() -> Params {
    Params { pred_type: PredType::Mean, ..Params::default() }
}

fn by_ebst() -> Params {
    Params {
        pred_type: PredType::Model,
        n_min: 100,
        delta: 0.01,
        tau: 0.1,
        splitter: Splitter::Ebst,
        drift_detector: Some(DetectorKind::PageHinkley(PageHinkleyParams::default())),
        ordered_rule_set: false,
        m_min: 100,
        anomaly_threshold: -1.0,
        min_samples_split: 20,
        ..Params::default()
    }
}

fn pipeline(params: Params, scale: bool) -> Pipeline {
    Pipeline::new(&ModelConfig::new("rules", ModelKind::AmRules(params)).scaled(scale))
}

fn rules(pipeline: &Pipeline) -> &AmRules {
    let Model::AmRules(rules) = pipeline.model() else { panic!("no rules") };
    rules
}

/// Feature, test and value of a literal, as the table of rules has them.
fn spelled(literal: &Literal, nominal: &[bool]) -> (String, &'static str, f64) {
    let name = |feature: u32| match nominal {
        [] => format!("x{feature}"),
        _ => COLUMNS[feature as usize].to_owned(),
    };
    match *literal {
        Literal::AtMost { feature, threshold } => (name(feature), "<=", threshold),
        Literal::Above { feature, threshold } => (name(feature), ">", threshold),
        Literal::Is { feature, category } => (name(feature), "==", category),
        Literal::IsNot { feature, category } => (name(feature), "!=", category),
    }
}

/// Every rule has River's tests, in River's order, and as much weight; the default rule comes last.
fn assert_rules(rules: &AmRules, variant: &str, nominal: &[bool]) {
    let table = Table::read("amrules_rules");
    let mut rows = (0..table.len()).filter(|row| table.text(*row, "variant") == variant);
    for (i, rule) in rules.rules().chain([rules.default_rule()]).enumerate() {
        let place = format!("{variant}, rule {i}");
        for literal in rule.literals {
            let row = rows.next().expect("as many tests as River");
            let (feature, test, at) = spelled(literal, nominal);
            assert_eq!(
                (i.to_string().as_str(), feature.as_str()),
                (table.text(row, "rule"), table.text(row, "feature"))
            );
            assert_eq!(test, table.text(row, "test"), "{place}");
            let expected = table.text(row, "at");
            let expected = expected.parse().unwrap_or_else(|_| category(expected));
            assert_close(at, expected, TOLERANCE, &place);
        }
        let row = rows.next().expect("as many rules as River");
        assert_eq!((table.text(row, "test"), rule.n), ("n", table.number(row, "at")), "{place}");
    }
    assert!(rows.next().is_none(), "{variant}: fewer rules than River");
}

/// Predictions, counts and rules. The rows that differ are those where River's default rule has just become a rule,
/// knows nothing and says 0; there the mean of all targets so far is right.
fn assert_variant(variant: &str, samples: &[Sample], nominal: &[bool], params: Params, scale: bool) {
    let (predictions, summaries) = (Table::read("amrules_pred"), Table::read("amrules_summary"));
    assert_eq!((predictions.len(), summaries.len()), (20_000, 8));
    let summary = (0..8).find(|row| summaries.text(*row, "variant") == variant).expect("a row of the variant");
    let count = |column| summaries.number(summary, column) as usize;
    let (mut pipeline, mut scratch) = (pipeline(params, scale), Scratch::default());
    let (mut worst, mut empty, mut total): (f64, _, _) = (0.0, 0, 0.0);
    for (row, (values, y)) in samples[..count("n_records")].iter().enumerate() {
        let x = Features::with_nominal(values, nominal);
        let (got, mut expected) = (pipeline.predict_one(x, &mut scratch), predictions.number(row, variant));
        if expected == 0.0 {
            empty += 1;
            expected = if row == 0 { 0.0 } else { total / row as f64 };
        }
        assert_close(got, expected, TOLERANCE, &format_args!("{variant}, row {row}"));
        worst = worst.max(deviation(got, expected));
        total += y;
        pipeline.learn_one(x, *y, &mut scratch).expect("learned");
    }
    println!("{variant}: worst deviation of a prediction {worst:e}");
    let rules = rules(&pipeline);
    let got = (rules.rules().len(), rules.n_drifts_detected() as usize, rules.n_anomalies() as usize, empty);
    let expected = (count("n_rules"), count("n_drifts"), count("n_anomalies"), count("n_empty"));
    assert_eq!(got, expected, "{variant}: rules, drifts, anomalies, rows where River's default rule knows nothing");
    assert_rules(rules, variant, nominal);
}

#[test]
fn rules_with_and_without_a_scaler_are_rivers() {
    assert_variant("ss", &friedman(), NUMBERS, Params::default(), true);
    assert_variant("plain", &friedman(), NUMBERS, Params::default(), false);
}

#[test]
fn means_are_rivers() {
    assert_variant("mean", &friedman(), NUMBERS, mean(), false);
}

#[test]
fn unordered_rules_are_rivers() {
    assert_variant("unordered", &friedman(), NUMBERS, Params { ordered_rule_set: false, ..Params::default() }, false);
}

#[test]
fn rules_that_drift_go_and_anomalies_are_passed_over_as_in_river() {
    assert_variant("ss_turning", &turning(), NUMBERS, Params::default(), true);
    assert_variant("ebst_turning", &turning(), NUMBERS, by_ebst(), true);
    let params = Params {
        n_min: 100,
        delta: 0.001,
        splitter: Splitter::Ebst,
        ordered_rule_set: false,
        fading_factor: 0.9,
        ..Params::default()
    };
    assert_variant("plain_turning", &turning(), NUMBERS, params, false);
}

#[test]
fn nominal_and_absent_features_are_handled_as_in_river() {
    assert_variant("mixed", &mixed(), MIXED, Params { n_min: 100, delta: 0.01, ..mean() }, false);
}
