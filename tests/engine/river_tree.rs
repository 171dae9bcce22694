//! The Hoeffding tree gives River's numbers: every prediction, attempt, node and summary of its reference variants.

use std::cell::RefCell;

use crate::vectors::{Table, assert_close, deviation};
use thalweg_models::{
    Features, Model, ModelConfig, ModelKind, Pipeline, Regressor, Scratch,
    steps::StandardScaler,
    tree::{Attempt, HoeffdingTree, LeafPrediction, NodeKind, Params, Parts, Splitter, Test},
};

const TOLERANCE: f64 = 1e-9;

fn leaves(leaf_prediction: LeafPrediction) -> Params {
    Params { leaf_prediction, ..Params::default() }
}

/// Returns the variants whose every number must agree; true if a scaler stands in front.
fn variants() -> [(&'static str, Params, bool); 5] {
    let ebst = Params {
        grace_period: 400,
        delta: 0.01,
        max_depth: Some(5),
        splitter: Splitter::Ebst,
        ..leaves(LeafPrediction::Mean)
    };
    [
        ("adaptive", Params::default(), false),
        ("mean", leaves(LeafPrediction::Mean), false),
        ("model", leaves(LeafPrediction::Model), false),
        ("ss_adaptive", Params::default(), true),
        ("ebst_g400_d01_depth5", ebst, false),
    ]
}

/// Returns the Friedman stream: rows of features, and targets.
fn friedman() -> (Vec<Vec<f64>>, Vec<f64>) {
    let samples = Table::read("friedman_20000_4dp");
    assert_eq!(samples.len(), 20_000);
    let rows = 0..samples.len();
    (rows.clone().map(|row| samples.features(row, "x")).collect(), rows.map(|row| samples.number(row, "y")).collect())
}

/// Absolute errors, squared errors and targets of a run, for MAE, RMSE and R2.
#[derive(Default)]
struct Errors {
    n: f64,
    absolute: f64,
    squared: f64,
    targets: Vec<f64>,
}

impl Errors {
    fn update(&mut self, y: f64, p: f64) {
        self.n += 1.0;
        self.absolute += (y - p).abs();
        self.squared += (y - p) * (y - p);
        self.targets.push(y);
    }

    fn mae_rmse_r2(&self) -> [f64; 3] {
        let mean = self.targets.iter().sum::<f64>() / self.n;
        let total: f64 = self.targets.iter().map(|y| (y - mean) * (y - mean)).sum();
        [self.absolute / self.n, (self.squared / self.n).sqrt(), 1.0 - self.squared / total]
    }
}

fn assert_summary(tree: &HoeffdingTree, table: &Table, variant: &str) {
    let row = (0..table.len()).find(|row| table.text(*row, "variant") == variant).expect("a row of the variant");
    let count = |column| table.number(row, column) as usize;
    let summary = tree.summary();
    let got = [
        summary.n_nodes,
        summary.n_branches,
        summary.n_leaves,
        summary.n_active_leaves,
        summary.n_inactive_leaves,
        summary.height as usize,
    ];
    let columns = ["n_nodes", "n_branches", "n_leaves", "n_active_leaves", "n_inactive_leaves", "height"];
    assert_eq!(got, columns.map(count), "{variant}: {columns:?}");
}

fn assert_nodes(tree: &HoeffdingTree, table: &Table, variant: &str) {
    let mut rows = (0..table.len()).filter(|row| table.text(*row, "variant") == variant);
    for node in tree.walk() {
        let row = rows.next().unwrap_or_else(|| panic!("{variant}: more nodes than River has"));
        let path: String = node.path.iter().map(|child| if *child == 0 { 'L' } else { 'R' }).collect();
        let place = format!("{variant}, node {path}");
        assert_eq!(if path.is_empty() { "." } else { &path }, table.text(row, "path"), "{place}");
        assert_eq!(node.depth() as f64, table.number(row, "depth"), "{place}");
        match node.kind {
            NodeKind::Branch { feature, test: Test::AtMost(threshold) } => {
                assert_eq!(format!("x{feature}"), table.text(row, "feature"), "{place}");
                assert_close(threshold, table.number(row, "threshold"), TOLERANCE, &place);
            }
            NodeKind::Leaf { mean, variance, last_split_attempt_at, .. } => {
                assert_eq!(table.text(row, "kind"), "leaf", "{place}");
                assert_eq!(node.n, table.number(row, "n"), "{place}");
                assert_close(mean, table.number(row, "mean"), TOLERANCE, &place);
                assert_close(variance, table.number(row, "var"), TOLERANCE, &place);
                assert_eq!(last_split_attempt_at, table.number(row, "last_split_attempt_at"), "{place}");
            }
            NodeKind::Branch { .. } => panic!("{place}: no such branch in River"),
        }
    }
    assert!(rows.next().is_none(), "{variant}: fewer nodes than River has");
}

/// Compares an attempt with a row of the table.
fn assert_attempt(attempt: &Attempt<'_>, i: usize, table: &Table, row: usize) {
    let place = format!("{}, attempt at {i}", table.text(row, "variant"));
    assert_eq!(i as f64, table.number(row, "i"), "{place}");
    assert_eq!(f64::from(u8::from(attempt.split)), table.number(row, "did_split"), "{place}");
    assert_eq!(f64::from(attempt.depth), table.number(row, "depth"), "{place}");
    assert_eq!(attempt.weight, table.number(row, "total_weight"), "{place}");
    assert_close(attempt.bound, table.number(row, "hoeffding_bound"), TOLERANCE, &place);
    let (best, second) = (attempt.best.expect("a best split"), attempt.second.expect("a second best"));
    let Parts::Threshold { threshold, targets: [left, right] } = &best.parts else { panic!("{place}: no threshold") };
    assert_eq!(format!("x{}", best.feature), table.text(row, "best_feature"), "{place}");
    assert_close(*threshold, table.number(row, "best_threshold"), TOLERANCE, &place);
    assert_close(best.merit, table.number(row, "best_merit"), TOLERANCE, &place);
    assert_eq!(format!("x{}", second.feature), table.text(row, "second_feature"), "{place}");
    assert_close(second.merit, table.number(row, "second_merit"), TOLERANCE, &place);
    assert_eq!([left.n, right.n], [table.number(row, "n_left"), table.number(row, "n_right")], "{place}");
}

#[test]
fn every_variant_predicts_and_grows_as_river_does() {
    let (rows, targets) = friedman();
    let (predictions, summaries, nodes) =
        (Table::read("htr_pred"), Table::read("htr_summary"), Table::read("htr_nodes"));
    assert_eq!((predictions.len(), summaries.len(), nodes.len()), (20_000, 6, 530));
    for (variant, params, scale) in variants() {
        let mut pipeline = Pipeline::new(&ModelConfig::new("tree", ModelKind::HoeffdingTree(params)).scaled(scale));
        let (mut scratch, mut errors) = (Scratch::default(), Errors::default());
        let mut worst: f64 = 0.0;
        for (row, (values, y)) in rows.iter().zip(&targets).enumerate() {
            let expected = predictions.number(row, variant);
            if expected.is_nan() {
                assert_eq!((variant, row), ("ebst_g400_d01_depth5", 6000));
                break;
            }
            let x = Features::new(values);
            let got = pipeline.predict_one(x, &mut scratch);
            assert_close(got, expected, TOLERANCE, &format_args!("{variant}, row {row}"));
            worst = worst.max(deviation(got, expected));
            errors.update(*y, got);
            pipeline.learn_one(x, *y, &mut scratch).expect("learned");
        }
        println!("{variant}: worst deviation of a prediction {worst:e}");
        let Model::HoeffdingTree(tree) = pipeline.model() else { panic!("not a tree") };
        assert_summary(tree, &summaries, variant);
        assert_nodes(tree, &nodes, variant);
        let row = (0..6).find(|row| summaries.text(*row, "variant") == variant).expect("a row");
        assert_eq!(errors.n, summaries.number(row, "n_records"));
        for (got, column) in errors.mae_rmse_r2().into_iter().zip(["mae", "rmse", "r2"]) {
            assert_close(got, summaries.number(row, column), TOLERANCE, &format_args!("{variant}, {column}"));
        }
    }
}

#[test]
fn every_attempt_to_split_is_rivers() {
    let (rows, targets) = friedman();
    let table = Table::read("htr_attempts");
    assert_eq!(table.len(), 298);
    for (variant, params, scale) in variants() {
        let expected: Vec<usize> = (0..table.len()).filter(|row| table.text(*row, "variant") == variant).collect();
        // For the other variants only River's splits were recorded, not the attempts that failed.
        let failed_too = ["adaptive", "mean"].contains(&variant);
        let expected = RefCell::new(expected.into_iter());
        let (mut scaler, mut scaled) = (StandardScaler::default(), Vec::new());
        let mut tree = HoeffdingTree::new(params);
        let n = if variant.starts_with("ebst") { 6000 } else { rows.len() };
        for (i, (values, y)) in rows.iter().zip(&targets).enumerate().take(n) {
            let mut x = Features::new(values);
            if scale {
                scaler.learn_one(x);
                scaler.transform_one(x, &mut scaled);
                x = x.replaced(&scaled);
            }
            let watch = |attempt: Attempt<'_>| {
                if attempt.split || failed_too {
                    let row = expected.borrow_mut().next().unwrap_or_else(|| panic!("{variant}: one too many, at {i}"));
                    assert_attempt(&attempt, i, &table, row);
                }
            };
            tree.learn_one_watched(x, *y, 1.0, watch).expect("learned");
        }
        assert!(expected.borrow_mut().next().is_none(), "{variant}: attempts are missing");
    }
}

/// River's left child also counts the samples on the right, and its threshold lies a slot too low. So its numbers agree
/// up to the first split; from there on the corrected ones have to be nearer to the target.
#[test]
fn quantized_splits_begin_as_rivers_and_err_less() {
    let (rows, targets) = friedman();
    let predictions = Table::read("htr_pred");
    let params = Params { splitter: Splitter::Qo { radius: 0.1 }, ..leaves(LeafPrediction::Mean) };
    let mut tree = HoeffdingTree::new(params);
    let (mut ours, mut rivers) = (Errors::default(), Errors::default());
    for (row, (values, y)) in rows.iter().zip(&targets).enumerate() {
        let x = Features::new(values);
        let (got, expected) = (tree.predict_one(x), predictions.number(row, "qo_0.1_mean"));
        if tree.summary().n_nodes == 1 {
            assert_close(got, expected, TOLERANCE, &format_args!("row {row}"));
        }
        ours.update(*y, got);
        rivers.update(*y, expected);
        tree.learn_one(x, *y, 1.0).expect("learned");
    }
    let ([_, ours, _], [_, rivers, _]) = (ours.mae_rmse_r2(), rivers.mae_rmse_r2());
    println!("RMSE {ours}, River's {rivers}");
    assert!(tree.summary().n_branches > 10 && ours < 0.97 * rivers, "{ours} against {rivers}");
}

/// Returns a sample of the mixed stream: numbers in columns 0 and 1, categories in 2 and 3, any of them unknown at times.
fn mixed(table: &Table, row: usize) -> [f64; 4] {
    let category = |column, names: [&str; 3]| match table.text(row, column) {
        "" => f64::NAN,
        name => names.iter().position(|known| *known == name).expect("a category") as f64,
    };
    [
        table.number(row, "a"),
        table.number(row, "b"),
        // In the order of their names, as River tries them.
        category("c", ["blue", "green", "red"]),
        category("d", ["u", "v", ""]),
    ]
}

const MIXED: [bool; 4] = [false, false, true, true];

#[test]
fn nominal_and_absent_features_are_handled_as_river_does() {
    let (samples, summaries) = (Table::read("mixed_4000"), Table::read("mixed_summary"));
    assert_eq!((samples.len(), summaries.len()), (4000, 2));
    for (variant, binary_split) in [("multiway", false), ("binary", true)] {
        let mut tree = HoeffdingTree::new(Params { binary_split, ..leaves(LeafPrediction::Mean) });
        let mut worst: f64 = 0.0;
        for row in 0..samples.len() {
            let values = mixed(&samples, row);
            let x = Features::with_nominal(&values, &MIXED);
            let (got, expected) = (tree.predict_one(x), samples.number(row, &format!("pred_{variant}")));
            assert_close(got, expected, TOLERANCE, &format_args!("{variant}, row {row}"));
            worst = worst.max(deviation(got, expected));
            tree.learn_one(x, samples.number(row, "y"), 1.0).expect("learned");
        }
        println!("{variant}: worst deviation of a prediction {worst:e}");
        assert_summary(&tree, &summaries, variant);
    }
}
