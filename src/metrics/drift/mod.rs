//! Detectors of change in a stream of numbers, such as a model's errors.
//!
//! Reading order: [`Detector`] (the closed set behind one method), then a file per detector, then [`ErrorWatch`] (tells
//! a rise of errors from a fall).
//!
//! Invariant: a value that is not finite is skipped, so that no detector goes blind. After a detection the next value
//! restarts it. Memory is bounded: logarithmic in the window for ADWIN, the window for KSWIN, constant otherwise.

mod adwin;
mod cusum;
mod kswin;
mod page_hinkley;
mod watch;

use serde::{Deserialize, Serialize};

use crate::checked;

pub use adwin::{Adwin, AdwinParams};
pub use cusum::{Cusum, CusumParams};
pub use kswin::{Kswin, KswinParams};
pub use page_hinkley::{Mode, PageHinkley, PageHinkleyParams};
pub use watch::{Change, ErrorWatch};

/// A kind of detector with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum DetectorKind {
    /// See [`Adwin`].
    Adwin(AdwinParams),
    /// See [`PageHinkley`].
    PageHinkley(PageHinkleyParams),
    /// See [`Kswin`].
    Kswin(KswinParams),
    /// See [`Cusum`].
    Cusum(CusumParams),
}

checked!(
    enum DetectorKind {
        Adwin(params),
        PageHinkley(params),
        Kswin(params),
        Cusum(params),
    }
);

impl DetectorKind {
    /// Returns the name in `drift = "…"`.
    pub fn name(&self) -> &'static str {
        match self {
            DetectorKind::Adwin(_) => "adwin",
            DetectorKind::PageHinkley(_) => "page_hinkley",
            DetectorKind::Kswin(_) => "kswin",
            DetectorKind::Cusum(_) => "cusum",
        }
    }
}

impl Default for DetectorKind {
    fn default() -> Self {
        DetectorKind::Adwin(AdwinParams::default())
    }
}

/// A change that a detector saw: means of the values that it watches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    /// Mean before the change.
    pub before: f64,
    /// Mean since then; `None` if the detector keeps no window of the latest values.
    pub after: Option<f64>,
}

/// A detector with what it has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Detector {
    /// See [`Adwin`].
    Adwin(Adwin),
    /// See [`PageHinkley`].
    PageHinkley(PageHinkley),
    /// See [`Kswin`].
    Kswin(Box<Kswin>),
    /// See [`Cusum`].
    Cusum(Cusum),
}

checked!(
    enum Detector {
        Adwin(detector),
        PageHinkley(detector),
        Kswin(detector),
        Cusum(detector),
    }
);

impl Detector {
    /// Makes a detector that has seen nothing.
    pub fn new(kind: DetectorKind) -> Self {
        match kind {
            DetectorKind::Adwin(params) => Detector::Adwin(Adwin::new(params)),
            DetectorKind::PageHinkley(params) => Detector::PageHinkley(PageHinkley::new(params)),
            DetectorKind::Kswin(params) => Detector::Kswin(Box::new(Kswin::new(params))),
            DetectorKind::Cusum(params) => Detector::Cusum(Cusum::new(params)),
        }
    }

    /// Takes the next value; returns true if the stream has changed.
    #[inline]
    pub fn update(&mut self, value: f64) -> bool {
        match self {
            Detector::Adwin(detector) => detector.update(value),
            Detector::PageHinkley(detector) => detector.update(value),
            Detector::Kswin(detector) => detector.update(value),
            Detector::Cusum(detector) => detector.update(value),
        }
    }

    /// Takes the next error, in the target's unit; returns the shift of the squared error, if there is one. As
    /// [`Detector::update`] with its square, except for CUSUM, which squares by itself.
    #[inline]
    pub fn watch_square(&mut self, error: f64) -> Option<Shift> {
        let value = error * error;
        match self {
            Detector::Adwin(detector) => {
                let (n, total) = (detector.width() as f64 + 1.0, detector.total() + value);
                // Values that have left the window are from before the change.
                detector.update(value).then(|| {
                    let before = (total - detector.total()) / (n - detector.width() as f64).max(1.0);
                    Shift { before: before.max(0.0), after: Some(detector.estimation()) }
                })
            }
            Detector::PageHinkley(detector) => {
                let [before, ..] = detector.state();
                detector.update(value).then_some(Shift { before, after: None })
            }
            Detector::Kswin(detector) => detector.update(value).then(|| {
                let [before, after] = detector.means();
                Shift { before, after: Some(after) }
            }),
            Detector::Cusum(detector) => {
                let before = detector.usual();
                detector.update(error).then_some(Shift { before, after: None })
            }
        }
    }

    /// Returns the bytes on the heap, within a fifth.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Detector::Adwin(detector) => detector.heap_bytes(),
            Detector::Kswin(detector) => size_of::<Kswin>() + detector.heap_bytes(),
            Detector::PageHinkley(_) | Detector::Cusum(_) => 0,
        }
    }
}
