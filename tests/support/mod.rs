//! What several suites share. Each test crate uses its own part of it.
#![allow(dead_code, unused_imports)]

pub mod broker;
pub mod daemon;
pub mod damage;
pub mod event_stream;
pub mod faulty_transport;
pub mod hostile_oracle;
pub mod http;
pub mod kill_loop;
pub mod kinds;
pub mod proof;
pub mod registry;
pub mod sample_files;
pub mod two_topics;
pub mod typed_schemas;
mod within;

pub use within::{PATIENCE, within};
