//! The engine alone, on a vector of samples: predict, score, learn, in this order, with no topic and no runtime.
//!
//! `cargo run --release --example engine`. In a project of one's own, `thalweg-models` and `thalweg-metrics` are all it takes.

use thalweg::{
    metrics::Scores,
    models::{Features, ModelConfig, ModelKind, Pipeline, Scratch},
};

fn main() {
    // A plane with a step in it: what a line cannot say.
    let samples: Vec<([f64; 2], f64)> = (0..20_000)
        .map(|i| {
            let [a, b] = [0.754_877_666, 0.569_840_291].map(|step: f64| (f64::from(i) * step).fract());
            ([a, b], 3.0 * a - b + if a > 0.5 { 10.0 } else { 0.0 })
        })
        .collect();

    for kind in [ModelKind::Mean, ModelKind::Linear(Default::default()), ModelKind::HoeffdingTree(Default::default())] {
        // A scaler in front, as the daemon has it by default.
        let config = ModelConfig::new(kind.name(), kind).scaled(true);
        let (mut model, mut scratch, mut scores) = (Pipeline::new(&config), Scratch::default(), Scores::default());
        for (x, y) in &samples {
            let x = Features::new(x);
            scores.update(*y, model.predict_one(x, &mut scratch));
            // A model refuses what would leave it with numbers that are none; then it is as it was.
            if let Err(refused) = model.learn_one(x, *y, &mut scratch) {
                eprintln!("{}: {refused:?}", config.name);
            }
        }
        println!("{:15} RMSE {:.4}  R2 {:.4}", config.name, scores.rmse(), scores.r2());
    }
}
