//! Fourth step: make the cluster so. Order matters: what a pool will refer to is there before the pool
//! refers to it, and goes after the pool no longer does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crds::{Pool, PoolGroup};
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;

use super::binding::Standing;
use super::build::Built;
use super::dereference::Snapshot;
use super::validate::Valid;
use super::{Context, history, release};
use crate::kinds::Kind;
use crate::names;
use crate::write::WriteError;

pub(super) mod auth;
mod bind;
mod make;
mod orphans;
#[cfg(test)]
mod testing;

/// What was done, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Whether the accepted routing is in the history, so that pickers can find it.
    pub kept: bool,
    /// Why the picker can't be built.
    pub invalid_picker: Option<String>,
    /// Pickers of which an object's name is taken, and by what.
    pub taken: BTreeMap<String, String>,
    /// Pickers of which the API server refused an object, and why.
    pub refused: BTreeMap<String, String>,
    /// Pickers of which an object could not be written, and is tried again.
    pub unwritten: BTreeSet<String>,
    /// Deployments that were written now, as the API server returned them: the caches still have the
    /// former ones, whose rollouts say nothing about these.
    pub deployments: BTreeMap<String, DynamicObject>,
    /// Pickers whose pods an earlier release of the operator built, and that stay so for now.
    pub postponed: Vec<String>,
    /// How each pool that the strategy drives stands.
    pub standings: BTreeMap<(PoolGroup, String), Standing>,
    /// Pools whose reference was replaced now, and by the name of what was there before.
    pub bound: Vec<(String, Option<String>)>,
    /// Pools that were given back now.
    pub released: Vec<String>,
    /// Pools whose former reference the API server refuses, and why.
    pub given_up: Vec<(String, String)>,
    /// Pools that can't be given back yet, and why.
    pub blocked: BTreeMap<String, String>,
    /// When to look again without a change.
    pub again: Option<Duration>,
    /// What has to be tried again.
    pub error: Option<WriteError>,
}

impl Done {
    pub fn look_again(&mut self, after: Duration) {
        self.again = Some(self.again.map_or(after, |known| known.min(after)));
    }

    pub fn failed(&mut self, error: WriteError) {
        // A conflict says least: keep what else there is.
        if self.error.as_ref().is_none_or(WriteError::is_conflict) {
            self.error = Some(error);
        }
    }

    /// The Deployment called `picker` as it was seen last.
    pub fn deployment<'a>(&'a self, snapshot: &'a Snapshot, picker: &str) -> Option<&'a DynamicObject> {
        let known = || snapshot.object(Kind::Deployment, picker).map(|live| &**live);
        self.deployments.get(picker).or_else(known)
    }
}

/// Writes what is missing or different. Whatever fails, the rest is done.
pub(super) async fn apply(
    context: &Context,
    snapshot: &Snapshot,
    valid: &Valid,
    built: Built,
    now: Timestamp,
) -> Done {
    let mut done = Done::default();
    match history::keep(context, snapshot, valid).await {
        Ok(history::Kept::Yes) => done.kept = true,
        Ok(history::Kept::NameTaken) => {
            let message =
                format!("the ControllerRevisions {}-routing-0 to 9 are not this strategy's", snapshot.name());
            done.taken.insert(String::new(), message);
            done.look_again(make::NAME_TAKEN_AGAIN);
        }
        Err(error) => done.failed(error),
    }
    match &built {
        Ok(built) => {
            // Pickers that ask may do so from their start.
            auth::apply(context, snapshot, valid, &mut done).await;
            for (picker, objects) in built {
                make::all(context, snapshot, picker, objects, &mut done).await;
            }
        }
        Err(error) => done.invalid_picker = Some(error.to_string()),
    }
    release::unclaimed(context, snapshot, valid, &mut done).await;
    bind::all(context, snapshot, valid, now, &mut done).await;
    orphans::remove(context, snapshot, valid, &built, &mut done).await;
    done
}

/// Whether a picker answers behind the Service called `picker`.
pub(super) fn is_available(snapshot: &Snapshot, picker: &str) -> bool {
    snapshot.object(Kind::Deployment, picker).is_some_and(|live| {
        snapshot.owns(live) && live.data["status"]["availableReplicas"].as_i64() > Some(0)
    })
}

/// Whether a gateway may still send to the pickers called `picker`: its pool is there, and they answer.
pub(super) fn serves_a_pool(snapshot: &Snapshot, picker: &str) -> bool {
    let present = |pool: &Pool| pool.metadata.deletion_timestamp.is_none();
    let of_picker = |pool: &Pool| names::picker(pool.group, pool.name()) == picker;
    snapshot.pools.iter().any(|pool| present(pool) && of_picker(pool)) && is_available(snapshot, picker)
}
