//! Draws the noise that is added to a target.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, StudentT, Uniform};

use super::Error;

/// The distribution of the noise, centred on 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// No noise.
    None,
    /// Normal with this standard deviation, ≥ 0, in the target's unit.
    Normal {
        /// Standard deviation.
        sd: f64,
    },
    /// Uniform within ± this, > 0.
    Uniform {
        /// Half the width.
        half_width: f64,
    },
    /// Student's t: heavy tails, the heavier the fewer degrees of freedom; scaled.
    StudentT {
        /// Degrees of freedom, > 0.
        freedom: f64,
        /// Factor, > 0.
        scale: f64,
    },
}

impl Noise {
    /// Prepares the distribution.
    ///
    /// # Errors
    /// Errors name the parameter that is out of range.
    pub(super) fn prepared(&self) -> Result<Prepared, Error> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        Ok(match *self {
            Noise::None => Prepared::None,
            Noise::Normal { sd } if sd >= 0.0 && sd.is_finite() => {
                Prepared::Normal(Normal::new(0.0, sd).map_err(|error| Error::new("noise.sd", error.to_string()))?)
            }
            Noise::Normal { .. } => return Err(Error::new("noise.sd", "must be finite and 0 or more")),
            Noise::Uniform { half_width } if positive(half_width) => Prepared::Uniform(
                Uniform::new(-half_width, half_width)
                    .map_err(|error| Error::new("noise.half_width", error.to_string()))?,
            ),
            Noise::Uniform { .. } => return Err(Error::new("noise.half_width", "must be finite and over 0")),
            Noise::StudentT { freedom, scale } if positive(freedom) && positive(scale) => Prepared::StudentT(
                StudentT::new(freedom).map_err(|error| Error::new("noise.freedom", error.to_string()))?,
                scale,
            ),
            Noise::StudentT { .. } => return Err(Error::new("noise", "freedom and scale must be finite and over 0")),
        })
    }
}

/// A distribution, ready to be drawn from.
pub(super) enum Prepared {
    None,
    Normal(Normal<f64>),
    Uniform(Uniform<f64>),
    StudentT(StudentT<f64>, f64),
}

impl Prepared {
    pub(super) fn sample(&self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Prepared::None => 0.0,
            Prepared::Normal(normal) => normal.sample(rng),
            Prepared::Uniform(uniform) => uniform.sample(rng),
            Prepared::StudentT(student, scale) => student.sample(rng) * scale,
        }
    }
}
