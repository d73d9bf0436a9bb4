//! Deletes what is no longer wanted.

use std::cmp::Reverse;
use std::time::Instant;

use tracing::info;

use super::{Done, serves_a_pool};
use crate::strategy::Context;
use crate::strategy::build::Built;
use crate::strategy::dereference::Snapshot;
use crate::strategy::validate::Valid;

/// Deletes what is no longer wanted. Pickers of a pool that is still there serve on for a while.
pub(super) async fn remove(
    context: &Context,
    snapshot: &Snapshot,
    valid: &Valid,
    built: &Built,
    done: &mut Done,
) {
    // Pools that are not known are not gone.
    if !valid.unserved.is_empty() {
        return;
    }
    let pickers: Vec<&str> = valid.own().map(|claim| claim.picker.as_str()).collect();
    let mut owned: Vec<_> = snapshot.owned.iter().collect();
    // What needs others goes before them.
    owned.sort_by_key(|(kind, _)| Reverse(*kind));
    for (kind, live) in owned {
        let name = live.metadata.name.as_deref().unwrap_or_default();
        if !kind.is_of_a_pool() || !snapshot.owns(live) || live.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let uid = live.metadata.uid.as_deref().unwrap_or_default();
        if pickers.contains(&name) {
            context.memory.end_hold(uid);
            // Without knowing what is wanted, nothing is in excess.
            let Ok(built) = built else { continue };
            let wanted = built.get(name).into_iter().flatten().any(|object| object.kind == *kind);
            if wanted || done.taken.contains_key(name) {
                continue;
            }
        } else if serves_a_pool(snapshot, name)
            && let Some(left) = context.memory.hold(uid, context.release_hold, Instant::now())
        {
            done.look_again(left);
            continue;
        }
        info!(kind = kind.resource().kind, name, "deleting what is no longer wanted");
        match context.writer.delete(*kind, live).await {
            Ok(()) => context.memory.end_hold(uid),
            Err(error) => done.failed(error),
        }
    }
}
