//! A client of a Kafka cluster: one stack of connections for everything that is asked of it.
//!
//! Reading order: [`Config`], `fault` (what can fail, and what it means), `access` and `connection` with `greeting` (who is
//! there), `pulse`, `probe` (who it is after all), `versions`, `tls` with `pem`, `login` with `tokens`, and `quota`; `broker` (the connections to it,
//! that all share) with `slot`, `together`, `polls` and `sends`; `cluster` (which broker leads what) with `descriptors`, `admin`,
//! `retry` and `topics`, `partition`, `producer`.
//! Invariant: every request has a deadline, goes through `connection`, and its failure is judged in `fault` by codes and
//! types, never by a text.
//! What this does not do: know what Thalweg reads and writes.

mod access;
mod admin;
mod broker;
mod cluster;
mod config;
mod connection;
mod descriptors;
mod fault;
mod greeting;
mod login;
mod open_transactions;
mod partition;
mod pem;
mod polls;
mod probe;
pub(crate) mod producer;
mod pulse;
mod quota;
mod retry;
mod rights;
mod sends;
mod slot;
mod tls;
mod together;
mod tokens;
mod topics;
mod versions;

pub use config::{Config, Identity, Oauth, Partitions, Retention, Sasl, SaslMechanism, Secret, Tls};

pub(crate) use admin::{names, partitions_of, topic_settings};
pub(crate) use cluster::Cluster;
pub(crate) use fault::{Fault, Refusal, RefusalKind, Try};
pub(crate) use open_transactions::open_transactions;
pub(crate) use partition::Partition;
pub(crate) use polls::{Came, Subscription, What};
pub(crate) use producer::Producer;
pub(crate) use retry::{Retry, retry, retry_on};
pub(crate) use rights::{may_create, may_produce, rights};
pub(crate) use tls::client_config;
pub(crate) use topics::require_topic;
