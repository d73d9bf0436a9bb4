//! The list of all objects of one picker workload.

use super::input::Input;
use super::overlay::OverlayError;
use super::{deployment, hpa, monitor, network_policy, pdb, rbac, service, service_account};
use crate::kinds::Object;

/// All objects of one workload, in the order in which they are to be made.
///
/// # Errors
/// When the pod template can't be laid over ours, or another field of `spec.picker` is not let through.
pub fn objects(input: &Input<'_>) -> Result<Vec<Object>, OverlayError> {
    let mut objects = vec![
        service_account::build(input)?,
        rbac::role(input)?,
        rbac::binding(input)?,
        service::build(input)?,
    ];
    // Pickers are never there without it.
    if let Some(policy) = &input.picker.network_policy {
        objects.push(network_policy::build(input, policy)?);
    }
    objects.push(deployment::build(input)?);
    if input.least_replicas() > 1 {
        objects.push(pdb::build(input)?);
    }
    if let Some(autoscaling) = &input.picker.autoscaling {
        objects.push(hpa::build(input, autoscaling)?);
    }
    if input.picker.metrics.service_monitor {
        objects.push(monitor::build(input)?);
    }
    Ok(objects)
}
