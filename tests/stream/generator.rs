//! The generator: what its functions are, that sample i is always sample i, and that sending keeps its rate.

use std::{
    f64::consts::PI,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::prelude::*;
use thalweg_generator::{
    Config, Distribution, Drift, DriftType, Expression, FriedmanDrift, Function, Noise, Sine, Stream,
    drift::Change,
    encode,
    task::{self, SampleSink},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn config(function: Function) -> Config {
    Config { function, noise: Noise::None, ..Config::default() }
}

fn named(name: &str) -> Config {
    config(Function::from_name(name).expect("a function"))
}

fn samples(config: &Config, from: u64, count: usize) -> Vec<(Vec<f64>, f64)> {
    let mut stream = Stream::new(config).expect("a stream");
    stream.seek(from);
    let mut x = Vec::new();
    let sample = |_| {
        let y = stream.next_sample(&mut x);
        (x.clone(), y)
    };
    (0..count).map(sample).collect()
}

fn friedman(x: &[f64], [a, b, c, d, e]: [usize; 5]) -> f64 {
    10.0 * (PI * x[a] * x[b]).sin() + 20.0 * (x[c] - 0.5).powi(2) + 10.0 * x[d] + 5.0 * x[e]
}

fn assert_near(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-12 * expected.abs().max(1.0), "got {got}, expected {expected}");
}

#[test]
fn friedman_is_its_formula_over_the_unit_cube() {
    let mut sums = [0.0; 10];
    for (x, y) in samples(&named("friedman"), 0, 20_000) {
        assert_eq!(x.len(), 10);
        assert!(x.iter().all(|value| (0.0..1.0).contains(value)));
        assert_near(y, friedman(&x, [0, 1, 2, 3, 4]));
        sums.iter_mut().zip(&x).for_each(|(sum, value)| *sum += value);
    }
    // Standard error of the mean is 0.002.
    assert!(sums.iter().all(|sum| (sum / 20_000.0 - 0.5).abs() < 0.01), "{sums:?}");
}

#[test]
fn recurring_drift_swaps_roles_exactly_between_its_positions_and_again_after_the_period() {
    let drift = FriedmanDrift { position: vec![100, 200], repeat: 300, ..FriedmanDrift::default() };
    for (i, (x, y)) in samples(&config(Function::FriedmanDrift(drift)), 0, 900).into_iter().enumerate() {
        let drifted = (100..200).contains(&(i % 300));
        assert_near(y, friedman(&x, if drifted { [3, 5, 1, 0, 2] } else { [0, 1, 2, 3, 4] }));
    }
}

#[test]
fn local_drift_changes_only_its_regions_which_grow() {
    let position = vec![2000, 4000, 6000];
    let drift = FriedmanDrift { drift_type: DriftType::Lea, position, repeat: 0, ..FriedmanDrift::default() };
    let mut changed = [0; 4];
    for (i, (x, y)) in samples(&config(Function::FriedmanDrift(drift)), 0, 8000).into_iter().enumerate() {
        let stage = i / 2000;
        let low = x[1] < 0.3 && x[2] < 0.3 && (stage > 2 || x[3] > 0.7) && (stage > 1 || x[4] < 0.3);
        let high = x[1] > 0.7 && x[2] > 0.7 && (stage > 2 || x[3] < 0.3) && (stage > 1 || x[4] > 0.7);
        if stage > 0 && low {
            assert_near(y, 10.0 * x[0] * x[1] + 20.0 * (x[2] - 0.5) + 10.0 * x[3] + 5.0 * x[4]);
            changed[stage] += 1;
        } else if stage > 0 && high {
            let expected = 10.0 * (x[0] * x[1]).cos() + 20.0 * (x[2] - 0.5) + x[3].exp() + 5.0 * x[4].powi(2);
            assert_near(y, expected);
            changed[stage] += 1;
        } else {
            assert_near(y, friedman(&x, [0, 1, 2, 3, 4]));
        }
    }
    assert!(
        changed[0] == 0 && changed[1] > 10 && changed[2] > 2 * changed[1] && changed[3] > 2 * changed[2],
        "{changed:?}"
    );
}

#[test]
fn gradual_drift_mixes_evenly_within_its_window_and_not_outside() {
    let drift =
        FriedmanDrift { drift_type: DriftType::Gsg, position: vec![1000, 3000], transition_window: 1000, repeat: 0 };
    let concepts = [[0, 1, 2, 3, 4], [3, 4, 1, 0, 2], [1, 4, 3, 2, 0]];
    let mut first_window = [0; 3];
    for (i, (x, y)) in samples(&config(Function::FriedmanDrift(drift)), 0, 5000).into_iter().enumerate() {
        let concept = concepts.iter().position(|roles| (friedman(&x, *roles) - y).abs() < 1e-12).expect("a concept");
        match i {
            0..1000 => assert_eq!(concept, 0),
            1000..2000 => first_window[concept] += 1,
            2000..3000 => assert_eq!(concept, 1),
            3000..4000 => assert!(concept > 0),
            _ => assert_eq!(concept, 2),
        }
    }
    assert!((400..600).contains(&first_window[0]) && first_window[2] == 0, "{first_window:?}");
}

#[test]
fn the_other_functions_are_their_formulas() {
    for (x, y) in samples(&named("planes2d"), 0, 2000) {
        assert!(x[0].abs() == 1.0 && x[1..].iter().all(|value| [-1.0, 0.0, 1.0].contains(value)));
        let planes = [3.0 + 3.0 * x[1] + 2.0 * x[2] + x[3], -3.0 + 3.0 * x[4] + 2.0 * x[5] + x[6]];
        assert_near(y, planes[usize::from(x[0] < 0.0)]);
    }
    for (x, y) in samples(&named("mv"), 0, 2000) {
        assert_eq!(x[2] == 0.0, x[0] > 0.0);
        let expected = match (x[3], x[6] == 1.0, x[7] == 0.0) {
            (fourth, _, _) if (-2.0..=2.0).contains(&fourth) => 10.0 - 2.0 * x[0],
            (fourth, true, _) => 3.0 - x[0] / fourth,
            (_, _, true) => x[5] + x[0],
            _ => x[0] / 2.0,
        };
        assert_near(y, expected);
    }
    let sine = Sine { amplitude: 2.0, period: 4 };
    let wave: Vec<(Vec<f64>, f64)> = samples(&config(Function::Sine(sine)), 0, 5);
    for ((x, y), (phase, height)) in wave.iter().zip([(0.0, 0.0), (0.25, 2.0), (0.5, 0.0), (0.75, -2.0), (0.0, 0.0)]) {
        assert_eq!(x, &[phase]);
        assert_near(*y, height);
    }
}

#[test]
fn geometric_multiplies_at_each_step_until_it_overflows_and_goes_on() {
    let samples = samples(&named("geometric"), 0, 3000);
    let mut expected = [1.0_f64; 3];
    for (i, (x, y)) in samples.iter().enumerate() {
        assert_eq!(x, &expected, "step {i}");
        assert_eq!(*y, expected.iter().sum::<f64>());
        expected[0] *= 1.4;
        expected[1] *= 1.2;
        expected[2] *= 1.3;
    }
    assert!(samples[2000].0[0].is_finite() && samples[2200].0[0].is_infinite());
    let mut json = Vec::new();
    encode::json(&["x0".into()], &samples[2200].0[..1], samples[2200].1, &mut json);
    assert_eq!(json, br#"{"x0":Infinity,"y":Infinity}"#);
}

#[test]
fn an_expression_is_evaluated_over_its_features_and_the_samples_number() {
    let expression = Expression {
        formula: "2*a + b*b - t/10".into(),
        features: vec![
            ("b".into(), Distribution::Constant { value: 3.0 }),
            ("a".into(), Distribution::Normal { mean: 5.0, sd: 2.0 }),
        ],
    };
    let config = config(Function::Expression(expression));
    assert_eq!(Stream::new(&config).expect("a stream").feature_names(), ["b", "a"]);
    let samples = samples(&config, 0, 10_000);
    let mut mean = 0.0;
    for (i, (x, y)) in samples.iter().enumerate() {
        assert_near(*y, 2.0 * x[1] + 9.0 - i as f64 / 10.0);
        mean += x[1] / 10_000.0;
    }
    assert!((mean - 5.0).abs() < 0.1, "{mean}");
}

#[test]
fn a_formulas_signs_and_powers_bind_as_the_settings_file_says() {
    let value = |formula: &str| {
        let expression = Expression {
            formula: formula.to_owned(),
            features: vec![("a".to_owned(), Distribution::Constant { value: 3.0 })],
        };
        samples(&config(Function::Expression(expression)), 0, 1)[0].1
    };
    assert_eq!([value("-a^2"), value("-(a^2)"), value("2^a^2"), value("2^(a^2)")], [9.0, -9.0, 64.0, 512.0]);
}

#[test]
fn noise_has_its_spread_and_leaves_the_features_alone() {
    let clean = named("friedman");
    for (noise, sd) in [
        (Noise::Normal { sd: 2.0 }, 2.0),
        (Noise::Uniform { half_width: 3.0 }, 3.0_f64.sqrt()),
        (Noise::StudentT { freedom: 10.0, scale: 1.0 }, (10.0_f64 / 8.0).sqrt()),
    ] {
        let noisy = samples(&Config { noise, ..clean.clone() }, 0, 20_000);
        let mut square = 0.0;
        for ((x, y), (clean_x, clean_y)) in noisy.iter().zip(samples(&clean, 0, 20_000)) {
            assert_eq!(x, &clean_x);
            square += (y - clean_y).powi(2) / 20_000.0;
        }
        assert!((square.sqrt() / sd - 1.0).abs() < 0.03, "{noise:?}: {}", square.sqrt());
    }
}

#[test]
fn a_drift_wrapper_changes_any_function_at_its_positions() {
    let drift = |change, width| Drift { positions: vec![10, 20], width, change, repeat: 0 };
    let plain = samples(&named("planes2d"), 0, 30);
    let config = Config { drift: Some(drift(Change::Negate, 0)), ..named("planes2d") };
    for (i, ((x, y), (plain_x, plain_y))) in samples(&config, 0, 30).iter().zip(&plain).enumerate() {
        assert_eq!(x, plain_x);
        assert_eq!(*y, if (10..20).contains(&i) { -plain_y } else { *plain_y }, "sample {i}");
    }
    let config = Config { drift: Some(drift(Change::Rotate, 0)), ..named("friedman") };
    let roles = [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]];
    for (i, (x, y)) in samples(&config, 0, 30).iter().enumerate() {
        assert_near(*y, friedman(x, roles[i / 10]));
    }
    let drift = drift(Change::Rotate, 8);
    assert_eq!(
        (drift.concept(9, 0.0), drift.concept(10, 0.0), drift.concept(14, 0.4), drift.concept(14, 0.6)),
        (0, 0, 1, 0)
    );
    assert_eq!((drift.concept(18, 0.99), drift.concept(28, 0.99)), (1, 2));
}

#[test]
fn wrong_parameters_name_their_key() {
    for (config, key) in [
        (Config { noise: Noise::Normal { sd: f64::NAN }, ..named("friedman") }, "noise.sd"),
        (Config { drift: Some(Drift::default()), ..named("friedman") }, "drift.positions"),
        (config(Function::Sine(Sine { amplitude: 1.0, period: 1 })), "function.period"),
    ] {
        assert_eq!(Stream::new(&config).expect_err("wrong").key, key);
    }
    assert!(Function::from_name("frideman").expect_err("unknown").problem.contains("friedman_drift"));
}

fn all_functions() -> Vec<Config> {
    let expression =
        Expression { formula: "a + t".into(), features: vec![("a".into(), Distribution::Exponential { rate: 2.0 })] };
    // It has no defaults that work.
    let or_ours = |function| match function {
        Function::Expression(_) => Function::Expression(expression.clone()),
        function => function,
    };
    let functions = Function::all().map(or_ours);
    let drift = Drift { positions: vec![50], width: 40, change: Change::Rotate, repeat: 0 };
    functions.into_iter().map(|function| Config { function, drift: Some(drift.clone()), ..Config::default() }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn a_sample_is_the_same_from_wherever_the_stream_comes(seed in any::<u64>(), from in 0..3000_u64) {
        for config in all_functions() {
            let config = Config { seed, ..config };
            let (whole, rest) = (samples(&config, 0, from as usize + 5), samples(&config, from, 5));
            let bits = |(x, y): &(Vec<f64>, f64)| (x.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), y.to_bits());
            for (a, b) in whole[from as usize..].iter().zip(&rest) {
                prop_assert_eq!(bits(a), bits(b), "{}", config.function.name());
            }
        }
    }
}

#[test]
fn another_seed_gives_other_samples() {
    let other = Config { seed: 43, ..named("friedman") };
    assert_ne!(samples(&named("friedman"), 0, 1), samples(&other, 0, 1));
}

/// Keeps what it is sent.
#[derive(Clone, Default)]
struct Kept {
    batches: Arc<Mutex<Vec<(u64, usize)>>>,
    /// Cancelled within the first append, to stop the task midway.
    stop: Option<CancellationToken>,
    /// How long the first append takes.
    stall: Option<Duration>,
}

impl SampleSink for Kept {
    type Error = std::convert::Infallible;

    async fn append(&mut self, first_index: u64, payloads: Vec<Vec<u8>>) -> Result<(), Self::Error> {
        if let Some(stop) = &self.stop {
            stop.cancel();
            tokio::task::yield_now().await;
        }
        if let Some(stall) = self.stall.take() {
            tokio::time::sleep(stall).await;
        }
        self.batches.lock().expect("the lock").push((first_index, payloads.len()));
        Ok(())
    }
}

impl Kept {
    /// Total, having checked that every batch follows the one before.
    fn total(&self) -> u64 {
        let batches = self.batches.lock().expect("the lock");
        let start = batches.first().map_or(0, |(first, _)| *first);
        batches.iter().fold(start, |next, (first, count)| {
            assert_eq!(*first, next);
            next + *count as u64
        }) - start
    }
}

#[tokio::test(start_paused = true)]
async fn sending_keeps_its_rate_in_small_steps() {
    let (kept, stop) = (Kept::default(), CancellationToken::new());
    let config = Config { rate: 1000.0, ..named("friedman") };
    let stream = Stream::new(&config).expect("a stream");
    let timer = stop.clone();
    let (sent, ()) = tokio::join!(
        task::run(stream, &config, watch::Sender::new(config.rate).subscribe(), kept.clone(), stop),
        async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            timer.cancel();
        }
    );
    assert!((9_990..=10_000).contains(&sent.expect("sent")), "{}", kept.total());
    let largest = kept.batches.lock().expect("the lock").iter().map(|(_, count)| *count).max();
    assert!(largest <= Some(10), "{largest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_changes_holds_from_then_on() {
    let (kept, stop, rates) = (Kept::default(), CancellationToken::new(), watch::Sender::new(1000.0));
    let config = named("friedman");
    let stream = Stream::new(&config).expect("a stream");
    let timer = stop.clone();
    let (sent, counts) = tokio::join!(task::run(stream, &config, rates.subscribe(), kept.clone(), stop), async {
        let mut counts = vec![0];
        for rate in [1000.0, 10.0, 2000.0] {
            rates.send_replace(rate);
            tokio::time::sleep(Duration::from_secs(10)).await;
            counts.push(kept.total());
        }
        timer.cancel();
        counts
    });
    sent.expect("sent");
    let sent: Vec<u64> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // The step of 5 ms under way is of the rate before, 5 samples or 10.
    let kept_to = |sent: u64, wanted: u64| sent.abs_diff(wanted) <= 10;
    assert!(kept_to(sent[0], 10_000) && kept_to(sent[1], 100) && kept_to(sent[2], 20_000), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_stall_a_second_is_made_up_for_and_the_rate_is_kept_again() {
    let (kept, stop) = (Kept { stall: Some(Duration::from_secs(30)), ..Kept::default() }, CancellationToken::new());
    let config = Config { rate: 1000.0, ..named("friedman") };
    let stream = Stream::new(&config).expect("a stream");
    let timer = stop.clone();
    let (sent, ()) = tokio::join!(
        task::run(stream, &config, watch::Sender::new(config.rate).subscribe(), kept.clone(), stop),
        async move {
            tokio::time::sleep(Duration::from_secs(40)).await;
            timer.cancel();
        }
    );
    // One second made up for, and ten since.
    assert!((10_950..=11_050).contains(&sent.expect("sent")), "{}", kept.total());
}

#[tokio::test(start_paused = true)]
async fn sending_stops_after_its_count_over_all_runs() {
    let config = Config { rate: 0.0, count: 2500, ..named("friedman") };
    let mut stream = Stream::new(&config).expect("a stream");
    stream.seek(1200);
    let kept = Kept::default();
    let sent =
        task::run(stream, &config, watch::Sender::new(config.rate).subscribe(), kept.clone(), CancellationToken::new())
            .await;
    assert_eq!((sent.expect("sent"), kept.total()), (1300, 1300));
    assert_eq!(kept.batches.lock().expect("the lock")[0].0, 1200);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_has_begun_is_finished_when_told_to_stop() {
    let stop = CancellationToken::new();
    let kept = Kept { stop: Some(stop.clone()), ..Kept::default() };
    let config = Config { rate: 0.0, ..named("friedman") };
    let stream = Stream::new(&config).expect("a stream");
    let sent = task::run(stream, &config, watch::Sender::new(config.rate).subscribe(), kept.clone(), stop)
        .await
        .expect("sent");
    assert_eq!((sent, kept.total()), (1000, 1000));
}

#[test]
fn numbers_are_spelled_so_that_they_read_back_to_the_same_bits() {
    let names: Vec<String> = (0..6).map(|i| format!("x{i}")).collect();
    let values = [0.1 + 0.2, -0.0, 1e300, 5e-324, 1.0, f64::MAX];
    let mut json = Vec::new();
    encode::json_line(&names, &values, 2.5, &mut json);
    let parsed: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    for (name, value) in names.iter().zip(values) {
        assert_eq!(parsed[name].as_f64().map(f64::to_bits), Some(value.to_bits()), "{name}");
    }
    let mut csv = Vec::new();
    encode::csv_header(&names[..2], &mut csv);
    encode::csv_row(&[1.5, f64::NEG_INFINITY], f64::NAN, &mut csv);
    assert_eq!(String::from_utf8(csv).expect("text"), "x0,x1,y\n1.5,-inf,nan\n");
}
