//! Feature steps: what they make of a row, that columns never change their meaning, and that settings spell them.

use thalweg::{
    models::{
        Features, ModelConfig, ModelKind, Pipeline, Scratch, linear,
        steps::{MinMaxScaler, StepKind, Steps},
    },
    settings::{Errors, Settings, Sources},
};

const NAN: f64 = f64::NAN;

/// Pseudo-random numbers in 0..1 without structure that matters here.
fn noise(n: usize) -> impl Iterator<Item = f64> {
    (1..=n).map(|i| (i as f64 * 0.754_877_666_246_692_7).fract())
}

fn transform(steps: &Steps, x: Features<'_>) -> Vec<f64> {
    steps.transform_one(x, &mut Vec::new()).values().to_vec()
}

fn learn(steps: &mut Steps, x: Features<'_>, y: f64) -> Vec<f64> {
    steps.learn_and_transform_one(x, y, &mut Vec::new()).values().to_vec()
}

/// Equal where both are unknown, too.
#[track_caller]
fn assert_row(got: &[f64], expected: &[f64]) {
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(got.len() == expected.len() && got.iter().zip(expected).all(same), "got {got:?}, expected {expected:?}");
}

#[test]
fn a_standard_scaler_that_forgets_is_the_weighted_mean_and_variance_of_all_values() {
    let forgetting = 0.97;
    let mut steps = Steps::new(&[StepKind::StandardScaler { forgetting, keep_zeros: false }]);
    let values: Vec<f64> = noise(400).map(|value| 100.0 + 5.0 * value).collect();
    for i in 0..values.len() {
        let got = learn(&mut steps, Features::new(&[values[i]]), 0.0)[0];
        // The newest value weighs 1, the one before it `forgetting`, and so on.
        let weighted = || values[..=i].iter().rev().zip(0..).map(|(value, age)| (forgetting.powi(age), value));
        let weight: f64 = weighted().map(|(weight, _)| weight).sum();
        let mean = weighted().map(|(weight, value)| weight * value).sum::<f64>() / weight;
        let variance = weighted().map(|(weight, value)| weight * (value - mean).powi(2)).sum::<f64>() / weight;
        let expected = if i == 0 { 0.0 } else { (values[i] - mean) / variance.sqrt() };
        assert!((got - expected).abs() < 1e-9, "value {i}: {got} instead of {expected}");
    }
}

#[test]
fn a_standard_scaler_that_forgets_follows_a_shift_that_the_other_averages_away() {
    let mean_of = |forgetting| {
        let mut steps = Steps::new(&[StepKind::StandardScaler { forgetting, keep_zeros: false }]);
        for value in noise(5000).chain(noise(5000).map(|value| value + 10.0)) {
            learn(&mut steps, Features::new(&[value]), 0.0);
        }
        transform(&steps, Features::new(&[10.5]))[0]
    };
    assert!(mean_of(0.99).abs() < 0.2, "{}", mean_of(0.99));
    assert!(mean_of(1.0) > 0.9, "{}", mean_of(1.0));
}

#[test]
fn a_scaler_that_keeps_zeros_divides_what_is_nearly_always_zero_and_centres_the_rest() {
    let mut keeping = Steps::new(&[StepKind::SCALE_KEEPING_ZEROS]);
    let mut centring = Steps::new(&[StepKind::SCALE]);
    // Dense; one of 20 is 3 or -3; one of 20 again, and unknown else; dense but for a beginning of zeros.
    let row = |i: usize| {
        let rare = if i % 20 == 7 { if i % 40 == 7 { 3.0 } else { -3.0 } } else { 0.0 };
        let late = if i < 100 { 0.0 } else { 5.0 + (i % 3) as f64 };
        [10.0 + (i % 7) as f64, rare, if rare == 0.0 { NAN } else { rare }, late]
    };
    for i in 0..1000 {
        let (x, y) = (row(i), 0.0);
        let (kept, centred) = (learn(&mut keeping, Features::new(&x), y), learn(&mut centring, Features::new(&x), y));
        assert_eq!(kept[0].to_bits(), centred[0].to_bits(), "dense, sample {i}");
        assert_eq!(kept[2].to_bits(), centred[2].to_bits(), "unknown or as ever, sample {i}");
        // The first values tell little.
        if i > 50 {
            assert!((kept[1] - x[1] / 3.0).abs() < 1e-12, "sparse, sample {i}: {} of {}", kept[1], x[1]);
        }
        if i < 100 {
            assert_eq!(kept[3], 0.0, "nothing but zeros, sample {i}");
        } else if i > 250 {
            assert_eq!(kept[3].to_bits(), centred[3].to_bits(), "no longer sparse, sample {i}");
        }
    }
    assert!(transform(&keeping, Features::new(&[0.0, -6.0, 1.0, 0.0])).iter().all(|value| value.is_finite()));
    let again = transform(&keeping, Features::new(&row(7)))[1];
    assert!((again - 1.0).abs() < 1e-12, "{again}");
}

#[test]
fn a_min_max_scaler_gives_rivers_numbers() {
    // River 0.26.1, preprocessing.MinMaxScaler: a sample, what it becomes before and after it was learned.
    let rows: [([f64; 2], [f64; 2], [f64; 2]); 7] = [
        ([1.7, 2.5], [0.0, 0.0], [1.0, 1.0]),
        ([0.1, 2.5], [-0.142_857_142_857_142_85, 1.0], [0.0, 1.0]),
        ([2.9, -11.25], [1.75, -0.833_333_333_333_333_4], [1.0, 0.0]),
        ([1.1, 7.75], [0.357_142_857_142_857_15, 1.381_818_181_818_181_8], [0.357_142_857_142_857_15, 1.0]),
        (
            [0.7, 0.0],
            [0.214_285_714_285_714_3, 0.592_105_263_157_894_7],
            [0.214_285_714_285_714_3, 0.592_105_263_157_894_7],
        ),
        ([-3.3, 100.0], [-1.214_285_714_285_714_4, 5.855_263_157_894_737], [0.0, 1.0]),
        ([1e6, -1e-3], [161_290.854_838_709_7, 0.101_114_606_741_573_03], [1.0, 0.101_114_606_741_573_03]),
    ];
    let mut steps = Steps::new(&[StepKind::MinMaxScaler]);
    // Before the first value there is no range; River says NaN, which here means unknown.
    assert_row(&transform(&steps, Features::new(&[0.3, -5.0])), &[0.0, 0.0]);
    assert_row(&learn(&mut steps, Features::new(&[0.3, -5.0]), 0.0), &[0.0, 0.0]);
    for (x, before, after) in rows {
        for (got, expected) in
            [(transform(&steps, Features::new(&x)), before), (learn(&mut steps, Features::new(&x), 0.0), after)]
        {
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{x:?}: {got} not {expected}");
            }
        }
    }
}

#[test]
fn scalers_leave_the_unknown_unknown_and_categories_as_they_are_and_stay_finite_at_the_edges() {
    for kind in [StepKind::SCALE, StepKind::SCALE_KEEPING_ZEROS, StepKind::MinMaxScaler] {
        let mut steps = Steps::new(&[kind]);
        let nominal = [false, true, false];
        for (i, value) in (0..).zip(noise(50)) {
            learn(&mut steps, Features::with_nominal(&[value, f64::from(i % 3), NAN], &nominal), 0.0);
        }
        let got = transform(&steps, Features::with_nominal(&[NAN, 2.0, 0.5, 7.0], &nominal));
        // Unknown, a category, a column that was always unknown, one that was never there.
        assert_row(&got, &[NAN, 2.0, 0.0, 0.0]);
        let mut steps = Steps::new(&[kind]);
        for value in [-1e308, 1e308, 5.0, -1e308] {
            let got = learn(&mut steps, Features::new(&[value]), 0.0)[0];
            assert!(got.is_finite(), "{kind:?} makes {got} of {value}");
        }
    }
    let mut scaler = MinMaxScaler::default();
    scaler.learn_one(Features::new(&[f64::INFINITY, NAN]));
    let mut out = Vec::new();
    scaler.transform_one(Features::new(&[1.0, 1.0]), &mut out);
    assert_row(&out, &[0.0, 0.0]);
}

#[test]
fn one_hot_columns_keep_their_place_as_categories_and_features_appear() {
    let mut steps = Steps::new(&[StepKind::OneHot]);
    let nominal = [true, false, true];
    // Column 0 is a category, 1 a number; column 2, a category, appears later.
    assert_row(&learn(&mut steps, Features::with_nominal(&[4.0, 0.5], &nominal), 0.0), &[0.5, 1.0]);
    assert_row(&learn(&mut steps, Features::with_nominal(&[9.0, 0.6], &nominal), 0.0), &[0.6, 0.0, 1.0]);
    assert_row(&learn(&mut steps, Features::with_nominal(&[4.0, 0.7, 1.0], &nominal), 0.0), &[0.7, 1.0, 0.0, 1.0]);
    // A late number goes behind all that is there.
    let late = [true, false, true, false];
    assert_row(
        &learn(&mut steps, Features::with_nominal(&[9.0, 0.8, 1.0, 0.1], &late), 0.0),
        &[0.8, 0.0, 1.0, 1.0, 0.1],
    );
    // Never learned, unknown, a shorter row; asking has laid out nothing.
    let asked = [
        (vec![77.0, 0.8, 1.0, 0.1], vec![0.8, 0.0, 0.0, 1.0, 0.1]),
        (vec![NAN, 0.8, 1.0, NAN], vec![0.8, NAN, NAN, 1.0, NAN]),
        (vec![4.0, 0.8], vec![0.8, 1.0, 0.0, NAN, NAN]),
        (vec![], vec![NAN; 5]),
    ];
    for (x, expected) in asked {
        assert_row(&transform(&steps, Features::with_nominal(&x, &late)), &expected);
    }
}

#[test]
fn the_model_behind_one_hot_sees_numbers_only() {
    let mut steps = Steps::new(&[StepKind::OneHot]);
    let x = Features::with_nominal(&[3.0, 0.5], &[true, false]);
    learn(&mut steps, x, 0.0);
    let mut rows = Vec::new();
    let encoded = steps.transform_one(x, &mut rows);
    assert!(encoded.all_known_numeric() && (0..encoded.len()).all(|i| !encoded.is_nominal(i)));
}

#[test]
fn a_target_encoder_never_lets_a_sample_see_its_own_target() {
    let nominal = [true];
    for smoothing in [0.0, 10.0] {
        let mut steps = Steps::new(&[StepKind::TargetEncoder { smoothing }]);
        for (i, y) in (0..).zip(noise(300)) {
            let x = [f64::from(i % 5)];
            let asked = transform(&steps, Features::with_nominal(&x, &nominal));
            let trained_on = learn(&mut steps.clone(), Features::with_nominal(&x, &nominal), y);
            let other = learn(&mut steps, Features::with_nominal(&x, &nominal), y + 1000.0);
            assert_eq!((&asked, &trained_on), (&trained_on, &other), "sample {i}");
        }
    }
}

#[test]
fn a_target_encoder_draws_a_category_to_the_overall_mean_by_the_samples_of_smoothing() {
    let smoothing = 3.0;
    let mut steps = Steps::new(&[StepKind::TargetEncoder { smoothing }]);
    let nominal = [true, false];
    let (mut all, mut of): (Vec<f64>, Vec<Vec<f64>>) = (vec![], vec![vec![]; 4]);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for (i, y) in noise(200).enumerate() {
        let category = (i * i) % 4;
        let y = 10.0 * y + category as f64;
        learn(&mut steps, Features::with_nominal(&[category as f64, 0.25], &nominal), y);
        all.push(y);
        of[category].push(y);
        for (category, targets) in of.iter().enumerate() {
            let got = transform(&steps, Features::with_nominal(&[category as f64, 0.25], &nominal));
            let expected = (targets.iter().sum::<f64>() + smoothing * mean(&all)) / (targets.len() as f64 + smoothing);
            assert!((got[0] - expected).abs() < 1e-12 * expected.abs(), "{category} after {i}: {got:?}, {expected}");
            assert_eq!(got[1], 0.25);
        }
    }
    // Never seen: the mean of all. Unknown stays unknown.
    let unseen = transform(&steps, Features::with_nominal(&[99.0, NAN], &nominal));
    assert!((unseen[0] - mean(&all)).abs() < 1e-12 && unseen[1].is_nan(), "{unseen:?}");
    assert_row(&transform(&steps, Features::with_nominal(&[NAN, 1.0], &nominal)), &[NAN, 1.0]);
}

#[test]
fn without_smoothing_an_unseen_category_is_the_overall_mean_and_a_seen_one_its_own() {
    let mut steps = Steps::new(&[StepKind::TargetEncoder { smoothing: 0.0 }]);
    assert_row(&transform(&steps, Features::with_nominal(&[1.0], &[true])), &[0.0]);
    for (category, y) in [(1.0, 2.0), (1.0, 4.0), (2.0, 9.0)] {
        learn(&mut steps, Features::with_nominal(&[category], &[true]), y);
    }
    for (category, expected) in [(1.0, 3.0), (2.0, 9.0), (3.0, 5.0)] {
        assert_row(&transform(&steps, Features::with_nominal(&[category], &[true])), &[expected]);
    }
}

fn polynomial(interaction_only: bool, max_columns: usize) -> Steps {
    Steps::new(&[StepKind::Polynomial { interaction_only, max_columns }])
}

#[test]
fn polynomial_follows_each_feature_with_its_products_with_those_before() {
    let (a, b, c) = (2.0, 3.0, 5.0);
    let x = [a, b, c];
    let all = [a, a * a, b, b * a, b * b, c, c * a, c * b, c * c];
    assert_row(&transform(&polynomial(false, 64), Features::new(&x)), &all);
    let products = [a, b, b * a, c, c * a, c * b];
    assert_row(&transform(&polynomial(true, 64), Features::new(&x)), &products);
    // Columns past the bound pass through, and take part in no product.
    assert_row(&transform(&polynomial(false, 2), Features::new(&x)), &[a, a * a, b, b * a, b * b, c]);
    assert_eq!(transform(&polynomial(false, 64), Features::new(&[1.0; 100])).len(), 100 + 64 * 65 / 2);
}

#[test]
fn polynomial_multiplies_neither_categories_nor_the_unknown_and_only_appends() {
    let steps = polynomial(false, 64);
    let nominal = [false, true, false];
    let mut rows = Vec::new();
    let got = steps.transform_one(Features::with_nominal(&[2.0, 7.0, NAN, 3.0], &nominal), &mut rows);
    assert_row(got.values(), &[2.0, 4.0, 7.0, NAN, NAN, NAN, 3.0, 6.0, NAN, 9.0]);
    let marked: Vec<usize> = (0..got.len()).filter(|i| got.is_nominal(*i)).collect();
    assert_eq!(marked, [2], "only the category itself is one");
    // A row without the last feature is the beginning of one with it.
    let short = transform(&steps, Features::with_nominal(&[2.0, 7.0, 4.0], &nominal));
    let long = transform(&steps, Features::with_nominal(&[2.0, 7.0, 4.0, 3.0], &nominal));
    assert_row(&long[..short.len()], &short);
    assert!(transform(&steps, Features::new(&[1e200, -1e200])).iter().all(|value| value.is_finite()));
}

#[test]
fn several_steps_pass_a_row_on_in_order() {
    let mut steps = Steps::new(&[
        StepKind::OneHot,
        StepKind::MinMaxScaler,
        StepKind::Polynomial { interaction_only: true, max_columns: 64 },
    ]);
    let nominal = [false, true];
    for (number, category) in [(0.0, 5.0), (10.0, 6.0), (1.0, 5.0)] {
        learn(&mut steps, Features::with_nominal(&[number, category], &nominal), 0.0);
    }
    // 4 becomes 0.4; the columns are the number, category 5, category 6, each behind the products.
    let got = transform(&steps, Features::with_nominal(&[4.0, 6.0], &nominal));
    assert_row(&got, &[0.4, 0.0, 0.0, 1.0, 0.4, 0.0]);
}

#[test]
fn saved_steps_go_on_to_the_bit() {
    let kinds = [
        vec![StepKind::StandardScaler { forgetting: 0.99, keep_zeros: true }],
        vec![StepKind::MinMaxScaler],
        vec![StepKind::OneHot, StepKind::SCALE],
        vec![StepKind::TargetEncoder { smoothing: 2.5 }, StepKind::SCALE],
        vec![StepKind::Polynomial { interaction_only: false, max_columns: 3 }, StepKind::MinMaxScaler],
    ];
    for kinds in kinds {
        let (mut straight, mut stopped) = (Steps::new(&kinds), Steps::new(&kinds));
        let values: Vec<f64> = noise(2000).collect();
        for (i, row) in values.chunks_exact(4).enumerate() {
            let mut x = [row[0], 100.0 * row[1], (row[2] * 8.0).floor(), NAN];
            x[i % 2] = if i % 11 == 0 { NAN } else { x[i % 2] };
            let x = Features::with_nominal(&x[..if i < 100 { 3 } else { 4 }], &[false, false, true]);
            if i % 37 == 0 {
                let saved = rmp_serde::to_vec_named(&stopped).expect("saved");
                stopped = thalweg::state::read(&saved).expect("restored");
            }
            let [a, b] = [&mut straight, &mut stopped].map(|steps| {
                let bits = |row: Vec<f64>| row.into_iter().map(f64::to_bits).collect::<Vec<_>>();
                (bits(transform(steps, x)), bits(learn(steps, x, row[3])))
            });
            assert_eq!(a, b, "{kinds:?} at {i}");
        }
    }
}

#[test]
fn a_linear_model_learns_what_a_category_is_worth_once_that_is_encoded() {
    let worth = [0.0, 8.0, -5.0, 3.0];
    let rmse = |steps: Vec<StepKind>| {
        let kind = ModelKind::Linear(linear::Params::river());
        let mut pipeline = Pipeline::new(&ModelConfig { steps, ..ModelConfig::new("linear", kind) });
        let mut scratch = Scratch::default();
        let (mut squares, mut n) = (0.0, 0.0);
        let values: Vec<f64> = noise(8000).collect();
        for (i, pair) in values.chunks_exact(2).enumerate() {
            let category = (pair[1] * 4.0).floor();
            let y = 2.0 * pair[0] + worth[category as usize];
            let row = [category, pair[0]];
            let x = Features::with_nominal(&row, &[true, false]);
            let error: f64 = y - pipeline.predict_one(x, &mut scratch);
            pipeline.learn_one(x, y, &mut scratch).expect("learned");
            if i >= 3000 {
                (squares, n) = (squares + error * error, n + 1.0);
            }
        }
        f64::sqrt(squares / n)
    };
    let (blind, one_hot) = (rmse(vec![StepKind::SCALE]), rmse(vec![StepKind::OneHot, StepKind::SCALE]));
    let target = rmse(vec![StepKind::TargetEncoder { smoothing: 10.0 }, StepKind::SCALE]);
    assert!(blind > 4.0 && one_hot < 0.05 && target < 0.3, "blind {blind}, one-hot {one_hot}, target {target}");
}

fn models(toml: &str) -> Result<Vec<ModelConfig>, Errors> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, toml).expect("write");
    Settings::load(&Sources::new(Some(path), [], [])).map(|settings| settings.race.models)
}

fn steps(settings: &str) -> Vec<StepKind> {
    let models = models(&format!("[[models]]\nkind = \"linear\"\n{settings}")).expect("good settings");
    models[0].steps.clone()
}

#[test]
fn settings_spell_every_step_with_its_parameters() {
    let polynomial = |interaction_only, max_columns| StepKind::Polynomial { interaction_only, max_columns };
    assert_eq!(
        steps(r#"steps = ["standard_scaler", "min_max_scaler", "one_hot", "target_encoder", "polynomial"]"#),
        [
            StepKind::SCALE,
            StepKind::MinMaxScaler,
            StepKind::OneHot,
            StepKind::TargetEncoder { smoothing: 10.0 },
            polynomial(false, 64)
        ],
    );
    let with_parameters = r#"steps = [
        { kind = "standard_scaler", forgetting = 0.999, keep_zeros = true },
        { kind = "target_encoder", smoothing = 0 },
        { kind = "polynomial", interaction_only = true, max_columns = 3 },
    ]"#;
    let forgetting = StepKind::StandardScaler { forgetting: 0.999, keep_zeros: true };
    assert_eq!(steps(with_parameters), [forgetting, StepKind::TargetEncoder { smoothing: 0.0 }, polynomial(true, 3)],);
    assert_eq!(steps("steps = []"), []);
}

#[test]
fn scale_is_short_for_the_steps_of_its_kind_and_both_at_once_are_an_error() {
    let steps_of = |kind: &str, settings: &str| {
        let models = models(&format!("[[models]]\nkind = \"{kind}\"\n{settings}")).expect("good settings");
        models[0].steps.clone()
    };
    let encoded = [StepKind::TargetEncoder { smoothing: 10.0 }, StepKind::SCALE_KEEPING_ZEROS];
    // Linear models need numbers for categories; with another optimizer `linear` is River's, which has none.
    for (kind, more, scaled) in [
        ("linear", "", &encoded[..]),
        ("rls", "", &encoded),
        ("linear", "optimizer = \"sgd\"\n", &[StepKind::SCALE]),
        ("amrules", "", &[StepKind::SCALE]),
    ] {
        assert_eq!(steps_of(kind, &format!("{more}scale = true")), scaled, "{kind} {more}");
        assert_eq!(steps_of(kind, more), scaled, "{kind} {more}");
        assert_eq!(steps_of(kind, &format!("{more}scale = false")), [], "{kind} {more}");
    }
    for scale in ["true", "false"] {
        let toml = format!("[[models]]\nkind = \"linear\"\nscale = {scale}\nsteps = [\"one_hot\"]");
        let errors = models(&toml).expect_err("both are set").to_string();
        assert!(errors.contains("models[0].scale") && errors.contains("steps"), "{errors}");
    }
}

#[test]
fn a_wrong_step_is_named_by_its_place() {
    for (wrong, path, part) in [
        (r#"["one_hoot"]"#, "models[0].steps[0]", "`one_hot`"),
        (r#"["one_hot", { kind = "polynomial", max_columns = 0 }]"#, "models[0].steps[1].max_columns", "from 1 to"),
        (r#"[{ kind = "standard_scaler", forgetting = 1.5 }]"#, "models[0].steps[0].forgetting", "at most 1"),
        (r#"[{ kind = "target_encoder", smoothing = nan }]"#, "models[0].steps[0].smoothing", "0 or more"),
        (r#"[{ kind = "one_hot", forgetting = 1 }]"#, "models[0].steps[0].forgetting", "not a setting"),
    ] {
        let errors = models(&format!("[[models]]\nkind = \"rls\"\nsteps = {wrong}")).expect_err("wrong");
        let problems: Vec<String> =
            errors.problems().iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
        assert!(problems[0].starts_with(path) && problems[0].contains(part), "{wrong}: {problems:?}");
    }
}
