//! The HorizontalPodAutoscaler of a picker workload.

use crds::Autoscaling;
use serde_json::json;

use super::input::Input;
use crate::kinds::{Kind, Object};

/// The HorizontalPodAutoscaler of a pool's pickers.
pub(super) fn build(input: &Input<'_>, autoscaling: &Autoscaling) -> Result<Object, serde_json::Error> {
    let target =
        json!({"type": "Utilization", "averageUtilization": autoscaling.target_cpu_utilization_percentage});
    input.object(
        Kind::HorizontalPodAutoscaler,
        json!({"spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": input.name},
            "minReplicas": autoscaling.min_replicas,
            "maxReplicas": autoscaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }}),
    )
}
