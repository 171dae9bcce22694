//! The byte budget of a tree: it holds, and the least promising leaves are deactivated first.

use thalweg_generator::{Config, Function, Stream};
use thalweg_models::{
    Features, Model, ModelKind, Regressor, forest,
    tree::{self, HoeffdingTree, LeafPrediction, NodeKind, Params, Splitter, adaptive},
};

fn stream() -> Stream {
    let function = Function::from_name("friedman_drift").expect("a function");
    Stream::new(&Config { function, ..Config::default() }).expect("a stream")
}

fn small(max_bytes: usize) -> Params {
    Params { max_bytes, grace_period: 50, delta: 0.05, ..Params::default() }
}

#[test]
fn no_kind_of_tree_exceeds_its_budget_by_more_than_what_is_not_of_its_nodes() {
    const BUDGET: usize = 200_000;
    let kinds = [
        ("tree", ModelKind::HoeffdingTree(small(BUDGET)), BUDGET),
        ("exact", ModelKind::HoeffdingTree(Params { splitter: Splitter::Ebst, ..small(BUDGET) }), BUDGET),
        (
            "slots",
            ModelKind::HoeffdingTree(Params { splitter: Splitter::Qo { radius: 0.01 }, ..small(BUDGET) }),
            BUDGET,
        ),
        (
            "adaptive",
            ModelKind::AdaptiveTree(Box::new(adaptive::Params { tree: small(BUDGET), ..Default::default() })),
            BUDGET,
        ),
        (
            "forest",
            ModelKind::AdaptiveRandomForest(Box::new(forest::Params {
                tree: small(10 * BUDGET),
                ..Default::default()
            })),
            10 * BUDGET,
        ),
    ];
    for (name, kind, budget) in kinds {
        let mut model = Model::new(&kind);
        let (mut stream, mut x, mut most) = (stream(), Vec::new(), 0);
        let n = if name == "forest" { 10_000 } else { 40_000 };
        for i in 0..n {
            let y = stream.next_sample(&mut x);
            model.learn_one(Features::new(&x), y, 1.0).expect("learned");
            if i % 50 == 0 {
                most = most.max(model.memory_bytes());
            }
        }
        println!("{name}: {most} of {budget}");
        // The struct itself, and monitors that began since the last check.
        assert!(most < budget + budget / 20, "{name}: {most} of {budget}");
        if name != "forest" {
            assert!(most > budget / 2, "{name}: {most} of {budget}");
        }
    }
}

#[test]
fn a_budget_for_nothing_leaves_a_tree_that_still_learns() {
    let mut tree = HoeffdingTree::new(Params { leaf_prediction: LeafPrediction::Model, ..small(1) });
    let (mut stream, mut x) = (stream(), Vec::new());
    let (mut early, mut late) = (0.0, 0.0);
    for i in 0..5000 {
        let y = stream.next_sample(&mut x);
        let error = y - tree.predict_one(Features::new(&x));
        *(if i < 500 { &mut early } else { &mut late }) += error * error;
        tree.learn_one(Features::new(&x), y, 1.0).expect("learned");
    }
    let summary = tree.summary();
    assert_eq!((summary.n_nodes, summary.n_active_leaves), (1, 0), "{summary:?}");
    assert!(late / 4500.0 < early / 500.0, "{late} {early}");
}

#[test]
fn the_leaves_that_stop_observing_are_those_with_the_least_error_to_gain() {
    let mut tree = HoeffdingTree::new(Params { leaf_prediction: LeafPrediction::Mean, ..small(150_000) });
    let (mut stream, mut x) = (stream(), Vec::new());
    // Until some leaf has stopped: the order of leaves is then that of the decision.
    while tree.summary().n_inactive_leaves == 0 {
        let y = stream.next_sample(&mut x);
        tree.learn_one(Features::new(&x), y, 1.0).expect("learned");
    }
    let (mut least_active, mut most_inactive) = (f64::MAX, 0.0_f64);
    for node in tree.walk() {
        if let NodeKind::Leaf { variance, active, .. } = node.kind {
            let squares = variance * (node.n - 1.0);
            match active {
                true => least_active = least_active.min(squares),
                false => most_inactive = most_inactive.max(squares),
            }
        }
    }
    assert!(tree.summary().n_active_leaves > 0);
    assert!(most_inactive <= least_active, "{most_inactive} {least_active}");
}

#[test]
fn a_tree_at_its_budget_goes_on_after_a_restart_as_if_there_had_been_none() {
    for splitter in [Splitter::Tebst { digits: 2 }, Splitter::Qo { radius: 0.05 }] {
        let mut straight = HoeffdingTree::new(Params { splitter, ..small(150_000) });
        let mut stopped = straight.clone();
        let (mut stream, mut x) = (stream(), Vec::new());
        for i in 0..20_000 {
            let y = stream.next_sample(&mut x);
            let predictions = [&straight, &stopped].map(|tree| tree.predict_one(Features::new(&x)).to_bits());
            assert_eq!(predictions[0], predictions[1], "at {i}");
            straight.learn_one(Features::new(&x), y, 1.0).expect("learned");
            stopped.learn_one(Features::new(&x), y, 1.0).expect("learned");
            assert_eq!(straight.memory_bytes(), stopped.memory_bytes(), "at {i}");
            if i % 997 == 0 {
                let bytes = rmp_serde::to_vec_named(&stopped).expect("saved");
                stopped = thalweg_state::read::<tree::HoeffdingTree>(&bytes).expect("restored");
            }
        }
        assert!(straight.summary().n_inactive_leaves > 0);
    }
}
