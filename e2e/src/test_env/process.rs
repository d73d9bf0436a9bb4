//! The process of a pod's container, by its control group on this machine.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rustix::process::Signal;

use crate::cluster::Process;

/// Ends the first process of the pod's one container with SIGKILL, as the kernel does when memory
/// runs out.
///
/// # Errors
/// When the pod has no running container.
pub fn kill(pod: &Pod) -> Result<()> {
    process(pod)?.signal(Signal::KILL)
}

/// That process.
///
/// # Errors
/// As [`kill`].
pub(super) fn process(pod: &Pod) -> Result<Process> {
    let containers =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    let id = containers.filter_map(|container| container.container_id.as_deref()).next();
    let id = id.and_then(|id| id.strip_prefix("containerd://"));
    let id = id.with_context(|| format!("pod {} runs no container", pod.name_any()))?;
    let found = Process::in_control_group(id).into_iter().next();
    found.with_context(|| format!("no process of pod {}", pod.name_any()))
}
