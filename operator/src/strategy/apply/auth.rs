//! The right of pickers to ask who reads their metrics. It is a ClusterRoleBinding, which nothing in a
//! namespace can own: the strategy's finalizer is there while it is.

use std::slice;

use tracing::info;

use super::{Done, make};
use crate::build::auth;
use crate::drift;
use crate::kinds::Kind;
use crate::strategy::dereference::Snapshot;
use crate::strategy::validate::Valid;
use crate::strategy::{Context, FINALIZER};
use crate::write::WriteError;

/// Makes the binding as wanted, or removes it.
pub(super) async fn apply(context: &Context, snapshot: &Snapshot, valid: &Valid, done: &mut Done) {
    let pickers: Vec<&str> = valid.own().map(|claim| claim.picker.as_str()).collect();
    let name = snapshot.cluster_name();
    let live = snapshot.object(Kind::ClusterRoleBinding, &name);
    if !snapshot.strategy.spec.picker.metrics.auth || pickers.is_empty() {
        // Pools that are not known are not gone.
        if let Some(live) = live
            && snapshot.owns(live)
            && valid.unserved.is_empty()
        {
            info!(name, "deleting the ClusterRoleBinding");
            if let Err(error) = context.writer.delete(Kind::ClusterRoleBinding, live).await {
                done.failed(error);
            }
        }
        return;
    }
    // First the promise to remove it, then the making.
    if !snapshot.has_finalizer()
        && let Err(error) = context.writer.add_finalizer(&snapshot.strategy, FINALIZER).await
    {
        return done.failed(error);
    }
    let version = &context.defaults.version;
    // It serialises as every object does; without it pickers refuse, which shows.
    if let Ok(mut object) = auth::binding(snapshot.namespace(), snapshot.name(), version, &pickers) {
        drift::seal(&mut object.content);
        make::all(context, snapshot, &name, slice::from_ref(&object), done).await;
    }
}

/// Removes the binding, whatever the cache says of it.
pub(in crate::strategy) async fn remove(context: &Context, snapshot: &Snapshot) -> Result<(), WriteError> {
    let live = context.writer.read(Kind::ClusterRoleBinding, "", &snapshot.cluster_name()).await?;
    match live {
        Some(live) if snapshot.owns(&live) => context.writer.delete(Kind::ClusterRoleBinding, &live).await,
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
