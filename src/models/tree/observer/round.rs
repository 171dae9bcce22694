//! Rounding to decimals as people and Python do: the exact value of the float, to the nearest decimal, ties to even.
//!
//! Invariant: equal to parsing `format!("{x:.digits$}")`, at the cost of a multiplication and a division. The tempting
//! `(x * 10.0).round() / 10.0` is not: 0.35 is a little less than its decimal, times ten it is exactly 3.5.

/// Powers of ten for 0 to 15 decimals, which a float holds exactly.
const POWERS_OF_TEN: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Adding and subtracting this number leaves the nearest integer, ties to even: floats next to it are one apart.
const ROUNDING_SHIFT: f64 = 6_755_399_441_055_744.0;

/// Absolute values below this are rounded exactly by [`ROUNDING_SHIFT`], and halves of integers are floats there.
const MAX_SHIFTED: f64 = 2_251_799_813_685_248.0;

/// Rounds `x` to `digits` decimals (more than 15 count as 15) and returns it in units of the last one; `None` if it is
/// too large for that, or not finite.
#[inline]
pub(super) fn to_units(x: f64, digits: u8) -> Option<f64> {
    let scale = scale(digits);
    let scaled = x * scale;
    if scaled.abs() < MAX_SHIFTED {
        let nearest = (scaled + ROUNDING_SHIFT) - ROUNDING_SHIFT;
        // The product was rounded, but rounding never crosses a float: only where it lands on a half can the true
        // product be on the other side.
        return Some(if (scaled - nearest).abs() == 0.5 { break_tie(x, scale, scaled, nearest) } else { nearest });
    }
    None
}

/// Returns the decimal for a number of units. Both are exact, so this is the float nearest to it, as parsing would
/// give.
pub(super) fn from_units(units: f64, digits: u8) -> f64 {
    units / scale(digits)
}

fn scale(digits: u8) -> f64 {
    POWERS_OF_TEN[usize::from(digits).min(POWERS_OF_TEN.len() - 1)]
}

/// Returns the integer nearest to the true `x · scale`, whose float `scaled` lies halfway between two.
#[cold]
fn break_tie(x: f64, scale: f64, scaled: f64, even: f64) -> f64 {
    let rest = x.mul_add(scale, -scaled);
    if rest > 0.0 {
        scaled.ceil()
    } else if rest < 0.0 {
        scaled.floor()
    } else {
        even
    }
}

/// Rounds values so large, or to so many digits, that a float's own spacing is near the decimal's.
#[cold]
pub(super) fn by_text(x: f64, digits: u8) -> f64 {
    // From 2⁵³ on every float is an integer.
    if x.abs() < 9_007_199_254_740_992.0 { format!("{x:.*}", usize::from(digits)).parse().unwrap_or(x) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(x: f64, digits: u8) -> f64 {
        to_units(x, digits).map_or_else(|| by_text(x, digits), |units| from_units(units, digits))
    }

    fn spelled(x: f64, digits: u8) -> f64 {
        format!("{x:.*}", usize::from(digits)).parse().expect("a number")
    }

    #[test]
    fn ties_that_are_exact_go_to_even_and_others_to_their_side() {
        for (x, rounded) in [(0.25, 0.2), (0.75, 0.8), (0.35, 0.3), (0.45, 0.5), (-0.25, -0.2), (1.05, 1.1), (2.5, 2.5)]
        {
            assert_eq!(round(x, 1), rounded, "{x}");
            assert_eq!(spelled(x, 1), rounded, "{x} in letters");
        }
    }

    #[test]
    fn agrees_with_letters_around_every_half() {
        for digits in 0..=15 {
            for k in -3000..3000 {
                let half = (f64::from(k) + 0.5) / POWERS_OF_TEN[usize::from(digits)];
                for x in
                    [half.next_down().next_down(), half.next_down(), half, half.next_up(), half.next_up().next_up()]
                {
                    assert_eq!(round(x, digits), spelled(x, digits), "{x:?} to {digits}");
                }
            }
        }
    }

    #[test]
    fn agrees_with_letters_at_every_size() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Exponents from 2⁻⁷⁰ to 2⁶⁰.
            let exponent = 953 + (bits >> 33) % 130;
            let x = f64::from_bits((bits & 0x800f_ffff_ffff_ffff) | (exponent << 52));
            let digits = (bits >> 20) as u8 % 16;
            assert_eq!(round(x, digits), spelled(x, digits), "{x:?} to {digits}");
        }
    }

    #[test]
    fn the_ends_of_the_range_stay_as_they_are() {
        for x in [f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(round(x, 1), x);
        }
        assert_eq!(round(f64::MIN_POSITIVE, 1), 0.0);
    }
}
