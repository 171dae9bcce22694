//! A client of a Kafka cluster: one stack of connections for everything that is asked of it.
//!
//! Reading order: [`Config`], `fault` (what can fail, and what it means), `cluster` (what is known of it, deadlines) with
//! `retry`, `connection` and `greeting` (who is there), `admin` and `topics`, `fetch` with `partition`, `producer`.
//! What this does not do: know what Thalweg reads and writes.

mod admin;
mod cluster;
mod config;
mod connection;
mod fault;
mod fetch;
mod greeting;
mod partition;
pub(crate) mod producer;
mod retry;
mod topics;

pub use config::{Config, Partitions, Sasl, SaslMechanism, Secret, Tls};

pub(crate) use admin::{At, names, partitions_of, retention};
pub(crate) use cluster::{Cluster, tls};
pub(crate) use fault::{Fault, Try};
pub(crate) use fetch::{Fetched, Fetcher, Wait};
pub(crate) use partition::Handle;
pub(crate) use producer::Producer;
pub(crate) use retry::{Retry, persist};
pub(crate) use topics::ensure;
