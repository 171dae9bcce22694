//! Weights by which members are averaged.

use serde::{Deserialize, Serialize};

use crate::compact_vec::lengthen;
use thalweg_metrics::checked;

/// One weight per member, ≥ 0, summing to 1; empty before anything was learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Weights(Vec<f64>);

checked!(Weights(weights));

impl Weights {
    pub(super) fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The weighted mean of those members that are finite; the plain mean where none of these has a weight, 0 where there
    /// are none.
    pub(super) fn mean(&self, members: &[f64]) -> f64 {
        let finite = || members.iter().filter(|member| member.is_finite());
        // As a sum of deviations from one of them, so that a shift of all is a shift of the mean.
        let Some(&origin) = finite().next() else { return 0.0 };
        let weighted = self.0.iter().zip(members).filter(|(_, member)| member.is_finite());
        let (mut sum, mut total) = (0.0, 0.0);
        for (weight, member) in weighted {
            sum += weight * (member - origin);
            total += weight;
        }
        // Also false of NaN.
        let mean = origin + sum / total;
        if total > 0.0 && mean.is_finite() {
            return mean;
        }
        let mut n = 0.0;
        finite().fold(0.0, |mean, member| {
            n += 1.0;
            // In two parts, because a difference may overflow.
            mean + (member / n - mean / n)
        })
    }

    /// Takes new weights, each ≥ 0, in proportion to `of` a member's index and its weight until now, 0 of a new one; all the
    /// same where they sum to nothing sound.
    pub(super) fn set(&mut self, members: usize, of: impl Fn(usize, f64) -> f64) {
        fit(&mut self.0, members, 0.0);
        let mut total = 0.0;
        for (i, weight) in self.0.iter_mut().enumerate() {
            *weight = of(i, *weight);
            total += *weight;
        }
        let sound = total > 0.0 && total.is_finite();
        let even = 1.0 / self.0.len() as f64;
        self.0.iter_mut().for_each(|weight| *weight = if sound { *weight / total } else { even });
    }
}

/// A list of one element per member, which can be of another length only where a state file was damaged.
pub(super) fn fit<T: Clone>(list: &mut Vec<T>, members: usize, newcomer: T) {
    list.truncate(members);
    lengthen(list, members, newcomer);
}
