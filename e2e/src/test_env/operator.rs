//! The installed operator: its executable, running a story without it, and restarting it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::Api;

use super::install::{OPERATOR, OPERATOR_NAMESPACE};
use super::process::process;
use super::{PATIENCE, TestEnv};
use crate::kubectl::is_ready;
use crate::until;

/// Selects its pods.
pub(super) const PODS: &str = "app.kubernetes.io/component=operator";

/// The user that the API server takes the operator for.
pub fn operator_user() -> String {
    format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR}")
}

impl TestEnv {
    /// Copies the operator's program out of one of its pods into `folder`: it needs nothing but itself.
    ///
    /// # Errors
    /// When no operator runs.
    pub async fn operator_program(&self, folder: &Path) -> Result<PathBuf> {
        let pods = self.kubectl().pods(OPERATOR_NAMESPACE, PODS).await?;
        // One of a former rollout may still be on its way out.
        let pod = pods.iter().find(|pod| is_ready(pod)).context("no operator runs")?;
        let running = format!("/proc/{}/exe", process(pod)?.pid());
        let program = folder.join("operator");
        std::fs::copy(running, &program).with_context(|| format!("copying to {}", program.display()))?;
        Ok(program)
    }

    /// Runs `story` while no operator runs, and brings the operator back after it.
    ///
    /// # Errors
    /// When the story fails, or the operator does not go or come.
    pub async fn without_operator<T>(&self, story: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        let replicas = self.kubectl().scale(OPERATOR_NAMESPACE, OPERATOR, 0).await?;
        let gone = until("the operator to go", PATIENCE, async || {
            let left = self.kubectl().pods(OPERATOR_NAMESPACE, PODS).await?.len();
            ensure!(left == 0, "{left} pods are left");
            Ok(())
        })
        .await;
        let outcome = match gone {
            Ok(()) => story().await,
            Err(error) => Err(error),
        };
        self.kubectl().scale(OPERATOR_NAMESPACE, OPERATOR, replicas).await?;
        self.kubectl().rollout(OPERATOR_NAMESPACE, OPERATOR, PATIENCE).await?;
        outcome
    }

    /// Deletes every pod of the operator and waits until a new one leads.
    ///
    /// # Errors
    /// When none comes to lead.
    pub async fn restart_operator(&self) -> Result<()> {
        let former = self.kubectl().pods(OPERATOR_NAMESPACE, PODS).await?;
        for pod in &former {
            self.kubectl().delete_pod(OPERATOR_NAMESPACE, &pod.name_any(), None).await?;
        }
        self.kubectl().rollout(OPERATOR_NAMESPACE, OPERATOR, PATIENCE).await?;
        let leases = Api::<Lease>::namespaced(self.kubectl().client().clone(), OPERATOR_NAMESPACE);
        until("a new operator to lead", Duration::from_secs(30), async || {
            let holder = leases.get(OPERATOR).await?.spec.and_then(|spec| spec.holder_identity);
            let holder = holder.filter(|holder| !holder.is_empty()).context("nobody leads")?;
            // The pod, and an ending that each process has of its own.
            let leads = |pod: &Pod| holder.split('_').next() == Some(&pod.name_any());
            ensure!(!former.iter().any(leads), "{holder} leads still");
            Ok(())
        })
        .await
    }
}
