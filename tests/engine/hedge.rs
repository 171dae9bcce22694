//! The linear regression that needs no tuning: units do not matter, nothing overshoots, one absurd value is no more than
//! one, what changes is followed, and every loss and penalty does what it says.

use thalweg_models::{
    Features, ModelConfig, ModelKind, Pipeline, Regressor, Scratch,
    linear::{LinearRegression, Params},
    loss::Loss,
    steps::StepKind,
};

/// Pseudo-random numbers in −1..1 without structure that matters here.
fn noise(i: usize) -> f64 {
    ((i as f64 + 1.0) * 0.754_877_666_246_692_7).fract() * 2.0 - 1.0
}

/// About normal.
fn normal(i: usize) -> f64 {
    (0..6).map(|j| noise(i * 6 + j + j * 104_729)).sum::<f64>() / 1.414
}

fn row(i: usize) -> [f64; 4] {
    std::array::from_fn(|j| normal(i * 4 + j * 7919))
}

fn target(x: &[f64; 4], i: usize) -> f64 {
    20.0 + 3.0 * x[0] - 2.0 * x[1] + 0.5 * x[2] + normal(i + 1_000_003)
}

struct Learner {
    pipeline: Pipeline,
    scratch: Scratch,
}

impl Learner {
    fn new(params: Params, scale: bool) -> Self {
        Self::behind(params, if scale { vec![StepKind::SCALE] } else { Vec::new() })
    }

    fn behind(params: Params, steps: Vec<StepKind>) -> Self {
        let config = ModelConfig { steps, ..ModelConfig::new("it", ModelKind::Linear(params)) };
        Self { pipeline: Pipeline::new(&config), scratch: Scratch::default() }
    }

    /// The prediction, before it learns.
    fn step(&mut self, x: &[f64], y: f64) -> f64 {
        let x = Features::new(x);
        let said = self.pipeline.predict_one(x, &mut self.scratch);
        self.pipeline.learn_one(x, y, &mut self.scratch).expect("learned");
        said
    }
}

/// RMSE over `judged`, of samples from 0 to its end.
fn rmse(learner: &mut Learner, judged: std::ops::Range<usize>, sample: impl Fn(usize) -> (Vec<f64>, f64)) -> f64 {
    let (mut sum, n) = (0.0, judged.len() as f64);
    for i in 0..judged.end {
        let (x, y) = sample(i);
        let said = learner.step(&x, y);
        if judged.contains(&i) {
            sum += (said - y) * (said - y);
        }
    }
    (sum / n).sqrt()
}

fn plane(i: usize) -> (Vec<f64>, f64) {
    let x = row(i);
    (x.to_vec(), target(&x, i))
}

fn scaled() -> Learner {
    Learner::new(Params::default(), true)
}

fn default() -> Learner {
    Learner::new(Params::default(), false)
}

#[test]
fn neither_the_features_unit_nor_the_targets_matters() {
    let plain = rmse(&mut default(), 200..3000, plane);
    assert!(plain < 1.15, "{plain}");
    for (scales, unit) in
        [([1e6, 1e-6, 1.0, 1e3], 1.0), ([1.0; 4], 1e6), ([1.0; 4], 1e-6), ([1e-6, 1e6, 1e9, 1e-9], 1e-9)]
    {
        let scaled = rmse(&mut default(), 200..3000, |i| {
            let (x, y) = plane(i);
            (x.iter().zip(scales).map(|(x, scale)| x * scale).collect(), y * unit)
        });
        assert!((scaled / unit / plain - 1.0).abs() < 1e-6, "{scales:?} {unit}: {scaled} for {plain}");
    }
}

#[test]
fn many_collinear_features_of_any_size_make_no_step_too_large() {
    for size in [1e-9, 1.0, 1e9] {
        // Gradient descent with any usual rate would run away.
        let sample = |i: usize| {
            let x = (0..60).map(|j| size * (10.0 + noise(i) + 0.01 * noise(i * 61 + j))).collect();
            (x, 5.0 * noise(i) + normal(i + 77))
        };
        // Targets vary by 3; what hides behind a large mean takes a scaler to find.
        let (plain, scaled) = (rmse(&mut default(), 200..2000, sample), rmse(&mut scaled(), 200..2000, sample));
        assert!(plain < 3.15 && scaled < 1.5, "{size}: {plain}, scaled {scaled}");
    }
}

#[test]
fn where_there_is_nothing_to_learn_it_is_as_good_as_the_mean() {
    for d in [1, 10, 50] {
        let sample = |i: usize| ((0..d).map(|j| normal(i * d + j)).collect(), 7.0 + normal(i + 5_000_011));
        let mut mean = (0.0, 0.0);
        let mut sum = 0.0;
        for i in 0..5000 {
            let (_, y) = sample(i);
            sum += if i >= 200 { (y - mean.0) * (y - mean.0) } else { 0.0 };
            mean = (mean.0 + (y - mean.0) / (mean.1 + 1.0), mean.1 + 1.0);
        }
        let (own, mean) = (rmse(&mut default(), 200..5000, sample), (sum / 4800.0_f64).sqrt());
        assert!(own < 1.03 * mean, "{d} features: {own} for {mean}");
    }
}

#[test]
fn an_absurd_value_at_any_time_is_soon_forgotten() {
    let usual = rmse(&mut default(), 8000..9000, plane);
    for at in [0, 10, 200, 3000] {
        for absurd in [1e6, -1e6, 65_535.0] {
            // How large a feature is, its first values tell; a scaler in front is to know better.
            let what = if at < 200 { &["target"][..] } else { &["feature", "target"] };
            for what in what {
                for burst in [1, 20] {
                    let off = rmse(&mut default(), at + 5000..at + 6000, |i| {
                        let (mut x, mut y) = plane(i);
                        if (at..at + burst).contains(&i) {
                            if *what == "target" { y = absurd } else { x[1] = absurd }
                        }
                        (x, y)
                    });
                    // Where absurd is all it knows at first, it takes a little longer.
                    let most = if at <= 10 && burst > 1 { 1.1 } else { 1.05 };
                    assert!(off < most * usual, "{burst} {what} {absurd} at {at}: {off} for {usual}");
                }
            }
        }
    }
}

#[test]
fn a_lasting_change_of_units_or_of_the_target_is_followed() {
    let usual = rmse(&mut default(), 2500..3500, plane);
    let changes: [fn(&mut Vec<f64>, &mut f64); 5] =
        [|x, _| x[0] *= 1e4, |x, _| x[0] *= 0.1, |_, y| *y += 1e4, |x, y| *y -= 6.0 * x[0], |x, _| x.swap(0, 1)];
    for (i, change) in changes.iter().enumerate() {
        let after = rmse(&mut default(), 2500..3500, |i| {
            let (mut x, mut y) = plane(i);
            if i >= 2000 {
                change(&mut x, &mut y);
            }
            (x, y)
        });
        assert!(after < 1.3 * usual, "change {i}: {after} for {usual}");
    }
}

#[test]
fn a_level_that_moves_all_the_time_is_followed() {
    let walk = |i: usize| (row(i).to_vec(), 0.05 * i as f64 + 10.0 * (i as f64 / 300.0).sin() + target(&row(i), i));
    let error = rmse(&mut default(), 1000..5000, walk);
    assert!(error < 1.8, "{error}");
}

#[test]
fn rows_that_are_mostly_zero_or_unknown_are_learned_and_change_nothing_else() {
    for absent in [0.0, f64::NAN] {
        let sample = |i: usize| {
            let mut x = vec![absent; 300];
            let on: Vec<usize> = (0..3).map(|j| ((noise(i * 3 + j) + 1.0) * 149.9) as usize).collect();
            on.iter().for_each(|j| x[*j] = 1.0);
            let y = on.iter().map(|j| 10.0 * noise(*j + 77)).sum::<f64>();
            (x, y)
        };
        let error = rmse(&mut default(), 5000..8000, sample);
        assert!(error < 2.0, "{absent}: {error} where targets vary by 10");
    }
    let mut model = LinearRegression::new(Params::default());
    (0..100).for_each(|i| model.learn_one(Features::new(&[normal(i), 1.0]), normal(i), 1.0).expect("learned"));
    let mut other = model.clone();
    model.learn_one(Features::new(&[0.5]), 1.0, 1.0).expect("learned");
    other.learn_one(Features::new(&[0.5, f64::NAN]), 1.0, 1.0).expect("learned");
    assert_eq!(model.weights(), other.weights());
}

/// Records of a few names each, every name with an effect of its own: a column per name, from where it first came, as where
/// absent is zero. `pick` says which of `names` record `i` holds at place `j`, `value` as what.
fn few_of_many(
    [names, on]: [usize; 2],
    pick: impl Fn(usize, usize) -> f64,
    value: impl Fn(usize) -> f64,
) -> Vec<(Vec<f64>, f64)> {
    let mut columns = vec![usize::MAX; names];
    let mut known = 0;
    let mut record = |i: usize| {
        let mut present = Vec::new();
        let mut y = 5.0 + 0.1 * normal(i + 900_001);
        for j in 0..on {
            let name = (pick(i, j) * names as f64) as usize;
            let value = value(i * on + j);
            if columns[name] == usize::MAX {
                (columns[name], known) = (known, known + 1);
            }
            present.push((columns[name], value));
            y += value * normal(name + 50_021);
        }
        let mut x = vec![0.0; known];
        present.iter().for_each(|(column, value)| x[*column] += value);
        (x, y)
    };
    (0..6000).map(&mut record).collect()
}

/// In 0..1.
fn uniform(i: usize) -> f64 {
    (normal(i) * 1e4).rem_euclid(1.0)
}

#[test]
fn records_of_a_few_names_out_of_many_are_learned_behind_a_scaler() {
    let any = |i: usize, j: usize| uniform(i * 7 + j * 104_003);
    // The first names are the usual ones.
    let zipf = |i: usize, j: usize| (500_f64.powf(any(i, j)) - 1.0) / 500.0;
    // More and more names.
    let growing = |i: usize, j: usize| any(i, j) * (0.2 + 0.8 * i as f64 / 6000.0);
    let (one, count) = (|_: usize| 1.0, |i: usize| 1.0 + (-4.0 * uniform(i + 31).max(1e-9).ln()).floor());
    for (what, records) in [
        ("3 of 300", few_of_many([300, 3], any, one)),
        ("1 of 50", few_of_many([50, 1], any, one)),
        ("5 of 2,000", few_of_many([2000, 5], any, one)),
        ("3 of 500 by Zipf's law", few_of_many([500, 3], zipf, one)),
        ("3 of ever more", few_of_many([300, 3], growing, one)),
        ("counts of 3 of 300", few_of_many([300, 3], any, count)),
    ] {
        let spread = |from: usize| {
            let mean = records[from..].iter().map(|(_, y)| y).sum::<f64>() / (records.len() - from) as f64;
            let squares = records[from..].iter().map(|(_, y)| (y - mean) * (y - mean)).sum::<f64>();
            (squares / (records.len() - from) as f64).sqrt()
        };
        let errors = |steps: Vec<StepKind>| {
            [200, 4500].map(|from| {
                let mut learner = Learner::behind(Params::default(), steps.clone());
                rmse(&mut learner, from..6000, |i| records[i].clone()) / spread(from)
            })
        };
        let [all, late] = errors(vec![StepKind::SCALE_KEEPING_ZEROS]);
        // Of 2,000 names each came 15 times.
        let most = if what.starts_with('5') { [0.75, 0.55] } else { [0.4, 0.3] };
        assert!(all < most[0] && late < most[1], "{what}: {all} of the spread, late {late}");
        // River's scaler makes a rare value many deviations wide, and fewer with every record.
        let [centred, _] = errors(vec![StepKind::SCALE]);
        assert!(centred < 0.9, "{what}, centred: {centred} of the spread");
    }
}

#[test]
fn a_line_goes_on_beyond_what_was_seen_and_a_rare_value_is_no_more_than_learned() {
    // One value in 500 is 30 times as far out as usual, and means as much as any.
    let heavy = |i: usize| {
        let mut x = row(i);
        x[0] *= if i % 500 == 300 { 30.0 } else { 1.0 };
        (x.to_vec(), target(&x, i))
    };
    let error = rmse(&mut default(), 2500..6000, heavy);
    let spread = 3.0 * 30.0 / 500_f64.sqrt();
    assert!(error < 0.3 * spread, "{error} where these values spread targets by {spread}");
}

#[test]
fn predictions_stay_within_what_targets_were() {
    let mut learner = default();
    for i in 0..1000 {
        let (x, y) = plane(i);
        learner.step(&x, y);
    }
    let far = learner.pipeline.predict_one(Features::new(&[1e9, 0.0, 0.0, 0.0]), &mut learner.scratch);
    assert!((20.0..60.0).contains(&far), "{far}");
}

#[test]
fn each_loss_finds_what_it_is_minimal_at() {
    // Targets of 0 to 1 that crowd at 0: mean 1/3, median 1/4, quantile 0.9 at 0.81.
    let y = |i: usize| ((noise(i) + 1.0) / 2.0).powi(2);
    for (loss, expected) in [
        (Loss::Squared, 1.0 / 3.0),
        (Loss::Absolute, 0.25),
        (Loss::Quantile { alpha: 0.9 }, 0.81),
        (Loss::Huber { epsilon: 0.01 }, 0.25),
        (Loss::Cauchy { c: 100.0 }, 1.0 / 3.0),
    ] {
        let mut model = LinearRegression::new(Params { loss, ..Params::default() });
        (0..20_000).for_each(|i| model.learn_one(Features::new(&[]), y(i), 1.0).expect("learned"));
        let said: f64 = (20_000..20_400)
            .map(|i| {
                let said = model.predict_one(Features::new(&[]));
                model.learn_one(Features::new(&[]), y(i), 1.0).expect("learned");
                said
            })
            .sum::<f64>()
            / 400.0;
        assert!((said - expected).abs() < 0.05, "{loss:?}: {said} for {expected}");
    }
}

#[test]
fn penalties_draw_weights_to_zero_and_a_clipped_gradient_slows_them() {
    let learned = |params: Params| {
        let mut learner = Learner::new(params, false);
        (0..3000).for_each(|i| {
            let (x, y) = plane(i);
            learner.step(&x, y);
        });
        match learner.pipeline.model() {
            thalweg_models::Model::Linear(model) => model.weights().to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let size = |weights: &[f64]| weights.iter().map(|weight| weight.abs()).sum::<f64>();
    let free = learned(Params::default());
    let (l2, l1) = (learned(Params { l2: 2.0, ..Params::default() }), learned(Params { l1: 2.0, ..Params::default() }));
    assert!(size(&l2) < 0.7 * size(&free) && size(&l2) > 0.2 * size(&free), "{l2:?} for {free:?}");
    assert!(l1[3].abs() < 0.02 && l1[0] > 1.0, "{l1:?} for {free:?}");
    let clipped = learned(Params { clip_gradient: 1e-4, ..Params::default() });
    assert!(size(&clipped) < 0.2 * size(&free), "{clipped:?}");
}

#[test]
fn a_sample_of_weight_two_counts_as_two_and_one_of_weight_none_as_none() {
    let mut model = LinearRegression::new(Params::default());
    (0..50).for_each(|i| model.learn_one(Features::new(&row(i)), target(&row(i), i), 1.0).expect("learned"));
    let before = format!("{:?}", (model.intercept(), model.weights()));
    model.learn_one(Features::new(&row(50)), 90.0, 0.0).expect("learned");
    assert_eq!(before, format!("{:?}", (model.intercept(), model.weights())));
    let moved = |weight: f64| {
        let mut model = model.clone();
        model.learn_one(Features::new(&row(50)), 25.0, weight).expect("learned");
        (model.predict_one(Features::new(&row(50))) - 25.0).abs()
    };
    assert!(moved(2.0) < moved(1.0) && moved(100.0) < moved(2.0), "{} {} {}", moved(1.0), moved(2.0), moved(100.0));
}

#[test]
fn what_no_number_can_hold_is_refused_without_a_trace() {
    let mut model = LinearRegression::new(Params::default());
    (0..50).for_each(|i| model.learn_one(Features::new(&row(i)), target(&row(i), i), 1.0).expect("learned"));
    let mut untouched = model.clone();
    for (x, y) in [([1e160, 0.0, 0.0, 0.0], 1.0), ([1.0; 4], 1e160), ([1.0; 4], f64::NAN), ([f64::INFINITY; 4], 1.0)] {
        assert!(model.learn_one(Features::new(&x), y, 1.0).is_err(), "{x:?} {y}");
    }
    for i in 50..60 {
        let (x, y) = (row(i), target(&row(i), i));
        let said = [&model, &untouched].map(|model| model.predict_one(Features::new(&x)).to_bits());
        assert_eq!(said[0], said[1]);
        for model in [&mut model, &mut untouched] {
            model.learn_one(Features::new(&x), y, 1.0).expect("learned");
        }
    }
}
