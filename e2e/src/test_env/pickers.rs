//! The pickers of a pool, and requests to the metrics port of each.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{Metrics, PATIENCE, TestEnv};
use crate::load::Client;
use crate::until;

/// The port of metrics and debug pages.
const METRICS_PORT: u16 = 9090;
/// Its label `revision` is the revision that serves; its value, since when.
const SWAPPED: &str = "waypost_strategy_swapped_timestamp_seconds";
/// Longer than any of their answers takes that a story could still use.
const TIMEOUT: Duration = Duration::from_secs(2);

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    /// Name of its pod.
    pub pod: String,
    /// Address of its pod.
    pub address: IpAddr,
}

/// What a replica routes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// Revision of the routing.
    pub revision: String,
    /// When it began to serve, by the replica's own record.
    pub since: SystemTime,
}

impl Picker {
    /// The picker in `pod`.
    ///
    /// # Errors
    /// When the pod has no address.
    pub fn of(pod: &Pod) -> Result<Self> {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        let address = address.with_context(|| format!("pod {} has no address", pod.name_any()))?;
        Ok(Self { pod: pod.name_any(), address: address.parse()? })
    }

    /// The text of a page of its metrics port, such as `/debug/strategy`.
    ///
    /// # Errors
    /// When it does not answer with 200 within two seconds.
    pub async fn page(&self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", SocketAddr::new(self.address, METRICS_PORT));
        let answer = tokio::time::timeout(TIMEOUT, Client::new().get(&url)).await;
        answer.context("no answer within 2 s").flatten().with_context(|| format!("picker {}", self.pod))
    }

    /// Its metrics.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::parse(&self.page("/metrics").await?))
    }

    /// What it serves, and since when.
    ///
    /// # Errors
    /// When it does not answer, or serves nothing.
    pub async fn serving(&self) -> Result<Serving> {
        let metrics = self.metrics().await?;
        let since = UNIX_EPOCH + Duration::from_secs_f64(metrics.value(SWAPPED)?);
        Ok(Serving { revision: metrics.label(SWAPPED, "revision")?.to_owned(), since })
    }

    /// Waits until it serves another revision than `former`.
    ///
    /// # Errors
    /// When it still serves `former` after `within`.
    pub async fn swapped(&self, former: &str, within: Duration) -> Result<Serving> {
        until(format_args!("picker {} to serve another revision than {former}", self.pod), within, || async {
            let serving = self.serving().await?;
            ensure!(serving.revision != former, "it still serves {former}");
            Ok(serving)
        })
        .await
    }
}

impl TestEnv {
    /// The label selector of the pods that pick for `pool`.
    pub fn picker_selector(&self, pool: &str) -> String {
        format!("waypost.dev/pool={pool}")
    }

    /// Waits for the `count` pickers of `pool` to be Ready.
    ///
    /// # Errors
    /// When they do not become Ready; with what keeps them.
    pub async fn pickers(&self, pool: &str, count: usize) -> Result<Vec<Picker>> {
        let selector = self.picker_selector(pool);
        let pods = self.kubectl().ready_pods(self.namespace(), &selector, count, PATIENCE).await?;
        pods.iter().map(Picker::of).collect()
    }

    /// How often each container of the chosen pods (`""`: all of the namespace) was started again, by pod UID, so
    /// that a pod that was replaced shows too.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn starts(&self, selector: &str) -> Result<BTreeMap<String, i32>> {
        let pods = self.kubectl().pods(self.namespace(), selector).await?;
        Ok(pods.iter().map(|pod| (pod.uid().unwrap_or_default(), pod_restarts(pod))).collect())
    }
}

/// Restarts between two looks at [`TestEnv::starts`]: of containers, and of pods that were replaced or added.
pub fn restarts(before: &BTreeMap<String, i32>, after: &BTreeMap<String, i32>) -> i32 {
    let of = |(uid, count): (&String, &i32)| before.get(uid).map_or(1, |former| count - former);
    after.iter().map(of).sum()
}

fn pod_restarts(pod: &Pod) -> i32 {
    let containers =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    containers.map(|container| container.restart_count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_pod_counts_as_a_restart() {
        let look = |pods: &[(&str, i32)]| pods.iter().map(|(uid, n)| ((*uid).to_owned(), *n)).collect();
        let before: BTreeMap<String, i32> = look(&[("a", 0), ("b", 2)]);
        assert_eq!(restarts(&before, &before), 0);
        assert_eq!(restarts(&before, &look(&[("a", 1), ("b", 2)])), 1);
        assert_eq!(restarts(&before, &look(&[("a", 0), ("c", 0)])), 1);
    }
}
