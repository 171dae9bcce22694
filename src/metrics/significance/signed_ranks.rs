//! Compares paired losses by their ranks, which a few huge losses cannot hide.

/// Wilcoxon's signed ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRanks {
    /// Sum of the ranks where the first is larger, less that where the second is; its sign says which is larger.
    pub balance: f64,
    /// Chance of a balance at least as far from 0 if there were no difference, 0 to 1.
    pub p: f64,
}

/// Minimum number of pairs, so that there are enough orders for a small p.
pub const MIN_PAIRS: usize = 8;

/// Maximum number of pairs: all orders are counted.
const MAX_PAIRS: usize = 64;

/// The signed-rank test (Wilcoxon 1945), exact also where ranks are tied, of how unequal the losses of each pair are:
/// (a − b) / (a + b), which grows with their ratio and is in −1 … 1. If the two are alike, which of a pair is larger is a
/// matter of chance, however heavy their tails and however large some pairs are: so the level is kept where a t-test has no
/// power, since a few pairs hold all of the losses.
///
/// Losses are 0 or more. `None` for fewer than [`MIN_PAIRS`] or more than 64 pairs, and where a loss is no finite number.
pub fn signed_ranks(a: &[f64], b: &[f64]) -> Option<SignedRanks> {
    let n = a.len().min(b.len());
    if !(MIN_PAIRS..=MAX_PAIRS).contains(&n) || a.iter().chain(b).any(|loss| !loss.is_finite()) {
        return None;
    }
    // Halves, since a sum may overflow where its parts do not. Equal pairs say nothing.
    let unequal = a.iter().zip(b).map(|(a, b)| (0.5 * a - 0.5 * b) / (0.5 * a + 0.5 * b).max(f64::MIN_POSITIVE));
    let mut unequal: Vec<f64> = unequal.filter(|it| *it != 0.0).collect();
    if unequal.is_empty() {
        return Some(SignedRanks { balance: 0.0, p: 1.0 });
    }
    unequal.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let doubled = doubled_ranks(&unequal);
    let total: usize = doubled.iter().sum();
    let larger: usize = unequal.iter().zip(&doubled).filter(|(it, _)| **it > 0.0).map(|(_, rank)| rank).sum();
    // The number of the 2ⁿ ways to choose signs that give each sum of ranks.
    let mut ways = vec![0.0; total + 1];
    ways[0] = 1.0;
    for rank in &doubled {
        for sum in (*rank..=total).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let tail = larger.min(total - larger);
    let p = 2.0 * ways[..=tail].iter().sum::<f64>() / ways.iter().sum::<f64>();
    Some(SignedRanks { balance: larger as f64 - total as f64 / 2.0, p: p.min(1.0) })
}

/// Twice the rank of each by size, the smallest first; equals share the mean of theirs, which is a whole number so.
fn doubled_ranks(ascending: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(ascending.len());
    for group in ascending.chunk_by(|a, b| a.abs() == b.abs()) {
        let first = ranks.len() + 1;
        ranks.extend(std::iter::repeat_n(2 * first + group.len() - 1, group.len()));
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: of eight pairs all on one side there are two of 2⁸ ways, of seven and the smallest on the other four.
    #[test]
    fn chances_are_counted() {
        let ones = [1.0; 8];
        let larger: Vec<f64> = (1..=8).map(|i| 1.0 + f64::from(i)).collect();
        assert_eq!(signed_ranks(&larger, &ones).map(|it| it.p), Some(2.0 / 256.0));
        let mut one_smaller = larger.clone();
        one_smaller[0] = 0.9;
        let found = signed_ranks(&one_smaller, &ones).expect("eight pairs");
        assert_eq!(found.p, 4.0 / 256.0);
        assert!(found.balance > 0.0 && signed_ranks(&ones, &one_smaller).expect("eight pairs").balance < 0.0);
    }

    #[test]
    fn ties_share_their_ranks_and_equal_pairs_say_nothing() {
        assert_eq!(doubled_ranks(&[1.0, -2.0, 2.0, 5.0]), [2, 5, 5, 8]);
        assert_eq!(signed_ranks(&[1.0; 9], &[1.0; 9]), Some(SignedRanks { balance: 0.0, p: 1.0 }));
        let alike = [3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0];
        let swapped = [1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0];
        assert_eq!(signed_ranks(&alike, &swapped).map(|it| (it.balance, it.p)), Some((0.0, 1.0)));
    }

    #[test]
    fn what_cannot_be_judged_is_none() {
        assert_eq!(signed_ranks(&[1.0; 7], &[2.0; 7]), None);
        assert_eq!(signed_ranks(&[f64::INFINITY; 9], &[2.0; 9]), None);
        assert!(signed_ranks(&[1e308; 9], &[1.7e308; 9]).is_some_and(|it| it.p < 0.01));
    }
}
