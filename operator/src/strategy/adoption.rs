//! The objects of a workload whose pods were made for another strategy, or for a former one of the same name: nothing of
//! that alone is a reason to replace them. Pure.

use kube::core::DynamicObject;
use serde_json::Value;

use super::ownership::Ownership;
use super::snapshot::Snapshot;
use crate::build::deployment::TEMPLATE;
use crate::build::{self, Input, OverlayError};
use crate::kinds::{Kind, Object};
use crate::names;

/// Builds the objects of one workload. Pods that are there keep the name and the UID of the strategy that they were made
/// for until something else asks for new ones: they learn from their Deployment which strategy they follow.
///
/// # Errors
/// As [`build::objects`].
pub(super) fn objects(snapshot: &Snapshot, input: &Input<'_>) -> Result<Vec<Object>, OverlayError> {
    let own = build::objects(input)?;
    let Some(live) = snapshot.object(Kind::Deployment, input.name) else { return Ok(own) };
    if snapshot.ownership(live) == Ownership::Foreign {
        return Ok(own);
    }
    let Some((strategy, uid)) = made_for(live) else { return Ok(own) };
    if (strategy.as_str(), uid.as_str()) == input.made_for {
        return Ok(own);
    }
    let kept = build::objects(&Input { made_for: (&strategy, &uid), ..*input })?;
    // Those of an earlier release may not know how to follow another strategy.
    let same = deployment(&kept).is_some_and(|kept| said(kept, TEMPLATE) == said(live, TEMPLATE));
    Ok(if same { kept } else { own })
}

fn deployment(objects: &[Object]) -> Option<&DynamicObject> {
    objects.iter().find(|object| object.kind == Kind::Deployment).map(|object| &object.content)
}

fn said<'a>(object: &'a DynamicObject, annotation: &str) -> Option<&'a String> {
    object.metadata.annotations.as_ref()?.get(annotation)
}

/// Name and UID of the strategy that the pods of a Deployment were made for.
fn made_for(deployment: &DynamicObject) -> Option<(String, String)> {
    let template: Value = serde_json::from_str(said(deployment, TEMPLATE)?).ok()?;
    let label = |name: &str| Some(template["metadata"]["labels"].get(name)?.as_str()?.to_owned());
    Some((label(names::STRATEGY)?, label(names::STRATEGY_UID)?))
}

#[cfg(test)]
mod tests;
