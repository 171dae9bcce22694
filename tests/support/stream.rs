//! The part of it that knows no daemon.
#![allow(dead_code, unused_imports)]

pub mod bent;
pub mod kinds;
pub mod survive;
mod within;

pub use within::within;
