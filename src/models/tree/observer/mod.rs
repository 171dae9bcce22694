//! What a leaf remembers of each feature in search of a split: an observer per column, by the feature's kind.
//!
//! Invariant: every value is finite and every target within the tree's bounds before it comes here, so no sum can
//! overflow. Observers propose, they never decide.

mod ebst;
mod nominal;
mod qo;
mod round;
mod shortcut;

use serde::{Deserialize, Serialize};

use crate::{metrics::statistics::Var, models::Features};

use self::{ebst::Ebst, nominal::Nominal, qo::Quantized};
use super::{
    params::Splitter,
    split::{Candidate, Criterion},
    subspace::Subspace,
};

/// The observers of a leaf, by column.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::models) struct Observers {
    columns: Vec<Observer>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
enum Observer {
    /// No value has come.
    #[default]
    Waiting,
    /// A feature that has proven hopeless.
    Disabled,
    Ebst(Ebst),
    Quantized(Quantized),
    Nominal(Nominal),
}

/// Room for the walks through trees and the candidates of an attempt, so that attempts do not allocate.
#[derive(Clone, Debug, Default)]
pub(in crate::models) struct Scratch {
    steps: Vec<ebst::Step>,
    frames: Vec<ebst::Frame>,
    below: Vec<Var>,
}

/// The most that one sample adds to what an observer remembers, in bytes.
pub(super) const LARGEST_NODE: usize = {
    let (tree, slot) = (size_of::<ebst::Node>(), size_of::<qo::Slot>());
    if tree > slot { tree } else { slot }
};

impl Observers {
    /// Takes in the known features of a sample; of columns that are new, `subspace` says which are looked at.
    #[inline]
    pub(in crate::models) fn update(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        splitter: Splitter,
        subspace: Option<&mut Subspace>,
    ) {
        if self.columns.len() < x.len() {
            self.grow(x.len(), subspace);
        }
        for (i, (observer, &value)) in self.columns.iter_mut().zip(x.values()).enumerate() {
            if !value.is_finite() {
                continue;
            }
            if matches!(observer, Observer::Waiting) {
                *observer = Observer::new(x.is_nominal(i), splitter);
            }
            observer.update(value, y, weight, splitter);
        }
    }

    #[cold]
    fn grow(&mut self, d: usize, subspace: Option<&mut Subspace>) {
        let before = self.columns.len();
        self.columns.resize(d, Observer::Waiting);
        if let Some(subspace) = subspace {
            let looked_at = self.columns[..before].iter().filter(|observer| !matches!(observer, Observer::Disabled));
            let chosen = subspace.draw(looked_at.count(), before..d);
            for (column, observer) in self.columns.iter_mut().enumerate().skip(before) {
                if !chosen.contains(&column) {
                    *observer = Observer::Disabled;
                }
            }
        }
    }

    /// The best split on each feature that has one, in the order of the columns. With `binary`, categories are split
    /// one against the rest only.
    pub(in crate::models) fn propose(
        &self,
        criterion: &Criterion,
        binary: bool,
        scratch: &mut Scratch,
        out: &mut Vec<Candidate>,
    ) {
        out.clear();
        for (feature, observer) in self.columns.iter().enumerate() {
            let best = match observer {
                Observer::Waiting | Observer::Disabled => None,
                Observer::Ebst(tree) => tree.best_split(criterion, scratch),
                Observer::Quantized(slots) => slots.best_split(criterion),
                Observer::Nominal(nominal) => nominal.best_split(criterion, binary),
            };
            out.extend(best.map(|(merit, parts)| Candidate { feature, merit, parts }));
        }
    }

    /// Drops hopeless thresholds: those below `floor`, relative to the best merit.
    pub(super) fn prune(&mut self, criterion: &Criterion, best_merit: f64, floor: f64, scratch: &mut Scratch) {
        for observer in &mut self.columns {
            if let Observer::Ebst(tree) = observer {
                tree.prune(criterion, best_merit, floor, scratch);
            }
        }
    }

    /// Stops observing a feature in this leaf, for good.
    pub(super) fn disable(&mut self, feature: usize) {
        if let Some(observer) = self.columns.get_mut(feature) {
            *observer = Observer::Disabled;
        }
    }

    pub(in crate::models) fn heap_bytes(&self) -> usize {
        let columns = self.columns.iter().map(|observer| match observer {
            Observer::Waiting | Observer::Disabled => 0,
            Observer::Ebst(tree) => tree.heap_bytes(),
            Observer::Quantized(slots) => slots.heap_bytes(),
            Observer::Nominal(nominal) => nominal.heap_bytes(),
        });
        size_of_val(self.columns.as_slice()) + columns.sum::<usize>()
    }

    pub(in crate::models) fn is_sound(&self) -> bool {
        self.columns.iter().all(|observer| match observer {
            Observer::Waiting | Observer::Disabled => true,
            Observer::Ebst(tree) => tree.is_sound(),
            Observer::Quantized(slots) => slots.is_sound(),
            Observer::Nominal(nominal) => nominal.is_sound(),
        })
    }
}

impl Observer {
    fn new(nominal: bool, splitter: Splitter) -> Self {
        match splitter {
            _ if nominal => Observer::Nominal(Nominal::default()),
            Splitter::Ebst | Splitter::Tebst { .. } => Observer::Ebst(Ebst::default()),
            Splitter::Qo { .. } => Observer::Quantized(Quantized::default()),
        }
    }

    #[inline]
    fn update(&mut self, value: f64, y: f64, weight: f64, splitter: Splitter) {
        match (self, splitter) {
            (Observer::Ebst(tree), Splitter::Tebst { digits }) => match round::to_units(value, digits) {
                Some(units) => tree.update_whole(units, || round::from_units(units, digits), y, weight),
                None => tree.update(round::by_text(value, digits), y, weight),
            },
            (Observer::Ebst(tree), _) => tree.update(value, y, weight),
            (Observer::Quantized(slots), Splitter::Qo { radius }) => slots.update(value, radius, y, weight),
            (Observer::Nominal(nominal), _) => nominal.update(value, y, weight),
            // An observer is made for the tree's splitter, which never changes.
            _ => {}
        }
    }
}
