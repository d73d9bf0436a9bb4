//! The Kubernetes objects that a strategy asks for, with the hash by which drift is told. Pure.

use std::collections::BTreeMap;

use crds::PoolGroup;

use super::adoption;
use super::snapshot::Snapshot;
use super::workload::Workload;
use crate::build::{self, Defaults, Input, OverlayError, auth};
use crate::drift;
use crate::kinds::{Kind, Object};

/// Stands in for a pool when there is none, so that what is wrong with `spec.picker` is found all the same.
const NO_POOL: &str = "pool";

/// The objects of all workloads of a strategy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct WantedObjects {
    /// The objects of each workload, by its name, in the order in which they are to be made.
    pub workloads: BTreeMap<String, Vec<Object>>,
    /// The ClusterRoleBinding of all workloads together, where one is asked for.
    pub rights: Option<Object>,
}

/// Builds the objects of `workloads`.
///
/// # Errors
/// What is wrong with `spec.picker`, also when there is no workload.
pub(super) fn wanted_objects(
    snapshot: &Snapshot,
    workloads: &[Workload],
    defaults: &Defaults,
) -> Result<WantedObjects, OverlayError> {
    let picker = &snapshot.strategy.spec.picker;
    let input = |name, pool, group| Input {
        strategy: snapshot.name(),
        uid: snapshot.uid(),
        made_for: (snapshot.name(), snapshot.uid()),
        namespace: snapshot.namespace(),
        pool,
        group,
        name,
        picker,
        defaults,
    };
    let mut built = WantedObjects::default();
    for workload in workloads {
        for served in &workload.pools {
            let input = input(&workload.name, served.pool.name(), served.pool.group);
            built
                .workloads
                .insert(workload.name.clone(), sealed(adoption::objects(snapshot, &input)?, snapshot));
        }
    }
    if workloads.is_empty() {
        build::objects(&input(NO_POOL, NO_POOL, PoolGroup::default()))?;
    } else if picker.metrics.auth {
        let names: Vec<&str> = workloads.iter().map(|workload| workload.name.as_str()).collect();
        let rights = auth::binding(snapshot.namespace(), snapshot.name(), &defaults.version, &names)?;
        built.rights = sealed(vec![rights], snapshot).pop();
    }
    Ok(built)
}

fn sealed(mut objects: Vec<Object>, snapshot: &Snapshot) -> Vec<Object> {
    // The status says what is left out.
    objects.retain(|object| object.kind != Kind::ServiceMonitor || snapshot.monitors);
    for object in &mut objects {
        drift::seal(&mut object.content);
    }
    objects
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::strategy::testing::{defaults, snapshot};
    use crate::strategy::validate::validate;

    #[test]
    fn monitors_are_wanted_where_there_can_be_any() {
        let mut snapshot = snapshot();
        Arc::make_mut(&mut snapshot.strategy).spec.picker.metrics.service_monitor = true;
        for monitors in [true, false] {
            snapshot.monitors = monitors;
            let built = validate(&snapshot, &defaults(), |_| Ok([].into())).picker.unwrap();
            let mut wanted = built.workloads["qwen-picker"].iter();
            assert_eq!(wanted.any(|object| object.kind == Kind::ServiceMonitor), monitors);
        }
    }
}
