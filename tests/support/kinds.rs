//! Every kind of model, for the suites that hold all of them to something.
//!
//! A kind that is missing here does not compile: [`every_kind`] matches the closed set.

use thalweg::models::{
    ModelKind, linear,
    loss::Loss,
    optimizer::{Optimizer, Schedule},
    passive_aggressive::{self, Mode},
    rls,
    tree::{self, LeafPrediction, Splitter},
};

/// Every kind, in the forms that run different code.
pub fn every_kind() -> Vec<ModelKind> {
    let linear = |optimizer| ModelKind::Linear(linear::Params { optimizer, ..Default::default() });
    let lossy = |loss| ModelKind::Linear(linear::Params { loss, ..Default::default() });
    let tree = |leaf_prediction, splitter| {
        ModelKind::HoeffdingTree(tree::Params { leaf_prediction, splitter, ..Default::default() })
    };
    let aggressive = |mode| ModelKind::PassiveAggressive(passive_aggressive::Params { mode, ..Default::default() });
    let lr = Schedule::Constant { lr: 0.01 };
    let (beta_1, beta_2, eps) = (0.9, 0.999, 1e-8);
    let kinds = vec![
        ModelKind::Mean,
        ModelKind::Last,
        linear(Optimizer::default()),
        linear(Optimizer::Momentum { lr, rho: 0.9 }),
        linear(Optimizer::Nesterov { lr, rho: 0.9 }),
        linear(Optimizer::AdaGrad { lr, eps }),
        linear(Optimizer::RmsProp { lr, rho: 0.9, eps }),
        linear(Optimizer::Adam { lr, beta_1, beta_2, eps }),
        linear(Optimizer::AmsGrad { lr, beta_1, beta_2, eps, correct_bias: true }),
        linear(Optimizer::AdaMax { lr, beta_1, beta_2, eps }),
        linear(Optimizer::Nadam { lr, beta_1, beta_2, eps }),
        linear(Optimizer::AdaDelta { rho: 0.95, eps }),
        linear(Optimizer::Ftrl { alpha: 0.05, beta: 1.0, l1: 0.1, l2: 1.0 }),
        lossy(Loss::Absolute),
        lossy(Loss::EpsilonInsensitive { epsilon: 0.1 }),
        ModelKind::Linear(linear::Params { l1: 0.001, ..Default::default() }),
        ModelKind::Linear(linear::Params { l2: 0.001, ..Default::default() }),
        aggressive(Mode::Pa),
        aggressive(Mode::PaI),
        aggressive(Mode::PaII),
        ModelKind::Rls(rls::Params::default()),
        ModelKind::Rls(rls::Params { forgetting: 0.9, regularization: 0.01 }),
        tree(LeafPrediction::Mean, Splitter::Ebst),
        tree(LeafPrediction::Model, Splitter::Tebst { digits: 1 }),
        tree(LeafPrediction::Adaptive, Splitter::Qo { radius: 0.1 }),
    ];
    // A new kind has to be added above, too.
    for kind in &kinds {
        match kind {
            ModelKind::Mean
            | ModelKind::Last
            | ModelKind::Linear(_)
            | ModelKind::PassiveAggressive(_)
            | ModelKind::Rls(_)
            | ModelKind::HoeffdingTree(_) => {}
        }
    }
    kinds
}
