//! Model trees: each of their safeguards on a stream that needs it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use thalweg_metrics::Checked;
use thalweg_models::{
    Description, Features, Model, ModelKind, NamedColumn, Regressor,
    describe::{Leaf, Node, Tree},
    model_tree::{ModelTree, Params},
};

/// Rows of numbers from −1 to 1, and standard normal noise.
struct Stream(ChaCha8Rng);

impl Stream {
    fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(1))
    }

    fn next<const D: usize>(&mut self) -> ([f64; D], f64) {
        (std::array::from_fn(|_| self.0.random_range(-1.0..1.0)), self.0.sample(StandardNormal))
    }
}

fn model(params: Params) -> ModelTree {
    ModelTree::new(params)
}

/// Learns samples whose target `of` computes from a row and noise. Returns the RMSE of predictions over the last half.
fn learn<const D: usize>(
    model: &mut ModelTree,
    stream: &mut Stream,
    n: usize,
    of: impl Fn(&[f64; D], f64) -> f64,
) -> f64 {
    let mut squares = 0.0;
    for i in 0..n {
        let (x, noise) = stream.next();
        let y = of(&x, noise);
        if i >= n / 2 {
            squares += (y - model.predict_one(Features::new(&x))).powi(2);
        }
        model.learn_one(Features::new(&x), y, 1.0).expect("learned");
    }
    (squares / (n - n / 2) as f64).sqrt()
}

fn trees(model: &ModelTree, columns: &[NamedColumn]) -> Vec<Tree> {
    match model.describe(columns) {
        Description::Forest(forest) => forest.trees,
        other => panic!("{other:?}"),
    }
}

fn nodes(model: &ModelTree) -> usize {
    trees(model, &[]).iter().map(|tree| tree.n_nodes).max().expect("a tree")
}

/// Returns parameters of a single tree that looks at all features.
fn one() -> Params {
    Params { n_models: 1, ..Params::default() }
}

#[test]
fn noise_alone_makes_no_split() {
    let mut model = model(Params::default());
    let rmse = learn(&mut model, &mut Stream::new(), 20_000, |x: &[f64; 10], noise| x[0] - 2.0 * x[1] + noise);
    assert_eq!(nodes(&model), 1);
    assert!(rmse < 1.02, "{rmse}");
}

#[test]
fn outliers_make_no_split() {
    let mut model = model(Params::default());
    // The fifth power of a normal number has a kurtosis of over 700.
    learn(&mut model, &mut Stream::new(), 20_000, |x: &[f64; 5], noise| x[0] + noise.powi(5));
    assert_eq!(nodes(&model), 1);
}

#[test]
fn slopes_that_differ_are_split_although_the_mean_residual_does_not() {
    let mut model = model(one());
    let rmse =
        learn(&mut model, &mut Stream::new(), 4000, |x: &[f64; 3], noise| 10.0 * x[0] * x[1].signum() + 0.1 * noise);
    // Half of the root's own error, which is 5.8; the rest is due to the distance of the bins' edges.
    assert!(rmse < 2.9, "{rmse}");
    let columns = ["a", "b", "c"].map(|name| NamedColumn::new(name, None));
    let tree = &trees(&model, &columns)[0];
    let Node::Branch(root) = &tree.root else { panic!("{tree:?}") };
    assert!(root.feature == "b" || root.feature == "a", "{root:?}");
}

#[test]
fn a_step_is_found_where_it_is() {
    let mut model = model(one());
    learn(&mut model, &mut Stream::new(), 5000, |x: &[f64; 2], noise| f64::from(x[1] > 0.2) * 5.0 + 0.1 * noise);
    let columns = ["a", "b"].map(|name| NamedColumn::new(name, None));
    let tree = &trees(&model, &columns)[0];
    let Node::Branch(root) = &tree.root else { panic!("{tree:?}") };
    let thalweg_models::describe::Test::AtMost { in_feature_unit: Some(threshold), .. } = root.test else {
        panic!("{root:?}")
    };
    assert!(root.feature == "b" && (threshold - 0.2).abs() < 0.15, "{root:?}");
}

#[test]
fn what_has_become_worse_than_its_root_is_pruned() {
    let mut model = model(one());
    let mut stream = Stream::new();
    learn(&mut model, &mut stream, 10_000, |x: &[f64; 4], noise| 5.0 * (3.0 * x[0]).sin() * x[1] + 0.1 * noise);
    assert!(nodes(&model) > 15, "{}", nodes(&model));
    let rmse = learn(&mut model, &mut stream, 6000, |x: &[f64; 4], noise| x[2] + 0.1 * noise);
    assert!(nodes(&model) < 7, "{}", nodes(&model));
    assert!(rmse < 0.2, "{rmse}");
}

#[test]
fn a_full_tree_makes_place_where_more_is_to_be_had() {
    let mut model = model(Params { max_nodes: 7, ..one() });
    let mut stream = Stream::new();
    // One half of the range takes all nodes there are; later the other half gains much more from them.
    for i in 0..30_000 {
        let (mut x, noise) = stream.next::<3>();
        x[2] = x[2].signum();
        let half = if x[2] < 0.0 { (6.0 * x[0]).sin() } else { -5.0 * x[0] };
        let more = if x[2] > 0.0 && i >= 10_000 { 5.0 * (6.0 * x[1]).sin() } else { 0.0 };
        model.learn_one(Features::new(&x), half + more + 0.1 * noise, 1.0).expect("learned");
        if i == 9999 {
            assert_eq!(nodes(&model), 7);
        }
    }
    assert_eq!(nodes(&model), 7);
    let columns = ["a", "b", "c"].map(|name| NamedColumn::new(name, None));
    assert!(divides_by(&trees(&model, &columns)[0].root, "b"));
}

fn divides_by(node: &Node, feature: &str) -> bool {
    match node {
        Node::Leaf(_) => false,
        Node::Branch(it) => it.feature == feature || it.children.iter().any(|child| divides_by(child, feature)),
    }
}

#[test]
fn trees_stay_within_their_nodes_and_depth() {
    for (max_nodes, max_depth) in [(1, 12), (2, 12), (31, 12), (62, 12), (1023, 2), (1023, 0)] {
        let mut model = model(Params { max_nodes, max_depth, n_models: 2, ..Params::default() });
        learn(&mut model, &mut Stream::new(), 10_000, |x: &[f64; 3], _| (9.0 * x[0]).sin() + (7.0 * x[1]).sin());
        for tree in trees(&model, &[]) {
            assert!(tree.n_nodes <= max_nodes as usize && tree.height <= max_depth + 1, "{tree:?}");
            let is_full = tree.n_nodes + 2 > max_nodes as usize || tree.n_active_leaves == 0;
            assert!(is_full || max_nodes == 1023, "{} of {max_nodes}", tree.n_nodes);
        }
    }
}

#[test]
fn the_unit_of_the_target_changes_nothing_but_the_unit() {
    let run = |scale: f64, offset: f64| {
        let mut model = model(Params::default());
        let f = |x: &[f64; 5], noise: f64| scale * (10.0 * (x[0] * x[1]) + 5.0 * x[2].abs() + 0.3 * noise) + offset;
        let rmse = learn(&mut model, &mut Stream::new(), 5000, f);
        (rmse / scale, nodes(&model))
    };
    let (usual, many) = run(1.0, 0.0);
    assert!(usual < 1.0 && many > 5, "{usual} {many}");
    for (scale, offset) in [(1e-6, 0.0), (1e9, 0.0), (1e-30, 0.0), (1e90, 0.0), (1.0, 1e9), (1e9, -1e12)] {
        let (rmse, nodes) = run(scale, offset);
        assert!(
            (rmse - usual).abs() < 0.1 * usual && nodes.abs_diff(many) < 20,
            "{rmse} and {nodes} at {scale}, {offset}"
        );
    }
}

#[test]
fn unknown_constant_and_collinear_features_do_no_harm() {
    let mut model = model(Params::default());
    let mut stream = Stream::new();
    let mut squares = 0.0;
    for i in 0..10_000 {
        let (mut x, noise) = stream.next::<8>();
        x[3] = x[0];
        x[4] = -2.0 * x[1] + 3.0;
        x[5] = 7.0;
        x[6] = f64::NAN;
        let y = 5.0 * x[0].abs() + 3.0 * x[1] + 0.1 * noise;
        if i % 5 == 0 {
            x[i % 3] = f64::NAN;
        }
        let prediction = model.predict_one(Features::new(&x));
        assert!(prediction.is_finite(), "{prediction} at {i}");
        if i >= 5000 && i % 5 != 0 {
            squares += (y - prediction).powi(2);
        }
        model.learn_one(Features::new(&x), y, 1.0).expect("learned");
    }
    let rmse = (squares / 4000.0).sqrt();
    assert!(rmse < 0.6, "{rmse}");
}

#[test]
fn of_many_features_those_that_matter_are_found() {
    let mut model = model(one());
    let rmse = learn(&mut model, &mut Stream::new(), 10_000, |x: &[f64; 60], noise| {
        5.0 * x[31].abs() + 5.0 * x[47] + 0.5 * noise
    });
    assert!(rmse < 1.0, "{rmse}");
    // 16 features at most have a weight.
    fn leaf(node: &Node) -> &Leaf {
        match node {
            Node::Leaf(leaf) => leaf,
            Node::Branch(branch) => leaf(&branch.children[0]),
        }
    }
    let weights = leaf(&trees(&model, &[])[0].root).model.as_ref().expect("a model").weights.len();
    assert_eq!(weights, 16);
}

#[test]
fn a_saved_forest_goes_on_with_the_same_bits_across_splits_and_pruning() {
    let kind = ModelKind::ModelTree(Params { max_nodes: 15, ..Params::default() });
    let (mut straight, mut stopped) = (Model::new(&kind), Model::new(&kind));
    let mut stream = Stream::new();
    for i in 0..6000 {
        let (x, noise) = stream.next::<20>();
        let signal = if i < 3000 { 5.0 * x[17].abs() + x[2] * x[3] } else { -5.0 * x[4].abs() };
        let (x, y) = (Features::new(&x), signal + 0.1 * noise);
        if i % 97 == 0 {
            stopped = rmp_serde::from_slice(&rmp_serde::to_vec_named(&stopped).expect("saved")).expect("restored");
            stopped.check().expect("sound");
            assert_eq!(straight.memory_bytes(), stopped.memory_bytes(), "at {i}");
        }
        assert_eq!(straight.predict_one(x).to_bits(), stopped.predict_one(x).to_bits(), "at {i}");
        straight.learn_one(x, y, 1.0).expect("learned");
        stopped.learn_one(x, y, 1.0).expect("learned");
    }
}

#[test]
fn a_described_leaf_predicts_what_the_model_does() {
    let mut model = model(one());
    let mut stream = Stream::new();
    learn(&mut model, &mut stream, 3000, |x: &[f64; 2], noise| 4.0 * x[0].abs() + x[1] + 100.0 + 0.1 * noise);
    let tree = &trees(&model, &[])[0];
    // The mean of both features, as far as the standardised ones have mean 0.
    let mut node = &tree.root;
    let x = [0.0, 0.0];
    while let Node::Branch(branch) = node {
        let thalweg_models::describe::Test::AtMost { threshold, .. } = branch.test else { panic!("{branch:?}") };
        node = &branch.children[usize::from(0.0 > threshold)];
    }
    let Node::Leaf(leaf) = node else { panic!("{node:?}") };
    let prediction = model.predict_one(Features::new(&x));
    assert!((leaf.mean - prediction).abs() < 0.2, "{} {prediction}", leaf.mean);
}
