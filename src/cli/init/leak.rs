//! Fields that give the target away: what is known only with the target cannot help to predict it.
//!
//! It finds what determines the target in every record of the sample. Where one field is all there is to learn from, this
//! may be the law that is looked for; the caller decides.

use std::collections::HashMap;

use super::survey::{Cell, Column};

/// Records with both values, and different targets among them, from which on a relation is no chance.
const MIN_PAIRS: usize = 20;
const MIN_TARGETS: usize = 5;
/// 1 − r² of what is a straight line but for rounding.
const ROUNDING: f64 = 1e-9;

/// Returns the reason why `column` gives `target` away, if it does.
pub(super) fn reason(column: &Column, target: &Column) -> Option<String> {
    let name = &target.name;
    let both: Vec<(Cell, f64)> = column
        .cells()
        .iter()
        .zip(target.cells())
        .filter_map(|(cell, target)| match (cell, target) {
            (Cell::Unknown, _) => None,
            (cell, Cell::Number(y)) => Some((*cell, *y)),
            _ => None,
        })
        .collect();
    if both.len() < MIN_PAIRS || !differ(&both, 2) {
        return None;
    }
    let numbers: Vec<(f64, f64)> = both
        .iter()
        .filter_map(|(cell, y)| match cell {
            Cell::Number(x) => Some((*x, *y)),
            _ => None,
        })
        .collect();
    let all_numbers = numbers.len() == both.len();
    if all_numbers && numbers.iter().all(|(x, y)| x == y) {
        return Some(format!("equals the target `{name}` in all {} records that have both", both.len()));
    }
    if !differ(&both, MIN_TARGETS) {
        return None;
    }
    if all_numbers {
        if is_line(&numbers) {
            return Some(format!(
                "follows from the target `{name}` by a straight line, as another unit or a copy would"
            ));
        }
        if is_order(&numbers) {
            return Some(format!(
                "puts the records into the very order of the target `{name}`, as a function of it would"
            ));
        }
    }
    determines(&both).then(|| format!("each of its values goes with one value of the target `{name}` alone"))
}

/// Returns `true` where there are so many different targets.
fn differ(both: &[(Cell, f64)], least: usize) -> bool {
    let mut seen: Vec<f64> = Vec::with_capacity(least);
    for (_, y) in both {
        if !seen.contains(y) {
            seen.push(*y);
            if seen.len() == least {
                return true;
            }
        }
    }
    false
}

fn is_line(pairs: &[(f64, f64)]) -> bool {
    let n = pairs.len() as f64;
    let (mx, my) = pairs.iter().fold((0.0, 0.0), |(mx, my), (x, y)| (mx + x / n, my + y / n));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (x - mx, y - my);
        (xx, yy, xy) = (xx + x * x, yy + y * y, xy + x * y);
    }
    xx > 0.0 && yy > 0.0 && 1.0 - xy * xy / (xx * yy) < ROUNDING
}

/// Returns `true` where one rises or falls strictly with the other. What only grows with the records says nothing.
fn is_order(pairs: &[(f64, f64)]) -> bool {
    let is_trend = |of: fn(&(f64, f64)) -> f64| pairs.is_sorted_by_key(of) || pairs.iter().rev().is_sorted_by_key(&of);
    if is_trend(|(_, y)| *y) {
        return false;
    }
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let strictly = |is: fn(f64, f64) -> bool| {
        sorted
            .windows(2)
            .all(|pair| if pair[0].0 == pair[1].0 { pair[0].1 == pair[1].1 } else { is(pair[0].1, pair[1].1) })
    };
    strictly(|a, b| a < b) || strictly(|a, b| a > b)
}

/// Returns `true` where equal values always go with equal targets, and there are enough equal ones.
fn determines(both: &[(Cell, f64)]) -> bool {
    let mut seen: HashMap<u64, f64> = HashMap::new();
    let mut again = 0;
    for (cell, y) in both {
        let value = match cell {
            Cell::Number(x) => x.to_bits(),
            // Texts are numbered from 0; no number has these bits but the least ones above 0.
            Cell::Text(code) => u64::from(*code) + 1,
            Cell::Unknown => continue,
        };
        match seen.get(&value) {
            Some(known) if known != y => return false,
            Some(_) => again += 1,
            None => {
                seen.insert(value, *y);
            }
        }
    }
    again >= MIN_PAIRS.max(seen.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::init::survey::tests::column;

    fn found(of: impl Fn(f64) -> f64) -> Option<String> {
        let x: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 59)).collect();
        let y: Vec<f64> = x.iter().map(|x| of(*x)).collect();
        reason(&column("x", &x), &column("y", &y))
    }

    #[test]
    fn what_gives_the_target_away_is_told_from_what_only_goes_with_it() {
        assert!(found(|x| x).is_some_and(|why| why.contains("equals")));
        assert!(found(|x| 1.8 * x + 32.0).is_some_and(|why| why.contains("line")));
        assert!(found(|x| (-x / 9.0).exp()).is_some_and(|why| why.contains("order")));
        assert_eq!(found(|x| (x * 37.0).rem_euclid(10.0) + x / 20.0), None, "many values, no rule");
        let noise = |x: f64| x + (x * 7.0).rem_euclid(5.0);
        assert_eq!(found(noise), None);
        let groups: Vec<f64> = (0..60).map(|i| f64::from(i % 6)).collect();
        let of_group: Vec<f64> = groups.iter().map(|x| (x * 5.0).rem_euclid(6.0).powi(2) * x).collect();
        assert!(reason(&column("x", &groups), &column("y", &of_group)).is_some());
    }

    #[test]
    fn two_meters_that_both_count_on_do_not_give_each_other_away() {
        let rising: Vec<f64> = (0..60).map(|i| f64::from(i) + f64::from(i * i % 7) / 10.0).collect();
        let other: Vec<f64> = (0..60).map(|i| f64::from(3 * i) + f64::from(i * 5 % 11) / 10.0).collect();
        assert_eq!(reason(&column("x", &rising), &column("y", &other)), None);
    }
}
