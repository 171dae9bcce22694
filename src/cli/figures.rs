//! Numbers as people read them, and what stands out among them.

use console::Style;

use crate::app;

pub(super) use crate::app::{NONE, cut, grouped};

/// Whether something may stand out where it is printed: on a terminal, unless `NO_COLOR` is set (no-color.org).
#[derive(Clone, Copy, Debug)]
pub(super) struct Emphasis(bool);

impl Emphasis {
    pub(super) fn of_stdout() -> Self {
        Self(console::colors_enabled())
    }

    pub(super) fn of_stderr() -> Self {
        Self(console::colors_enabled_stderr())
    }

    /// The best, or the one that counts.
    pub(super) fn strong(self, text: String) -> String {
        if self.0 { Style::new().bold().green().force_styling(true).apply_to(text).to_string() } else { text }
    }
}

/// A figure as `spelled`, and [`NONE`] where there is none or it is no number.
pub(super) fn known(figure: Option<f64>, spelled: impl FnOnce(f64) -> String) -> String {
    app::known(figure.filter(|figure| figure.is_finite()), spelled)
}

/// Four decimals for everyday sizes, powers of ten for the rest.
pub(super) fn significant(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e7).contains(&value.abs()) { format!("{value:.4e}") } else { format!("{value:.4}") }
}

/// At most about three digits that count, for axes.
pub(super) fn short(value: f64) -> String {
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

/// Bytes in the largest unit that leaves a number over 1.
pub(super) fn bytes(count: usize) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    let mut size = count as f64 / 1024.0;
    if size < 1.0 {
        return format!("{count} B");
    }
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size >= 1024.0 {
            (size, unit) = (size / 1024.0, larger);
        }
    }
    format!("{size:.1} {unit}")
}

/// A chance: "p = 0.03", and no more digits than anybody believes.
pub(super) fn chance(p: f64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_longer_than_they_need_to_be() {
        let shorts = [0.0, 1.0, 0.25, 2.5, 12.0, 12345.0, -3.0, 1e148, 4.2e-9].map(short);
        assert_eq!(shorts, ["0", "1", "0.25", "2.5", "12", "12,345", "-3", "1e148", "4.2e-9"]);
        assert_eq!([17, 1024, 5 << 20, 3 << 31].map(bytes), ["17 B", "1.0 KiB", "5.0 MiB", "6.0 GiB"]);
        assert_eq!([0.0, 0.004, 0.04, 1.0].map(chance), ["p < 0.001", "p = 0.004", "p = 0.04", "p = 1"]);
        assert_eq!([0.0, 2.76, 1e9].map(significant), ["0.0000", "2.7600", "1.0000e9"]);
    }
}
