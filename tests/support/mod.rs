//! What several suites share. Each test crate uses its own part of it.
#![allow(dead_code, unused_imports)]

pub mod batter;
pub mod bent;
pub mod broker;
pub mod daemon;
pub mod judge;
pub mod kinds;
pub mod proof;
pub mod survive;
mod within;

pub use within::{PATIENCE, within};
