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

    /// Returns the weighted mean of the finite members; their plain mean if none of them has a weight, 0 if there are
    /// none.
    pub(super) fn mean(&self, members: &[f64]) -> f64 {
        let finite = || members.iter().filter(|member| member.is_finite());
        // Sums deviations from one of them, so that shifting all shifts the mean by as much.
        let Some(&origin) = finite().next() else { return 0.0 };
        let weighted = self.0.iter().zip(members).filter(|(_, member)| member.is_finite());
        let (mut sum, mut total) = (0.0, 0.0);
        for (weight, member) in weighted {
            sum += weight * (member - origin);
            total += weight;
        }
        // False for NaN, too.
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

    /// Sets weights in proportion to `weigh(index, current weight)`, which is ≥ 0; new members have a current weight of
    /// 0. All are equal if the sum is 0 or not finite.
    pub(super) fn set(&mut self, members: usize, weigh: impl Fn(usize, f64) -> f64) {
        resize(&mut self.0, members, 0.0);
        let mut total = 0.0;
        for (i, weight) in self.0.iter_mut().enumerate() {
            *weight = weigh(i, *weight);
            total += *weight;
        }
        let sound = total > 0.0 && total.is_finite();
        let even = 1.0 / self.0.len() as f64;
        self.0.iter_mut().for_each(|weight| *weight = if sound { *weight / total } else { even });
    }
}

/// Resizes a list of one element per member. It shrinks only if the state was damaged.
pub(super) fn resize<T: Clone>(list: &mut Vec<T>, members: usize, newcomer: T) {
    list.truncate(members);
    lengthen(list, members, newcomer);
}
