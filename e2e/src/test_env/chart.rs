//! Installation of the operator with its Helm chart, as a user does it.

use std::time::Duration;

use anyhow::Result;

use crate::images::{Sources, WaypostImages};
use crate::shell::run;
use crate::{Cluster, Kubectl, Progress, paths};

/// Where the operator runs.
pub const OPERATOR_NAMESPACE: &str = "waypost-system";

/// Name of the operator's Deployment, its ServiceAccount and its Lease.
pub const OPERATOR: &str = "waypost-operator";
/// How many replicas the chart gives it.
pub(super) const REPLICAS: i32 = 2;

/// Name of the Helm release, and of [`OPERATOR`] up to `-operator`.
const RELEASE: &str = "waypost";

/// A tag that changes with anything in the chart.
pub(super) fn version() -> Result<String> {
    let chart = paths::checkout().join("charts/waypost");
    Ok(Sources::default().path(&chart, &chart)?.tag())
}

/// Installs or upgrades the chart with these images.
pub(super) async fn install(
    cluster: &Cluster,
    kubectl: &Kubectl,
    images: &WaypostImages,
    progress: &Progress,
) -> Result<()> {
    let WaypostImages { operator, picker, .. } = images;
    let set = [
        format!("image.repository={}", operator.repository()),
        format!("image.tag={}", operator.tag()),
        format!("pickerImage.repository={}", picker.repository()),
        format!("pickerImage.tag={}", picker.tag()),
    ];
    let helm = run(&cluster.tools().helm)
        .args(["upgrade", "--install", RELEASE])
        .arg(paths::checkout().join("charts/waypost"))
        .args(["--namespace", OPERATOR_NAMESPACE, "--create-namespace", "--wait", "--timeout", "60s"])
        .args(set.iter().flat_map(|value| ["--set-string", value]))
        .env("KUBECONFIG", cluster.kubeconfig());
    match progress.step("installing the operator with its Helm chart", helm.done()).await {
        Ok(()) => kubectl.rollout(OPERATOR_NAMESPACE, OPERATOR, Duration::from_secs(60)).await,
        Err(error) => Err(error.context(kubectl.report(OPERATOR_NAMESPACE).await)),
    }
}
