//! Installation of the operator as users do it: with its Helm chart, or with its manifests.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::images::{Sources, WaypostImages};
use crate::shell::{Run, run};
use crate::tools::Clients;
use crate::{Cluster, Kubectl, Progress, paths};

/// Where the operator runs.
pub const OPERATOR_NAMESPACE: &str = "waypost-system";

/// Name of the operator's Deployment, its ServiceAccount and its Lease.
pub const OPERATOR: &str = "waypost-operator";
/// How many replicas the chart gives it.
pub(super) const REPLICAS: i32 = 2;

/// How long the operator may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Name of the Helm release, and of [`OPERATOR`] up to `-operator`.
const RELEASE: &str = "waypost";

/// The way in which the operator is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installer {
    /// Its chart.
    Helm,
    /// `config/crd` and `config/operator`, which are the chart rendered.
    Manifests,
}

/// A tag that changes with anything in the chart.
pub(super) fn version() -> Result<String> {
    let chart = paths::checkout().join("charts/waypost");
    Ok(Sources::default().path(&chart, &chart)?.tag())
}

impl Installer {
    /// Installs or upgrades the operator with these images.
    pub(super) async fn install(
        self,
        cluster: &Cluster,
        kubectl: &Kubectl,
        images: &WaypostImages,
        progress: &Progress,
    ) -> Result<()> {
        let installed = match self {
            Self::Helm => {
                let helm = helm(&Clients::ready(progress).await?, cluster, images);
                progress.step("installing the operator with its Helm chart", helm.done()).await
            }
            Self::Manifests => {
                progress.step("installing the operator with its manifests", manifests(kubectl, images)).await
            }
        };
        match installed {
            Ok(()) => kubectl.rollout(OPERATOR_NAMESPACE, OPERATOR, PATIENCE).await,
            Err(error) => Err(error.context(kubectl.report(OPERATOR_NAMESPACE).await)),
        }
    }
}

fn helm(clients: &Clients, cluster: &Cluster, WaypostImages { operator, picker, .. }: &WaypostImages) -> Run {
    let set = [
        format!("image.repository={}", operator.repository()),
        format!("image.tag={}", operator.tag()),
        format!("pickerImage.repository={}", picker.repository()),
        format!("pickerImage.tag={}", picker.tag()),
    ];
    // What was installed with manifests is the release's from now on.
    run(&clients.helm)
        .args(["upgrade", "--install", RELEASE, "--take-ownership"])
        .arg(paths::checkout().join("charts/waypost"))
        .args(["--namespace", OPERATOR_NAMESPACE, "--create-namespace", "--wait", "--timeout", "60s"])
        .args(set.iter().flat_map(|value| ["--set-string", value]))
        .env("KUBECONFIG", cluster.kubeconfig())
}

async fn manifests(kubectl: &Kubectl, WaypostImages { operator, picker, .. }: &WaypostImages) -> Result<()> {
    let config = paths::checkout().join("config");
    for file in
        ["crd/waypost.dev_routingstrategies.yaml", "operator/namespace.yaml", "operator/operator.yaml"]
    {
        let file = config.join(file);
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let text = [("operator", operator), ("picker", picker)].iter().fold(text, |text, (name, image)| {
            text.replace(&format!("waypost/{name}:{}", env!("CARGO_PKG_VERSION")), &image.reference())
        });
        kubectl.apply(OPERATOR_NAMESPACE, &text).await?;
    }
    Ok(())
}
