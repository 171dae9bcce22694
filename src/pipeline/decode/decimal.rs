//! Decimals of formats with a schema: a whole number in two's complement, and the number of its digits behind the point.
//!
//! Invariant: the result is the double nearest to the decimal.

/// Bytes of the longest whole number that is read, 308 digits: what is longer is beyond any double.
const MAX_BYTES: usize = 128;
/// Powers of ten that are doubles.
const EXACT_POWER: u32 = 22;
/// Whole numbers up to here are doubles.
const EXACT_NUMBER: u64 = 1 << 53;

/// Reads the decimal of a whole number in big-endian order; `None` where it is too long.
pub(super) fn read(bytes: &[u8], scale: u32) -> Option<f64> {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let sign_byte = if negative { 0xff } else { 0 };
    let leading = bytes.iter().take_while(|byte| **byte == sign_byte).count();
    let digits = bytes.get(leading..)?;
    if let Some(small) = small(digits, negative)
        && small.unsigned_abs() <= EXACT_NUMBER
        && scale <= EXACT_POWER
    {
        // Both are exact, so that one division rounds once.
        return Some(small as f64 / 10_f64.powi(scale as i32));
    }
    if digits.len() > MAX_BYTES {
        return None;
    }
    let text = format!("{}{}e-{scale}", if negative { "-" } else { "" }, magnitude(digits, negative));
    text.parse().ok()
}

/// Returns a whole number of up to seven bytes, to which those of its sign have been cut.
fn small(digits: &[u8], negative: bool) -> Option<i64> {
    let sign = if negative { -1 } else { 0 };
    (digits.len() <= 7).then(|| digits.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
}

/// Returns the decimal digits of a whole number without its sign.
fn magnitude(digits: &[u8], negative: bool) -> String {
    // Limbs of nine decimal digits, the lowest first.
    let mut limbs: Vec<u64> = Vec::new();
    let mut add = |factor: u64, mut carry: u64| {
        for limb in &mut limbs {
            let value = *limb * factor + carry;
            (*limb, carry) = (value % 1_000_000_000, value / 1_000_000_000);
        }
        if carry > 0 {
            limbs.push(carry);
        }
    };
    // A negative one is its complement plus one.
    digits.iter().for_each(|byte| add(256, u64::from(if negative { !*byte } else { *byte })));
    add(1, u64::from(negative));
    let Some((top, rest)) = limbs.split_last() else { return "0".to_owned() };
    rest.iter().rev().fold(top.to_string(), |text, limb| format!("{text}{limb:09}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest two's complement of a number.
    fn bytes(number: i128) -> Vec<u8> {
        let all = number.to_be_bytes();
        let keeps = |i: &usize| {
            let sign = if number < 0 { 0xff } else { 0 };
            all[..*i].iter().all(|byte| *byte == sign) && (all[*i] >= 0x80) == (number < 0)
        };
        let start = (0..16).rev().find(keeps).unwrap_or(0);
        all[start..].to_vec()
    }

    #[test]
    fn decimals_are_the_nearest_doubles() {
        for scale in [0, 1, 2, 5, 18, 22, 30] {
            for number in [
                0,
                1,
                -1,
                12_340,
                -12_345,
                127,
                128,
                -128,
                -129,
                i128::from(i64::MAX),
                i128::from(i64::MIN),
                (1 << 53) + 1,
                12_345_678_901_234_567_890_123_456,
                -98_765_432_109_876_543_210_987,
                i128::MAX,
                i128::MIN,
            ] {
                let expected: f64 = format!("{number}e-{scale}").parse().expect("a number");
                assert_eq!(read(&bytes(number), scale), Some(expected), "{number} of scale {scale}");
                let padded = [vec![if number < 0 { 0xff } else { 0 }; 200], bytes(number)].concat();
                assert_eq!(read(&padded, scale), Some(expected), "{number} of scale {scale} with its sign repeated");
            }
        }
        assert_eq!((read(&[], 2), read(&[1; MAX_BYTES + 1], 0)), (Some(0.0), None));
    }
}
