//! The adaptive tree and the forest follow drift, and are random in a repeatable way.

use thalweg_generator::{Config, Drift, Function, Stream};
use thalweg_models::{
    Features, Model, ModelKind, Regressor, forest,
    tree::{self, HoeffdingTree, MaxFeatures, NodeKind, adaptive},
};

type Samples = Vec<(Vec<f64>, f64)>;

/// Returns samples of Friedman's function, whose features change roles from sample `change` on.
fn drifting(n: usize, change: u64) -> Samples {
    let function = Function::from_name("friedman").expect("a function");
    let drift = Some(Drift { positions: vec![change], ..Drift::default() });
    let mut stream = Stream::new(&Config { function, drift, ..Config::default() }).expect("a stream");
    let mut x = Vec::new();
    (0..n)
        .map(|_| {
            let y = stream.next_sample(&mut x);
            (x.clone(), y)
        })
        .collect()
}

/// Learns all samples. Returns the RMSE over those in `range`.
fn rmse(kind: &ModelKind, samples: &Samples, range: std::ops::Range<usize>) -> f64 {
    let mut model = Model::new(kind);
    let mut sum = 0.0;
    for (i, (x, y)) in samples.iter().enumerate() {
        let error = y - model.predict_one(Features::new(x));
        if range.contains(&i) {
            sum += error * error;
        }
        model.learn_one(Features::new(x), *y, 1.0).expect("learned");
    }
    (sum / range.len() as f64).sqrt()
}

fn plain_tree() -> ModelKind {
    ModelKind::HoeffdingTree(tree::Params::default())
}

#[test]
fn after_an_abrupt_change_adaptive_models_err_less_than_a_tree_that_stays() {
    let samples = drifting(20_000, 10_000);
    let stays = rmse(&plain_tree(), &samples, 15_000..20_000);
    for kind in [ModelKind::AdaptiveTree(Box::default()), ModelKind::AdaptiveRandomForest(Box::default())] {
        let adapts = rmse(&kind, &samples, 15_000..20_000);
        println!("{}: {adapts}, tree {stays}", kind.name());
        assert!(adapts < 0.95 * stays, "{}: {adapts} against {stays}", kind.name());
    }
}

#[test]
fn without_a_change_no_tree_of_a_forest_is_replaced_and_ten_err_less_than_one() {
    let samples = drifting(10_000, u64::MAX);
    let mut forest = forest::AdaptiveRandomForest::new(forest::Params::default());
    for (x, y) in &samples {
        forest.learn_one(Features::new(x), *y, 1.0).expect("learned");
    }
    assert_eq!(forest.counts().drifts, 0);
    let kind =
        |n_models| ModelKind::AdaptiveRandomForest(Box::new(forest::Params { n_models, ..forest::Params::default() }));
    let (ten, one) = (rmse(&kind(10), &samples, 5000..10_000), rmse(&kind(1), &samples, 5000..10_000));
    assert!(ten < 0.85 * one, "{ten} against {one}");
}

#[test]
fn the_seed_alone_decides_what_chance_does() {
    let samples = drifting(3000, 1500);
    let forest = |seed| {
        let params = forest::Params { n_models: 3, seed, ..forest::Params::default() };
        rmse(&ModelKind::AdaptiveRandomForest(Box::new(params)), &samples, 0..3000).to_bits()
    };
    let adaptive = |seed| {
        let params = adaptive::Params { seed, ..adaptive::Params::default() };
        rmse(&ModelKind::AdaptiveTree(Box::new(params)), &samples, 0..3000).to_bits()
    };
    assert_eq!((forest(1), adaptive(1)), (forest(1), adaptive(1)));
    assert_ne!(forest(1), forest(2));
    assert_ne!(adaptive(1), adaptive(2));
}

#[test]
fn trees_in_subspaces_split_on_different_features() {
    let samples = drifting(5000, u64::MAX);
    let root = |seed| {
        let params = tree::Params { grace_period: 50, delta: 0.01, ..tree::Params::default() };
        let mut tree = HoeffdingTree::in_subspaces(params, MaxFeatures::Count(2), seed);
        for (x, y) in &samples {
            tree.learn_one(Features::new(x), *y, 1.0).expect("learned");
        }
        match tree.walk().next().expect("a root").kind {
            NodeKind::Branch { feature, .. } => feature,
            NodeKind::Leaf { .. } => panic!("no split"),
        }
    };
    let roots: std::collections::BTreeSet<usize> = (0..10).map(root).collect();
    assert!(roots.len() > 2, "{roots:?}");
}

#[test]
fn an_alternate_is_tested_before_it_replaces_its_branch() {
    // With a test that never passes, alternates begin and nothing is ever replaced.
    let samples = drifting(15_000, 5000);
    let params = adaptive::Params { switch_significance: 1e-300, ..adaptive::Params::default() };
    let mut tree = adaptive::AdaptiveTree::new(params);
    for (x, y) in &samples {
        tree.learn_one(Features::new(x), *y, 1.0).expect("learned");
    }
    let counts = tree.counts();
    assert!(counts.alternates > 0, "{counts:?}");
    assert_eq!((counts.switched, counts.pruned), (0, 0), "{counts:?}");
}
