//! An Envoy that a control plane of Istio configures over xDS.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{ADMIN_PORT, Gateway, parts};
use crate::Kubectl;
use crate::images::Image;

const CONTROL_PLANE: &str = "xds-grpc";

impl Gateway {
    /// Deploys Envoy as `name` with nothing but the address of its control plane, whose listeners take requests at
    /// port 80 of the Service of the same name. It serves the Gateway of the same name, and is ready without any listener.
    ///
    /// # Errors
    /// When it does not become ready within two minutes; with what it said.
    pub async fn driven(
        kubectl: &Kubectl,
        namespace: &str,
        name: &str,
        image: &Image,
        control_plane: (&str, u16),
    ) -> Result<Self> {
        // Istio finds the pod, and by its labels the Service, by the address and the name in here.
        let node = format!("router~$(POD_IP)~$(POD_NAME).{namespace}~{namespace}.svc.cluster.local");
        let args = ["--service-node", &node, "--service-cluster", name, "--file-flush-interval-msec", "100"];
        let config = bootstrap(namespace, name, control_plane);
        let running = Self::run(kubectl, namespace, name, image, &config, &args);
        running.await.with_context(|| format!("Envoy {name}, driven by its control plane"))
    }
}

fn bootstrap(namespace: &str, name: &str, (host, port): (&str, u16)) -> Value {
    let aggregated = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    let mut control_plane = parts::grpc_cluster(CONTROL_PLANE, host, port);
    // It may be stopped for a while: a connection that says nothing is no reason to dial anew.
    control_plane["type"] = json!("STATIC");
    json!({
        "node": {"metadata": {
            "CLUSTER_ID": "Kubernetes",
            "NAMESPACE": namespace,
            "LABELS": {"app": "envoy", "gateway": name, "gateway.networking.k8s.io/gateway-name": name},
        }},
        "admin": {"address": parts::everywhere(ADMIN_PORT)},
        "dynamic_resources": {
            "lds_config": aggregated,
            "cds_config": aggregated,
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": CONTROL_PLANE}}],
            },
        },
        "static_resources": {"clusters": [control_plane]},
    })
}
