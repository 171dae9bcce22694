//! What this user may do.

use std::{sync::Arc, time::Duration};

use super::{cluster::Cluster, connection, fault::Try};
use crate::protocol::{AskRights, Rights};

/// Returns the rights that this user has on topics and on the cluster.
pub(crate) async fn rights(cluster: &Arc<Cluster>, topics: &[&str]) -> Try<Rights> {
    let connection = connection::to_controller(cluster).await?;
    connection.call("asking for the rights of this user", Duration::ZERO, AskRights { topics }).await
}
