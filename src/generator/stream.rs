//! Generates samples by number.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Config, Drift, Error, Source, drift::Change, noise::Prepared};

/// The samples of a configuration, from any number on.
pub struct Stream {
    source: Box<dyn Source + Send>,
    names: Vec<String>,
    noise: Prepared,
    drift: Option<Drift>,
    /// Generator of random numbers; each sample has one of the 2⁶⁴ streams of the seed, so that none depends on the one
    /// before.
    rng: ChaCha8Rng,
    position: u64,
    rotated: Vec<f64>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("names", &self.names).field("position", &self.position).finish_non_exhaustive()
    }
}

impl Stream {
    /// Makes the stream at sample 0.
    ///
    /// # Errors
    /// Errors name the setting that is wrong.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let source = config.function.source()?;
        Ok(Self {
            names: source.features(),
            noise: config.noise.prepared()?,
            drift: config.drift.as_ref().map(Drift::checked).transpose()?,
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            position: 0,
            rotated: Vec::new(),
            source,
        })
    }

    /// Returns the names of the features, in order.
    pub fn feature_names(&self) -> &[String] {
        &self.names
    }

    /// Returns the number of the next sample.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Makes sample `index` the next one.
    pub fn seek(&mut self, index: u64) {
        self.position = index;
    }

    /// Writes the next sample's features into `x` and returns its target.
    pub fn next_sample(&mut self, x: &mut Vec<f64>) -> f64 {
        let index = self.position;
        self.position += 1;
        self.rng.set_stream(index);
        self.rng.set_word_pos(0);
        x.clear();
        self.source.draw(index, &mut self.rng, x);
        let target = match &self.drift {
            None => self.source.target(index, x, &mut self.rng),
            Some(drift) => {
                let concept = drift.concept(index, self.rng.random());
                match drift.change {
                    Change::Rotate => {
                        self.rotated.clear();
                        self.rotated.extend_from_slice(x);
                        self.rotated.rotate_left(concept % x.len().max(1));
                        self.source.target(index, &self.rotated, &mut self.rng)
                    }
                    Change::Negate => {
                        let sign = if concept % 2 == 0 { 1.0 } else { -1.0 };
                        sign * self.source.target(index, x, &mut self.rng)
                    }
                }
            }
        };
        target + self.noise.sample(&mut self.rng)
    }
}
