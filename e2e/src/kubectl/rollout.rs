//! Waiting for workloads and for conditions.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::Kubectl;
use crate::wait::until;

impl Kubectl {
    /// Sets how many replicas a Deployment has, as `kubectl scale`, and gives back how many it had.
    ///
    /// # Errors
    /// When there is no such Deployment.
    pub async fn scale(&self, namespace: &str, deployment: &str, replicas: i32) -> Result<i32> {
        let api = Api::<Deployment>::namespaced(self.client().clone(), namespace);
        let scaling = async {
            let former = api.get_scale(deployment).await?.spec.and_then(|spec| spec.replicas).unwrap_or(1);
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            api.patch_scale(deployment, &PatchParams::default(), &patch).await?;
            Ok::<_, kube::Error>(former)
        };
        scaling.await.with_context(|| format!("scaling Deployment {namespace}/{deployment}"))
    }

    /// Waits until every replica of the Deployment is of its latest template and available, as `kubectl rollout
    /// status`.
    ///
    /// # Errors
    /// When that does not come within `within`; with pods, events and logs of the namespace.
    pub async fn rollout(&self, namespace: &str, deployment: &str, within: Duration) -> Result<()> {
        let api = Api::<Deployment>::namespaced(self.client().clone(), namespace);
        let what = format!("the rollout of Deployment {namespace}/{deployment}");
        let done = until(what, within, || async {
            let found = api.get(deployment).await?;
            let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let status = found.status.unwrap_or_default();
            ensure!(status.observed_generation == found.metadata.generation, "not yet observed");
            let counts = [status.replicas, status.updated_replicas, status.available_replicas];
            let [all, updated, available] = counts.map(Option::unwrap_or_default);
            ensure!(
                all == wanted && updated == wanted && available == wanted,
                "{wanted} wanted, {all} there, {updated} updated, {available} available"
            );
            Ok(())
        });
        match done.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.report(namespace).await)),
        }
    }

    /// Waits until the object has the condition `wanted`, such as `Ready=True`, for its present generation, as
    /// `kubectl wait --for=condition=`.
    ///
    /// # Errors
    /// When that does not come within `within`; with the object's conditions as they are.
    pub async fn condition(
        &self,
        (api_version, kind): (&str, &str),
        namespace: &str,
        name: &str,
        wanted: &str,
        within: Duration,
    ) -> Result<()> {
        let (of_type, status) = wanted.split_once('=').context("a condition is written as Type=Status")?;
        let api = self.api(api_version, kind, namespace).await?;
        until(format_args!("{kind} {namespace}/{name} to be {wanted}"), within, || async {
            let object = api.get(name).await?;
            let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let Some(found) = conditions.iter().find(|condition| condition["type"] == of_type) else {
                bail!("it has no condition {of_type}");
            };
            let generation = found["observedGeneration"].as_i64();
            ensure!(
                found["status"] == status
                    && (generation.is_none() || generation == object.metadata.generation),
                "conditions: {}",
                serde_json::to_string_pretty(&conditions)?
            );
            Ok(())
        })
        .await
    }
}
