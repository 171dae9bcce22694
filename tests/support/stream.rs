//! The part of it that knows no daemon.
#![allow(dead_code, unused_imports)]

pub mod damage;
pub mod faulty_transport;
pub mod kinds;
mod within;

pub use within::within;
