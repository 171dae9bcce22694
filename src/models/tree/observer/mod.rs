//! The observers of a leaf, which summarise its features to find splits: one per column, by the feature's kind.
//!
//! Invariant: every value is finite and every target within the tree's bounds before it comes here, so no sum can
//! overflow. Observers propose, they never decide.

mod ebst;
mod nominal;
mod qo;
mod round;
mod shortcut;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Features;
use thalweg_metrics::statistics::Var;

use self::{ebst::Ebst, nominal::Nominal, qo::Quantized};
use super::{
    params::Splitter,
    split::{Candidate, Criterion},
    subspace::Subspace,
};
use thalweg_metrics::checked;

/// The observers of a leaf, for the columns that it looks at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Observers {
    /// Number of columns for which it is decided whether they are observed.
    decided: u32,
    /// Observers by ascending columns. Copies share them until either changes: when a tree is copied while it learns,
    /// as for a checkpoint, only leaves that samples reach meanwhile are really copied.
    watched: Arc<[Watched]>,
}

checked!(Observers { decided, watched } then fits);

impl Observers {
    fn fits(&self) -> Result<(), &'static str> {
        let ascend = self.watched.is_sorted_by(|a, b| a.column < b.column);
        let decided = self.watched.last().is_none_or(|last| last.column < self.decided);
        if ascend && decided { Ok(()) } else { Err("the columns that a leaf looks at do not ascend") }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Watched {
    column: u32,
    observer: Observer,
}

checked!(Watched { column, observer });

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
enum Observer {
    /// No value has come yet.
    #[default]
    Waiting,
    /// A feature that has proven hopeless.
    Disabled,
    Ebst(Ebst),
    Quantized(Quantized),
    Nominal(Nominal),
}

checked!(
    enum Observer {
        Waiting,
        Disabled,
        Ebst(tree),
        Quantized(slots),
        Nominal(nominal),
    }
);

/// Buffers for the walks through search trees, so that attempts do not allocate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    steps: Vec<ebst::Step>,
    frames: Vec<ebst::Frame>,
    below: Vec<Var>,
}

/// Largest number of bytes that one sample adds to an observer.
pub(super) const MAX_NODE_BYTES: usize = {
    let (tree, slot) = (size_of::<ebst::Node>(), size_of::<qo::Slot>());
    if tree > slot { tree } else { slot }
};

impl Observers {
    /// Adds the known features of a sample; `subspace` draws the columns to observe among new ones.
    #[inline]
    pub(crate) fn update(
        &mut self,
        x: Features<'_>,
        y: f64,
        weight: f64,
        splitter: Splitter,
        subspace: Option<&mut Subspace>,
    ) {
        if (self.decided as usize) < x.len() {
            self.grow(x.len(), subspace);
        }
        for Watched { column, observer } in Arc::make_mut(&mut self.watched) {
            let Some(value) = x.values().get(*column as usize).copied().filter(|value| value.is_finite()) else {
                continue;
            };
            if matches!(observer, Observer::Waiting) {
                *observer = Observer::new(x.is_nominal(*column as usize), splitter);
            }
            observer.update(value, y, weight, splitter);
        }
    }

    #[cold]
    fn grow(&mut self, d: usize, subspace: Option<&mut Subspace>) {
        let new = self.decided as usize..d;
        let mut columns = match subspace {
            None => new.collect(),
            Some(subspace) => subspace.draw(self.watched.len(), new),
        };
        columns.sort_unstable();
        let watched = |column| Watched { column: column as u32, observer: Observer::Waiting };
        let known = Arc::make_mut(&mut self.watched).iter_mut().map(std::mem::take);
        self.watched = known.chain(columns.into_iter().map(watched)).collect();
        self.decided = d as u32;
    }

    /// Fills `out` with the best split on each feature that has one, in the order of the columns. With `binary`,
    /// categories are only split one against the rest.
    pub(crate) fn propose(&self, criterion: &Criterion, binary: bool, scratch: &mut Scratch, out: &mut Vec<Candidate>) {
        out.clear();
        for Watched { column, observer } in &*self.watched {
            let best = match observer {
                Observer::Waiting | Observer::Disabled => None,
                Observer::Ebst(tree) => tree.best_split(criterion, scratch),
                Observer::Quantized(slots) => slots.best_split(criterion),
                Observer::Nominal(nominal) => nominal.best_split(criterion, binary),
            };
            out.extend(best.map(|(merit, parts)| Candidate { feature: *column as usize, merit, parts }));
        }
    }

    /// Drops hopeless thresholds: those below `floor`, relative to the best merit.
    pub(super) fn prune(&mut self, criterion: &Criterion, best_merit: f64, floor: f64, scratch: &mut Scratch) {
        for Watched { observer, .. } in Arc::make_mut(&mut self.watched) {
            if let Observer::Ebst(tree) = observer {
                tree.prune(criterion, best_merit, floor, scratch);
            }
        }
    }

    /// Stops observing a feature in this leaf, for good.
    pub(super) fn disable(&mut self, feature: usize) {
        if let Ok(at) = self.watched.binary_search_by_key(&feature, |watched| watched.column as usize) {
            Arc::make_mut(&mut self.watched)[at].observer = Observer::Disabled;
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let observers = self.watched.iter().map(|watched| match &watched.observer {
            Observer::Waiting | Observer::Disabled => 0,
            Observer::Ebst(tree) => tree.heap_bytes(),
            Observer::Quantized(slots) => slots.heap_bytes(),
            Observer::Nominal(nominal) => nominal.heap_bytes(),
        });
        // An `Arc` has two counts beside the list.
        let counts = if self.watched.is_empty() { 0 } else { 2 * size_of::<usize>() };
        counts + size_of_val(&*self.watched) + observers.sum::<usize>()
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
