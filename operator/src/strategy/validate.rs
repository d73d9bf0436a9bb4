//! Second step: what of the spec holds. Pure.

use std::sync::Arc;

use crds::{Pool, PoolGroup};
use picker_core::config::{Errors, revision};
use serde_json::Value;

use super::claims::{claims, holder};
use super::dereference::Snapshot;
use crate::names;

/// What the spec comes to.
#[derive(Clone, Debug)]
pub(super) struct Valid {
    /// The revision of the routing, if it compiles.
    pub routing: Result<String, Errors>,
    /// The pools that are there and claimed.
    pub claims: Vec<Claim>,
    /// Pools that are claimed by name and not there.
    pub missing: Vec<(PoolGroup, String)>,
    /// Groups of claims whose API is not installed.
    pub unserved: Vec<PoolGroup>,
}

/// A claimed pool.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub pool: Arc<Pool>,
    /// Name of what is made for it.
    pub picker: String,
    /// The older strategy that has it.
    pub holder: Option<String>,
}

impl Valid {
    /// The pools that this strategy drives.
    pub fn own(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|claim| claim.holder.is_none())
    }
}

/// Checks the spec against what else there is.
pub(super) fn validate(snapshot: &Snapshot, compile: impl FnOnce(&Value) -> Result<(), Errors>) -> Valid {
    let spec = &snapshot.strategy.spec;
    let routing = &spec.routing.0;
    let present = |pool: &&Arc<Pool>| pool.metadata.deletion_timestamp.is_none();
    let mut claimed: Vec<Claim> = snapshot
        .pools
        .iter()
        .filter(present)
        .filter(|pool| claims(&snapshot.strategy, pool))
        .map(|pool| Claim {
            picker: names::picker(pool.group, pool.name()),
            holder: holder(&snapshot.strategy, snapshot.others.iter().map(|o| &**o), pool)
                .and_then(|other| other.metadata.name.clone()),
            pool: pool.clone(),
        })
        .collect();
    claimed.sort_by(|a, b| (a.pool.group, a.pool.name()).cmp(&(b.pool.group, b.pool.name())));
    let mut missing: Vec<_> = spec
        .pools
        .iter()
        .filter_map(|claim| Some((claim.group, claim.name.clone()?)))
        .filter(|(group, name)| !claimed.iter().any(|c| c.pool.group == *group && c.pool.name() == name))
        .collect();
    missing.sort();
    missing.dedup();
    let mut unserved: Vec<_> = spec
        .pools
        .iter()
        .map(|claim| claim.group)
        .filter(|group| snapshot.unserved.contains(group))
        .collect();
    unserved.sort();
    unserved.dedup();
    Valid { routing: compile(routing).map(|()| revision(routing)), claims: claimed, missing, unserved }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
