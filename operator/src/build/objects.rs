//! The list of all objects of one picker workload.

use super::input::Input;
use super::overlay::OverlayError;
use super::{deployment, hpa, monitor, pdb, rbac, service, service_account};
use crate::kinds::Object;

/// All objects of one workload, in the order in which they are to be made.
///
/// # Errors
/// When the pod template can't be laid over ours.
pub fn objects(input: &Input<'_>) -> Result<Vec<Object>, OverlayError> {
    let mut objects = vec![
        service_account::build(input)?,
        rbac::role(input)?,
        rbac::binding(input)?,
        service::build(input)?,
        deployment::build(input)?,
    ];
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
