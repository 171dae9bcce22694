//! Computes tails of the distributions that tests need.

use std::f64::consts::SQRT_2;

/// Returns P(|T| ≥ |t|) of Student's t with `df` > 0 degrees of freedom.
pub(super) fn student_t_two_sided(t: f64, df: f64) -> f64 {
    if t.is_infinite() { 0.0 } else { incomplete_beta(df / (df + t * t), df / 2.0, 0.5) }
}

/// Returns P(F ≥ f) of Fisher's F with `d1` and `d2` > 0 degrees of freedom.
pub(super) fn f_upper(f: f64, d1: f64, d2: f64) -> f64 {
    if f.is_infinite() { 0.0 } else { incomplete_beta(d2 / (d2 + d1 * f), d2 / 2.0, d1 / 2.0) }
}

/// Returns the value that the studentised range of `k` ≥ 2 means, with infinitely many degrees of freedom, exceeds with
/// chance `alpha`.
pub(super) fn studentized_range(alpha: f64, k: usize) -> f64 {
    let (mut low, mut high) = (0.0, 20.0);
    // Halved until no printed digit of the result changes.
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if range_cdf(middle, k) < 1.0 - alpha { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Returns P(range of `k` standard normal values ≤ `q`) = k ∫ φ(z) (Φ(z) − Φ(z − q))^(k−1) dz, by Simpson's rule.
fn range_cdf(q: f64, k: usize) -> f64 {
    const STEPS: u32 = 400;
    const INTEGRATION_LIMIT: f64 = 9.0;
    let step = 2.0 * INTEGRATION_LIMIT / f64::from(STEPS);
    let integrand = |z: f64| {
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        density * libm::pow((normal_cdf(z) - normal_cdf(z - q)).max(0.0), k as f64 - 1.0)
    };
    let weight = |i: u32| match i {
        0 | STEPS => 1.0,
        i if i % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let sum: f64 = (0..=STEPS).map(|i| weight(i) * integrand(-INTEGRATION_LIMIT + f64::from(i) * step)).sum();
    k as f64 * sum * step / 3.0
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// Returns the regularised incomplete beta function I_x(a, b), by its continued fraction (Lentz 1976).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side; the other one follows by symmetry.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let log = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x);
    const MIN_DENOMINATOR: f64 = 1e-300;
    let away_from_0 = |value: f64| if value.abs() < MIN_DENOMINATOR { MIN_DENOMINATOR } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away_from_0(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..=300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / away_from_0(1.0 + term * d);
            c = away_from_0(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() <= 1e-15 * fraction.abs() {
            break;
        }
    }
    (libm::exp(log) * fraction / a).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values as any table of the t and F distributions has them.
    #[test]
    fn tails_are_those_of_the_tables() {
        for (t, df, p) in
            [(12.706, 1.0, 0.05), (2.776, 4.0, 0.05), (2.131, 15.0, 0.05), (2.947, 15.0, 0.01), (1.960, 1e6, 0.05)]
        {
            let found = student_t_two_sided(t, df);
            assert!((found - p).abs() < 1e-4, "t {t}, df {df}: {found}");
            assert_eq!(found, student_t_two_sided(-t, df));
        }
        for (f, d1, d2, p) in [(2.845, 3.0, 39.0, 0.05), (6.608, 1.0, 5.0, 0.05), (4.431, 4.0, 15.0, 0.0144)] {
            let found = f_upper(f, d1, d2);
            assert!((found - p).abs() < 2e-4, "F {f} ({d1}, {d2}): {found}");
        }
        assert_eq!(student_t_two_sided(0.0, 7.0), 1.0);
        assert_eq!(student_t_two_sided(f64::INFINITY, 7.0), 0.0);
    }

    /// Demšar 2006, table 5(a), whose values are the range's divided by √2.
    #[test]
    fn the_range_of_means_is_that_of_demsar() {
        let table = [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (10, 3.164)];
        for (k, q) in table {
            let found = studentized_range(0.05, k) / SQRT_2;
            assert!((found - q).abs() < 1e-3, "k {k}: {found}");
        }
    }
}
