//! The second step of a reconcile: validates a strategy's spec into workloads, bindings and errors. Pure.

use std::sync::Arc;

use crds::{FailureMode, PickerRef, Pool, PoolGroup};
use picker_core::config::{Errors, Warning, revision};
use serde_json::Value;

use super::claims::{claims, holder};
use super::compiled::CompileResult;
use super::snapshot::Snapshot;
use super::wanted_objects::{WantedObjects, wanted_objects};
use super::workload::{Mode, ServedPool, Workload};
use crate::build::{Defaults, EXT_PROC_PORT, OverlayError};
use crate::names;

/// A validated spec.
#[derive(Debug)]
pub(super) struct Valid {
    /// The revision of `spec.routing`, or everything that is wrong with it.
    pub routing: Result<String, Errors>,
    /// The warnings of `spec.routing`; none when it doesn't compile.
    pub warnings: Arc<[Warning]>,
    /// The objects that `spec.picker` asks for, or what is wrong with it.
    pub picker: Result<WantedObjects, OverlayError>,
    /// The picker workloads, each with the pools that it serves: those that this strategy drives.
    pub workloads: Vec<Workload>,
    /// The reference that each of these pools should have.
    pub bindings: Vec<WantedBinding>,
    /// Claimed pools that an older strategy has, and its name.
    pub of_others: Vec<(Arc<Pool>, String)>,
    /// Pools that are claimed by name and not there.
    pub missing: Vec<(PoolGroup, String)>,
    /// Groups of claims whose API is not installed.
    pub unserved: Vec<PoolGroup>,
}

/// A pool, and the endpointPickerRef that it should have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WantedBinding {
    pub pool: Arc<Pool>,
    /// Name of the workload that answers behind the reference.
    pub workload: String,
    /// Without a failure mode where the strategy says nothing of it.
    pub reference: PickerRef,
}

impl Valid {
    /// The pools that this strategy drives.
    pub fn served(&self) -> impl Iterator<Item = &ServedPool> {
        self.workloads.iter().flat_map(|workload| &workload.pools)
    }

    /// Whether this strategy drives `pool`.
    pub fn serves(&self, pool: &Pool) -> bool {
        self.served().any(|own| own.pool.group == pool.group && own.pool.name() == pool.name())
    }

    /// The names of the workloads.
    pub fn names(&self) -> Vec<&str> {
        self.workloads.iter().map(|workload| workload.name.as_str()).collect()
    }
}

/// Validates the spec of a strategy against the snapshot. `compile` compiles a routing.
pub(super) fn validate(
    snapshot: &Snapshot,
    defaults: &Defaults,
    compile: impl FnOnce(&Value) -> CompileResult,
) -> Valid {
    let spec = &snapshot.strategy.spec;
    let routing = &spec.routing.0;
    let present = |pool: &&Arc<Pool>| pool.metadata.deletion_timestamp.is_none();
    let mut claimed: Vec<&Arc<Pool>> =
        snapshot.pools.iter().filter(present).filter(|pool| claims(&snapshot.strategy, pool)).collect();
    claimed.sort_by(|a, b| (a.group, a.name()).cmp(&(b.group, b.name())));
    let (mut workloads, mut bindings, mut of_others) = (Vec::new(), Vec::new(), Vec::new());
    for pool in &claimed {
        let others = snapshot.others.iter().map(|other| &**other);
        if let Some(holder) = holder(&snapshot.strategy, others, pool) {
            of_others.push((Arc::clone(pool), holder.metadata.name.clone().unwrap_or_default()));
            continue;
        }
        let service = names::picker(pool.group, pool.name());
        let reference =
            PickerRef::service(&service, EXT_PROC_PORT, spec.picker.failure_mode.map(FailureMode::as_str));
        bindings.push(WantedBinding { pool: Arc::clone(pool), workload: service.clone(), reference });
        let served = ServedPool { pool: Arc::clone(pool), service: service.clone(), port: EXT_PROC_PORT };
        workloads.push(Workload { name: service, mode: Mode::PerPool, pools: vec![served] });
    }
    let is_claimed = |group, name: &str| claimed.iter().any(|c| c.group == group && c.name() == name);
    let mut missing: Vec<_> =
        spec.pools.iter().filter_map(|claim| Some((claim.group, claim.name.clone()?))).collect();
    missing.retain(|(group, name)| !is_claimed(*group, name));
    missing.sort();
    missing.dedup();
    let mut unserved: Vec<_> = spec.pools.iter().map(|claim| claim.group).collect();
    unserved.retain(|group| snapshot.unserved.contains(group));
    unserved.sort();
    unserved.dedup();
    let (routing, warnings) = match compile(routing) {
        Ok(warnings) => (Ok(revision(routing)), warnings),
        Err(errors) => (Err(errors), [].into()),
    };
    Valid {
        routing,
        warnings,
        picker: wanted_objects(snapshot, &workloads, defaults),
        workloads,
        bindings,
        of_others,
        missing,
        unserved,
    }
}

#[cfg(test)]
mod tests;
