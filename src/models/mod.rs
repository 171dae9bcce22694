//! The learning engine: online regression models behind one seam.
//!
//! Reading order: [`features`] (what a model sees), [`fence`] (values too absurd to be learned), [`Regressor`] (what a
//! model does), then a file or folder per family; [`ModelKind`] (the closed set), [`Model`] (one of them), [`Pipeline`]
//! (feature steps in front of a model), [`describe`] (a model as a person sees it), [`explain`] (which features matter
//! to it).
//!
//! Invariant: nothing here knows a runtime, a transport, a clock or entropy. The same settings and the same samples
//! give the same bits on every run; a model whose state could become non-finite refuses the sample instead.
//! This file only says where things are: a family's file depends on [`Regressor`], the closed set on the families.
//! To add a model: CONTRIBUTING.md.

pub mod aggregation;
mod baseline;
mod bootstrap;
pub mod champion;
mod collinear;
mod compact_vec;
pub mod describe;
pub mod ekf_mlp;
pub mod explain;
pub mod features;
pub mod fence;
pub mod forest;
pub mod innovation;
pub mod keyed;
mod kind;
mod least_squares;
pub mod linear;
pub mod loss;
pub mod mixture;
mod model;
pub mod model_tree;
pub mod optimizer;
pub mod passive_aggressive;
pub mod per_key;
mod pipeline;
mod regressor;
pub mod rls;
pub mod rls_poly;
pub mod rules;
mod sample_window;
pub mod steps;
pub mod tree;

pub use baseline::{Last, Mean};
pub use describe::{Description, NamedColumn};
pub use features::Features;
pub use fence::{Fence, Outlier};
pub use kind::{DefaultSteps, ModelConfig, ModelKind};
pub use model::Model;
pub use pipeline::{Pipeline, Scratch};
pub use regressor::{Refused, Regressor};
pub use sample_window::SampleWindow;
