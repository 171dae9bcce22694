//! Groups columns that say the same: duplicates, multiples, sums of others, all but for a little noise.
//!
//! Invariant: each column is in exactly one group, and nearly all of what varies in a column of a larger group follows
//! linearly from others of it. The work is bounded by the numbers looked at, times a third of the rows. What this does not do:
//! find dependence that is not linear, or among more columns than a third of the rows.

/// Maximum share of a column's variance that its group leaves unexplained.
const MAX_UNEXPLAINED_SHARE: f64 = 0.01;

/// Minimum share of a column's variance that another must explain to be in its group.
const MIN_VARIANCE_SHARE: f64 = 1e-4;

/// Bound on the rounding error of a result that should be 0.
const ROUNDING_ERROR: f64 = 1e-12;

/// Returns the groups of these columns, which are equally long and finite, by index. Columns that never vary are alone.
pub(super) fn groups(columns: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let rows = columns.first().map_or(0, Vec::len);
    let mut group: Vec<usize> = (0..columns.len()).collect();
    // Orthonormal directions; and the columns of the basis, each with its share of each direction (Gram and Schmidt).
    let mut directions: Vec<Vec<f64>> = Vec::new();
    let mut basis: Vec<(usize, Vec<f64>)> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        let Some(mut rest) = standardised(column) else { continue };
        let mut shares = Vec::with_capacity(directions.len() + 1);
        for direction in &directions {
            let share = product(direction, &rest);
            rest.iter_mut().zip(direction).for_each(|(rest, direction)| *rest -= share * direction);
            shares.push(share);
        }
        let unexplained = product(&rest, &rest);
        if unexplained <= MAX_UNEXPLAINED_SHARE {
            // The weight of each column of the basis in this one, by back substitution.
            let mut weights = shares.clone();
            for k in (0..weights.len()).rev() {
                let (before, at) = weights.split_at_mut(k);
                at[0] /= basis[k].1[k];
                before.iter_mut().zip(&basis[k].1).for_each(|(weight, share)| *weight -= at[0] * share);
            }
            for ((j, _), weight) in basis.iter().zip(&weights) {
                // The noise in it gives far smaller weights by chance, and a weight this small explains nothing of it.
                if weight * weight > (0.5 * unexplained).max(MIN_VARIANCE_SHARE) {
                    join(&mut group, i, *j);
                }
            }
        }
        if unexplained > ROUNDING_ERROR && 3 * (basis.len() + 1) <= rows {
            let length = unexplained.sqrt();
            rest.iter_mut().for_each(|rest| *rest /= length);
            shares.push(length);
            directions.push(rest);
            basis.push((i, shares));
        }
    }
    let mut groups: Vec<Vec<usize>> = vec![Vec::new(); columns.len()];
    group.iter().enumerate().for_each(|(i, group)| groups[*group].push(i));
    groups.retain(|group| !group.is_empty());
    groups
}

/// Joins two groups.
fn join(group: &mut [usize], a: usize, b: usize) {
    let (from, to) = (group[a].max(group[b]), group[a].min(group[b]));
    group.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
}

/// Scales a column to mean 0 and length 1; `None` if it does not vary.
pub(super) fn standardised(column: &[f64]) -> Option<Vec<f64>> {
    // Scaled down first: neither sums nor squares of the largest numbers are finite.
    let most = column.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let scaled: Vec<f64> = column.iter().map(|value| if most > 0.0 { value / most } else { 0.0 }).collect();
    let mean = scaled.iter().sum::<f64>() / scaled.len().max(1) as f64;
    let mut centred: Vec<f64> = scaled.into_iter().map(|value| value - mean).collect();
    let length = product(&centred, &centred).sqrt();
    // Only the last digits of a counter vary, which is still variation.
    let varies = length > ROUNDING_ERROR;
    centred.iter_mut().for_each(|value| *value /= length);
    varies.then_some(centred)
}

pub(super) fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in −1..1 without structure that matters here.
    fn number(i: usize, of: usize) -> f64 {
        2.0 * ((of as f64 + 1.7) * (i as f64 + 1.0) * 0.618_033_988_749_894_9
            + 0.1 * ((i * i) as f64) * (of as f64 + 1.0).sqrt())
        .fract()
            - 1.0
    }

    fn columns(of: &[&dyn Fn(usize) -> f64]) -> Vec<Vec<f64>> {
        of.iter().map(|column| (0..200).map(column).collect()).collect()
    }

    #[test]
    fn duplicates_multiples_and_sums_are_found_in_any_order() {
        let (a, b, c) = (|i| number(i, 1), |i| number(i, 2), |i| number(i, 3));
        assert_eq!(groups(&columns(&[&a, &b, &c])), [[0], [1], [2]]);
        assert_eq!(groups(&columns(&[&a, &b, &a])), [vec![0, 2], vec![1]]);
        assert_eq!(groups(&columns(&[&a, &|i| -1e9 * a(i) + 5e9, &b])), [vec![0, 1], vec![2]]);
        assert_eq!(groups(&columns(&[&a, &b, &c, &|i| a(i) + b(i)])), [vec![0, 1, 3], vec![2]]);
        assert_eq!(groups(&columns(&[&|i| a(i) + b(i), &c, &a, &b])), [vec![0, 2, 3], vec![1]]);
        assert_eq!(groups(&columns(&[&|i| a(i) + 0.01 * b(i), &c, &a])), [vec![0, 2], vec![1]]);
        assert_eq!(groups(&columns(&[&|_| 7.0, &|_| 7.0, &a])), [[0], [1], [2]], "constants");
    }

    #[test]
    fn the_time_in_one_number_is_that_in_two() {
        let (hour, minute) =
            (|i| (5.0 + 8.0 * (1.0 + number(i, 1))).floor(), |i| (30.0 * (1.0 + number(i, 2))).floor());
        let (time, other) = (|i| 100.0 * hour(i) + minute(i), |i| number(i, 3));
        assert_eq!(groups(&columns(&[&hour, &minute, &other, &time])), [vec![0, 1, 3], vec![2]]);
        assert_eq!(groups(&columns(&[&time, &hour, &other, &minute])), [vec![0, 1, 3], vec![2]]);
    }

    #[test]
    fn more_columns_than_rows_are_no_group_by_that_alone() {
        let many: Vec<Vec<f64>> = (0..100).map(|of| (0..30).map(|i| number(i, of)).collect()).collect();
        assert!(groups(&many).iter().all(|group| group.len() <= 2));
    }
}
