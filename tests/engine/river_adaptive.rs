//! The Hoeffding adaptive tree gives River's numbers until its first alternate begins.

use crate::vectors::{Table, assert_close};
use thalweg_models::{
    Features, Regressor,
    tree::adaptive::{AdaptiveTree, Params},
};

/// River's alternates take part in predictions from their first sample on, and replace their branch at their first split,
/// untested. So its rows differ from ours from the first alternate on (row 3,096). On this stream, whose two changes make
/// everything learned useless, that is no drawback: both err the same, within 1 %. On the reference streams the test pays.
#[test]
fn every_prediction_is_rivers_until_an_alternate_begins_and_as_good_from_there_on() {
    let (samples, summaries) = (Table::read("hatr_8000_4dp"), Table::read("hatr_summary"));
    assert_eq!((samples.len(), summaries.len()), (8000, 16));
    let mut tree = AdaptiveTree::new(Params { bootstrap_sampling: false, ..Params::default() });
    let (mut same, mut ours, mut rivers) = (0, 0.0, 0.0);
    for row in 0..samples.len() {
        let (values, y) = (samples.features(row, "x"), samples.number(row, "y"));
        let (got, expected) = (tree.predict_one(Features::new(&values)), samples.number(row, "pred"));
        if tree.counts().alternates == 0 {
            assert_close(got, expected, 1e-9, &format_args!("row {row}"));
            same += 1;
        } else {
            ours += (y - got) * (y - got);
            rivers += (y - expected) * (y - expected);
        }
        tree.learn_one(Features::new(&values), y, 1.0).expect("learned");
        if tree.counts().alternates == 0 && (row + 1) % 500 == 0 {
            let summary = tree.summary();
            let line = (0..16).find(|line| summaries.number(*line, "i") == row as f64).expect("a summary");
            let sizes = [summary.n_nodes, summary.n_leaves, summary.n_active_leaves, summary.height as usize];
            let expected = ["n_nodes", "n_leaves", "n_active_leaves", "height"];
            assert_eq!(sizes, expected.map(|column| summaries.number(line, column) as usize), "row {row}");
        }
    }
    let counts = tree.counts();
    println!("{same} rows the same, then mean squared errors {ours} against {rivers}; {counts:?}");
    assert!(same > 3000, "{same}");
    assert!(ours < 1.01 * rivers, "{ours} against {rivers}");
    assert!(counts.switched > 0 && counts.alternates >= counts.switched + counts.pruned, "{counts:?}");
}
