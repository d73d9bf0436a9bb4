//! Pods: lists, logs, readiness and restarts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, LogParams};

use super::Kubectl;
use crate::wait::until;

impl Kubectl {
    /// The pods of `namespace` that the label selector `selector` chooses (`""`: all), sorted by name.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let api = Api::<Pod>::namespaced(self.client().clone(), namespace);
        let mut pods = api.list(&ListParams::default().labels(selector)).await?.items;
        pods.sort_by_key(ResourceExt::name_any);
        Ok(pods)
    }

    /// Waits until exactly `count` pods are chosen by `selector`, all of them Ready, and gives them back.
    ///
    /// # Errors
    /// When that does not come within `within`; with what keeps the pods from it.
    pub async fn ready_pods(
        &self,
        namespace: &str,
        selector: &str,
        count: usize,
        within: Duration,
    ) -> Result<Vec<Pod>> {
        let what = format!("{count} ready pods of {selector} in {namespace}");
        let found = until(what, within, || async {
            let pods = self.pods(namespace, selector).await?;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            ensure!(ready == count && pods.len() == count, "{ready} of {} are ready", pods.len());
            Ok(pods)
        });
        match found.await {
            Ok(pods) => Ok(pods),
            Err(error) => Err(error.context(self.report(namespace).await)),
        }
    }

    /// Deletes a pod: gracefully with `None`, else with so many seconds of grace (0: at once).
    ///
    /// # Errors
    /// When there is no such pod.
    pub async fn delete_pod(&self, namespace: &str, name: &str, grace: Option<u32>) -> Result<()> {
        let api = Api::<Pod>::namespaced(self.client().clone(), namespace);
        let params =
            grace.map_or_else(DeleteParams::default, |seconds| DeleteParams::default().grace_period(seconds));
        api.delete(name, &params).await.map(drop).with_context(|| format!("deleting pod {namespace}/{name}"))
    }

    /// What the pod's one container said; that of its former run if `previous`.
    ///
    /// # Errors
    /// When there is no such pod, or it has more containers than one.
    pub async fn logs(&self, namespace: &str, name: &str, previous: bool) -> Result<String> {
        let api = Api::<Pod>::namespaced(self.client().clone(), namespace);
        let params = LogParams { previous, ..LogParams::default() };
        api.logs(name, &params).await.with_context(|| format!("the log of pod {namespace}/{name}"))
    }

    /// How often the containers of the chosen pods were started again, in all.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn restarts(&self, namespace: &str, selector: &str) -> Result<i32> {
        let pods = self.pods(namespace, selector).await?;
        Ok(pods.iter().map(restarts).sum())
    }
}

/// Whether the pod has condition Ready and is not being deleted.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let ready = conditions.filter(|condition| condition.type_ == "Ready").any(|ready| ready.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

pub(super) fn restarts(pod: &Pod) -> i32 {
    let containers =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    containers.map(|container| container.restart_count).sum()
}
