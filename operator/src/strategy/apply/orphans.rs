//! Deletes what is no longer wanted.

use std::cmp::Reverse;
use std::time::Instant;

use crds::PoolGroup;
use kube::core::DynamicObject;
use tracing::info;

use super::{Done, serves_a_pool};
use crate::names;
use crate::strategy::build::Built;
use crate::strategy::dereference::Snapshot;
use crate::strategy::validate::Valid;
use crate::strategy::{Context, release};

/// Deletes what is no longer wanted. Pickers of a pool that is still there serve on for a while after it was
/// given back.
pub(super) async fn remove(
    context: &Context,
    snapshot: &Snapshot,
    valid: &Valid,
    built: &Built,
    done: &mut Done,
) {
    let pickers: Vec<&str> = valid.own().map(|claim| claim.picker.as_str()).collect();
    let mut owned: Vec<_> = snapshot.owned.iter().collect();
    // What needs others goes before them.
    owned.sort_by_key(|(kind, _)| Reverse(*kind));
    for (kind, live) in owned {
        let name = live.metadata.name.as_deref().unwrap_or_default();
        if !kind.is_of_a_pool()
            || !snapshot.owns(live)
            || live.metadata.deletion_timestamp.is_some()
            // Pools that are not known are not gone.
            || valid.unserved.iter().any(|group| may_serve(live, *group))
        {
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
        } else if release::is_to_give_back(snapshot, name) {
            // What follows waits until gateways can follow too.
            context.memory.end_hold(uid);
            continue;
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

/// Whether an object may have been made for a pool of `group`. Its name tells, except where the pool's name is
/// not known in full.
fn may_serve(live: &DynamicObject, group: PoolGroup) -> bool {
    let pool = live.metadata.labels.as_ref().and_then(|labels| labels.get(names::POOL));
    let is_of =
        |group: PoolGroup| pool.is_some_and(|pool| live.metadata.name == Some(names::picker(group, pool)));
    is_of(group) || !PoolGroup::ALL.into_iter().any(is_of)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made_for(group: PoolGroup, pool: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": names::picker(group, pool), "labels": {names::POOL: names::label(pool)}},
        }))
        .unwrap()
    }

    #[test]
    fn the_name_tells_which_group_an_object_serves() {
        let (v1, old) = (PoolGroup::V1, PoolGroup::V1Alpha2);
        for pool in ["qwen", "llama-3.1-8b"] {
            assert!(may_serve(&made_for(v1, pool), v1) && !may_serve(&made_for(v1, pool), old));
            assert!(may_serve(&made_for(old, pool), old) && !may_serve(&made_for(old, pool), v1));
        }
        // The label has not all of the name.
        let long = made_for(v1, &"x".repeat(100));
        assert!(may_serve(&long, v1) && may_serve(&long, old));
        let mut bare = made_for(v1, "qwen");
        bare.metadata.labels = None;
        assert!(may_serve(&bare, old));
    }
}
