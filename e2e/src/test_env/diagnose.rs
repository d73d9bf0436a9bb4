//! A diagnosis of a failed story: pods, events, statuses and logs.

use std::fmt::Write;

use kube::ResourceExt;
use kube::api::ListParams;

use super::{OPERATOR_NAMESPACE, TestEnv};
use crate::shell::last_lines;

/// Lines shown of each log.
const TAIL: usize = 25;

impl TestEnv {
    /// The namespace's pods, events and strategies, and the last lines of its pickers, its gateway, the operator and the
    /// components that keep Services.
    pub async fn diagnosis(&self) -> String {
        let mut text =
            format!("--- what can be seen of it ---\n{}", self.kubectl().report(&self.namespace).await);
        text += &self.strategies().await;
        text += &self.components();
        text += &self.kubectl().report(OPERATOR_NAMESPACE).await;
        for (namespace, selector) in [
            (OPERATOR_NAMESPACE, "app.kubernetes.io/component=operator"),
            (self.namespace.as_str(), "waypost.dev/strategy"),
            (self.namespace.as_str(), "app=envoy"),
        ] {
            for pod in self.kubectl().pods(namespace, selector).await.unwrap_or_default() {
                let log = self.kubectl().logs(namespace, &pod.name_any(), false).await;
                let log = log.unwrap_or_else(|error| format!("{error:#}"));
                let _ = writeln!(text, "--- {}:\n{}", pod.name_any(), last_lines(&log, TAIL));
            }
        }
        text
    }

    /// The last log lines of the components that connect a Service with its pods.
    fn components(&self) -> String {
        ["kube-controller-manager", "kube-proxy"].into_iter().fold(String::new(), |text, component| {
            let log = std::fs::read_to_string(self.cluster_env.cluster().log(component)).unwrap_or_default();
            text + &format!("--- {component}:\n{}\n", last_lines(&log, TAIL))
        })
    }

    async fn strategies(&self) -> String {
        let api = self.strategy_api().await;
        let list = match api {
            Ok(api) => api.list(&ListParams::default()).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        match list {
            Ok(list) => list.items.iter().fold(String::new(), |text, strategy| {
                let status = serde_json::to_string_pretty(&strategy.data["status"]).unwrap_or_default();
                text + &format!("RoutingStrategy {}: {status}\n", strategy.name_any())
            }),
            Err(error) => format!("RoutingStrategies: {error:#}\n"),
        }
    }
}
