//! An Envoy that runs in a pod.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{ADMIN_PORT, Backend, Dialect, HTTP_PORT, PICKER_PORT, stats};
use crate::Kubectl;
use crate::cluster::{dns, network};
use crate::images::{Image, Sources};
use crate::wait::until;

/// How long each step of bringing one up may take.
const WITHIN: Duration = Duration::from_secs(120);

/// A running Envoy. The host reaches its pod by address.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Name of its Deployment, Service and ConfigMap.
    pub name: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's address.
    pub address: IpAddr,
}

impl Gateway {
    /// Deploys Envoy as `name` with the configuration that `dialect` makes of `backend`, in the backend's namespace,
    /// once the backend can be reached, and waits until it is ready. A changed configuration replaces the pod.
    ///
    /// # Errors
    /// When one of them does not come within two minutes; with what Envoy said.
    pub async fn deploy(
        kubectl: &Kubectl,
        name: &str,
        image: &Image,
        dialect: &dyn Dialect,
        backend: &Backend,
    ) -> Result<Self> {
        Self::deploy_in(kubectl, &backend.namespace, name, image, dialect, backend).await
    }

    /// As [`Gateway::deploy`], in a namespace of its own.
    ///
    /// # Errors
    /// As [`Gateway::deploy`].
    pub async fn deploy_in(
        kubectl: &Kubectl,
        namespace: &str,
        name: &str,
        image: &Image,
        dialect: &dyn Dialect,
        backend: &Backend,
    ) -> Result<Self> {
        reachable(kubectl, backend, WITHIN).await?;
        let config = dialect.bootstrap(backend);
        let running = Self::run(kubectl, namespace, name, image, &config, &[]);
        running.await.with_context(|| format!("Envoy {name} ({})", dialect.name()))
    }

    /// Deploys Envoy with this configuration and these further arguments, and waits until it is ready. In arguments
    /// `$(POD_NAME)` and `$(POD_IP)` stand for those of the pod.
    pub(super) async fn run(
        kubectl: &Kubectl,
        namespace: &str,
        name: &str,
        image: &Image,
        config: &Value,
        args: &[&str],
    ) -> Result<Self> {
        let config = serde_saphyr::to_string(config).context("writing Envoy's configuration")?;
        for object in objects(name, image, &config, args) {
            kubectl.apply_object(namespace, object).await?;
        }
        kubectl.rollout(namespace, name, WITHIN).await?;
        // The pod of a former configuration may still be on its way out.
        let pods = kubectl.ready_pods(namespace, &format!("gateway={name}"), 1, WITHIN).await?;
        let pod = pods.into_iter().next().context("one pod")?;
        let address = pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.as_ref())
            .context("a ready pod has an address")?
            .parse()
            .context("reading the address of a pod")?;
        Ok(Self { name: name.to_owned(), pod: pod.name_any(), address })
    }

    /// Where to send requests: `http://10.244.0.9:8081`.
    pub fn url(&self) -> String {
        format!("http://{}", SocketAddr::new(self.address, HTTP_PORT))
    }

    /// Envoy's counters and gauges whose name contains a match of the regular expression `filter`.
    ///
    /// # Errors
    /// When its admin endpoint does not answer.
    pub async fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        stats::read(&SocketAddr::new(self.address, ADMIN_PORT).to_string(), filter).await
    }
}

/// Waits until the backend's Services, as far as there are any, are known to the cluster's DNS, and the picker's takes
/// connections. DNS and kube-proxy are a moment behind the API server, and half a minute when that was away just
/// before: they wait longer after each failed look.
async fn reachable(kubectl: &Kubectl, backend: &Backend, within: Duration) -> Result<()> {
    let services = Api::<Service>::namespaced(kubectl.client().clone(), &backend.namespace);
    let known = async |name: &str| -> Result<Option<IpAddr>> {
        if services.get_opt(name).await?.is_none() {
            return Ok(None);
        }
        let full = format!("{name}.{}.svc.cluster.local", backend.namespace);
        let what = format!("{full} in the cluster's DNS");
        until(what, within, || dns::lookup(&full)).await.map(Some)
    };
    known(&backend.pods).await?;
    let Some(picker) = known(&backend.picker).await? else { return Ok(()) };
    let picker = picker.to_string();
    let connects = || network::takes_connections(&picker, PICKER_PORT);
    until(format_args!("connections to Service {}", backend.picker), within, connects).await
}

fn objects(name: &str, image: &Image, config: &str, further: &[&str]) -> [Value; 3] {
    let args = ["-c", "/etc/envoy/envoy.yaml", "--concurrency", "2", "--log-level", "warning"];
    let args: Vec<&str> = args.iter().chain(further).copied().collect();
    let of_pod =
        |name: &str, field: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}});
    let labels = json!({"app": "envoy", "gateway": name});
    // By the last one Istio knows which Gateway's listeners call pickers.
    let pod_labels = json!({"app": "envoy", "gateway": name, "gateway.networking.k8s.io/gateway-name": name});
    let config_map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {"envoy.yaml": config},
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels},
        "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": HTTP_PORT}]},
    });
    let container = json!({
        "name": "envoy",
        "image": image.reference(),
        "imagePullPolicy": "Never",
        "args": args,
        "env": [of_pod("POD_NAME", "metadata.name"), of_pod("POD_IP", "status.podIP")],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": ADMIN_PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/envoy"}],
    });
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {
                    "labels": pod_labels,
                    "annotations": {"waypost.dev/config": Sources::default().text(config).tag()},
                },
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "containers": [container],
                    "volumes": [{"name": "config", "configMap": {"name": name}}],
                },
            },
        },
    });
    [config_map, service, deployment]
}
