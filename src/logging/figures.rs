//! Formats numbers and names for people, in log lines, tables and reports.

use std::{collections::HashSet, fmt::Display};

use indicatif::HumanBytes;

/// Text in place of a figure that does not exist yet.
pub const NO_FIGURE: &str = "-";

/// Formats a figure with `spelled`, or as [`NO_FIGURE`] if there is none.
pub fn known<T>(figure: Option<T>, spelled: impl FnOnce(T) -> String) -> String {
    figure.map_or_else(|| NO_FIGURE.to_owned(), spelled)
}

/// Rounds to four significant digits, for a log.
pub fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.clamp(-300, 300));
    (value * scale).round() / scale
}

/// Formats with four decimals at everyday sizes and powers of ten otherwise, for a column of a terminal.
pub fn figure(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) { format!("{value:.3e}") } else { format!("{value:.4}") }
}

/// Formats with four decimals, and powers of ten from a hundred on.
pub fn share(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.4}") } else { format!("{value:.1e}") }
}

/// Formats a figure with `spelled`, or as [`NO_FIGURE`] if there is none or it is not finite.
pub fn finite(figure: Option<f64>, spelled: impl FnOnce(f64) -> String) -> String {
    known(figure.filter(|figure| figure.is_finite()), spelled)
}

/// Formats with four decimals at everyday sizes and powers of ten otherwise.
pub fn significant(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e7).contains(&value.abs()) { format!("{value:.4e}") } else { format!("{value:.4}") }
}

/// Formats with about three significant digits, for axes.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{value:.1e}").replace(".0e", "e")
    } else if size >= 100.0 {
        grouped(value.round())
    } else {
        let digits = if size >= 10.0 {
            1
        } else if size >= 1.0 {
            2
        } else {
            4
        };
        format!("{value:.digits$}").trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// Formats bytes in the largest unit that leaves a number over 1.
pub fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// Formats a chance, as "p = 0.03", with no more digits than are meaningful.
pub fn chance(p: f64) -> String {
    if p < 0.001 {
        "p < 0.001".to_owned()
    } else if p > 0.995 {
        "p = 1".to_owned()
    } else if p < 0.01 {
        format!("p = {p:.3}")
    } else {
        format!("p = {p:.2}")
    }
}

/// Shortens names by their middle to `longest` characters, or to as many as tell them apart: the models of a grid
/// differ at the end mostly, but not always.
pub fn cut<'n>(names: impl Iterator<Item = &'n str> + Clone, longest: usize) -> Vec<String> {
    let whole = names.clone().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut width = longest;
    loop {
        let shown: Vec<String> = names.clone().map(|name| without_middle(name, width)).collect();
        if width >= whole || shown.iter().collect::<HashSet<_>>().len() == shown.len() {
            return shown;
        }
        width += 1;
    }
}

fn without_middle(name: &str, width: usize) -> String {
    let count = name.chars().count();
    if count <= width {
        return name.to_owned();
    }
    let head = width / 3;
    let tail = count - (width - head - 1);
    name.chars().take(head).chain(['…']).chain(name.chars().skip(tail)).collect()
}

/// Formats a whole number with separators between thousands.
pub fn grouped(number: impl Display) -> String {
    let number = number.to_string();
    let digits = number.trim_start_matches('-');
    let mut text = number[..number.len() - digits.len()].to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_longer_than_they_need_to_be() {
        let shorts = [0.0, 1.0, 0.25, 2.5, 12.0, 12345.0, -3.0, 1e148, 4.2e-9].map(short);
        assert_eq!(shorts, ["0", "1", "0.25", "2.5", "12", "12,345", "-3", "1e148", "4.2e-9"]);
        assert_eq!([17, 1024, 5 << 20, 3 << 31].map(bytes), ["17 B", "1.00 KiB", "5.00 MiB", "6.00 GiB"]);
        assert_eq!([0.0, 0.004, 0.04, 1.0].map(chance), ["p < 0.001", "p = 0.004", "p = 0.04", "p = 1"]);
        assert_eq!([0.0, 2.76, 1e9].map(significant), ["0.0000", "2.7600", "1.0000e9"]);
    }

    #[test]
    fn long_names_are_cut_no_further_than_they_differ() {
        let cut = |names: [&'static str; 2]| cut(names.into_iter(), 16);
        assert_eq!(cut(["linear optimizer=adam lr=0.1", "tree"]), ["linea…dam lr=0.1", "tree"]);
        let same_end = ["linear l2=0 optimizer=adam lr=0.1", "linear l2=0.01 optimizer=adam lr=0.1"];
        let shown = cut(same_end);
        assert!(shown[0] != shown[1] && shown[1].chars().count() < same_end[1].len(), "{shown:?}");
    }

    #[test]
    fn numbers_and_names_fit_their_columns() {
        assert_eq!([0.0, 2.5, 1e150].map(figure), ["0.0000", "2.5000", "1.000e150"]);
        assert_eq!([0.5, -1e9].map(share), ["0.5000", "-1.0e9"]);
        let long = "x".repeat(40);
        assert_eq!(
            cut([&*long, "tree"].into_iter(), 24),
            [format!("{}…{}", "x".repeat(8), "x".repeat(15)), "tree".into()]
        );
        assert_eq!([999.0, 1000.0, -1234567.0].map(grouped), ["999", "1,000", "-1,234,567"]);
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }
}
