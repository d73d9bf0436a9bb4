//! Third step: all objects that are to be. Pure.

use std::collections::BTreeMap;

use super::dereference::Snapshot;
use super::validate::Valid;
use crate::build::{Defaults, Input, OverlayError, objects};
use crate::drift;
use crate::kinds::{Kind, Object};

/// The objects of each pool that the strategy drives, by the name that they share, ready to be applied.
pub(super) type Built = Result<BTreeMap<String, Vec<Object>>, OverlayError>;

/// Builds them.
pub(super) fn build(snapshot: &Snapshot, valid: &Valid, defaults: &Defaults) -> Built {
    let mut built = BTreeMap::new();
    for claim in valid.own() {
        let input = Input {
            strategy: snapshot.name(),
            uid: snapshot.uid(),
            namespace: snapshot.namespace(),
            pool: claim.pool.name(),
            group: claim.pool.group,
            name: &claim.picker,
            picker: &snapshot.strategy.spec.picker,
            defaults,
        };
        let mut objects = objects(&input)?;
        // The status says what is left out.
        objects.retain(|object| object.kind != Kind::ServiceMonitor || snapshot.monitors);
        for object in &mut objects {
            drift::seal(&mut object.content);
        }
        built.insert(claim.picker.clone(), objects);
    }
    Ok(built)
}
