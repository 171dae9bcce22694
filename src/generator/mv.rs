//! MV: features of mixed kinds that depend on each other (an artificial set from Luís Torgo's regression collection).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Source, numbered};

/// Colours of x2 as numbers.
const GREEN: f64 = 0.0;
const RED: f64 = 1.0;
const BROWN: f64 = 2.0;

/// Ten features. The nominal ones are numbers here: x2 is 0 (green), 1 (red) or 2 (brown), x6 is 1 (yes) or 0 (no), x7
/// is 1 (large) or 0 (normal). List them in `schema.nominal` to treat them as categories.
pub(super) struct Mv;

impl Source for Mv {
    fn features(&self) -> Vec<String> {
        numbered(10)
    }

    fn draw(&mut self, _: u64, rng: &mut ChaCha8Rng, x: &mut Vec<f64>) {
        let first = rng.random_range(-5.0..5.0);
        let second = rng.random_range(-15.0..-10.0);
        let colour = match first > 0.0 {
            true => GREEN,
            false if rng.random_bool(0.4) => RED,
            false => BROWN,
        };
        let fourth = match colour == GREEN {
            true => first + 2.0 * second,
            false if rng.random_bool(0.3) => first / 2.0,
            false => second / 2.0,
        };
        let fifth: f64 = rng.random_range(-1.0..1.0);
        let sixth = fourth * rng.random_range(0.0..5.0);
        let yes = f64::from(u8::from(rng.random_bool(0.3)));
        let large = f64::from(u8::from(fifth >= 0.5));
        x.extend([first, second, colour, fourth, fifth, sixth, yes, large]);
        x.extend([rng.random_range(100.0..500.0), rng.random_range(1000.0..1200.0)]);
    }

    fn target(&self, _: u64, x: &[f64], _: &mut ChaCha8Rng) -> f64 {
        if x[1] > 2.0 {
            35.0 - 0.5 * x[3]
        } else if (-2.0..=2.0).contains(&x[3]) {
            10.0 - 2.0 * x[0]
        } else if x[6] == 1.0 {
            3.0 - x[0] / x[3]
        } else if x[7] == 0.0 {
            x[5] + x[0]
        } else {
            x[0] / 2.0
        }
    }
}
