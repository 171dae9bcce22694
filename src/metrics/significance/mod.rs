//! Tests if a difference between models is more than noise.
//!
//! Reading order: [`Blocks`] (a run's losses in a bounded number of stretches), [`paired`] (is the mean of paired
//! differences 0?), [`signed_ranks`] (the same where a few hold nearly all), [`alike`] (both, as one question),
//! [`holm`] (many such questions at once), [`ranks`] (many models over many streams), `distributions` (the tails they
//! all need).
//!
//! Invariant: what cannot be judged, for want of data or of finite numbers, is `None` and never a small p.

mod blocks;
mod distributions;
mod paired;
mod ranks;
mod signed_ranks;

pub use blocks::{BLOCKS, Blocks};
pub use paired::{Paired, alike, holm, paired};
pub use ranks::{Friedman, friedman, mean_ranks, nemenyi, ranks};
pub use signed_ranks::{MIN_PAIRS, SignedRanks, signed_ranks};
