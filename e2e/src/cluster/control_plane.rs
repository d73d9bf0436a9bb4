//! Command lines of etcd, the controller manager and the scheduler.

use anyhow::Result;
use serde_json::json;

use super::component::Component;
use super::layout::Layout;
use crate::tools::Tools;

/// Where etcd answers. Not its usual port: Debian's package may have started one of its own.
pub const ETCD: &str = "http://127.0.0.1:23790";
const ETCD_PEER: &str = "http://127.0.0.1:23800";
/// The ports of both. An API server would take the etcd of somebody else there for its own.
pub const ETCD_PORTS: [u16; 2] = [23790, 23800];

/// The store. Without fsync: a cluster that lives for an hour needs no durability, and two cores need the time.
pub fn etcd(layout: &Layout, tools: &Tools) -> Component {
    let args = vec![
        format!("--data-dir={}", layout.data("etcd").display()),
        format!("--listen-client-urls={ETCD}"),
        format!("--advertise-client-urls={ETCD}"),
        format!("--listen-peer-urls={ETCD_PEER}"),
        format!("--initial-advertise-peer-urls={ETCD_PEER}"),
        format!("--initial-cluster=default={ETCD_PEER}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Component::new(layout, "etcd", &tools.etcd, args)
}

/// The controllers. The long grace keeps pods Ready over the time that a test takes the API server away; without it,
/// every pod is marked NotReady at its return, because the kubelet could not report meanwhile.
pub fn controller_manager(layout: &Layout, tools: &Tools) -> Component {
    let args = vec![
        format!("--kubeconfig={}", layout.kubeconfig("kube-controller-manager").display()),
        format!("--service-account-private-key-file={}", layout.pki("service-account.key").display()),
        format!("--root-ca-file={}", layout.pki("ca.crt").display()),
        format!("--cluster-signing-cert-file={}", layout.pki("ca.crt").display()),
        format!("--cluster-signing-key-file={}", layout.pki("ca.key").display()),
        "--use-service-account-credentials".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--node-monitor-grace-period=10m".to_owned(),
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ];
    Component::new(layout, "kube-controller-manager", &tools.kube_controller_manager, args)
}

/// The scheduler, with its rate limits out of the way.
pub fn scheduler(layout: &Layout, tools: &Tools) -> Result<Component> {
    let config = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": layout.kubeconfig("kube-scheduler"), "qps": 500, "burst": 1000},
        "leaderElection": {"leaderElect": false},
    });
    let config = layout.write_config("kube-scheduler.json", &serde_json::to_string_pretty(&config)?)?;
    let args = vec![format!("--config={}", config.display()), "--secure-port=0".to_owned()];
    Ok(Component::new(layout, "kube-scheduler", &tools.kube_scheduler, args))
}
