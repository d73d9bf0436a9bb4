//! Command lines and configuration of containerd, the kubelet and kube-proxy.

use anyhow::Result;
use serde_json::json;

use super::component::Component;
use super::layout::Layout;
use super::network::{self, NODE};
use crate::tools::Tools;

/// The container runtime. Everything it keeps, the pods' network namespaces too, lies below the cluster's folder.
pub fn containerd(layout: &Layout, tools: &Tools, pause_image: &str) -> Result<Component> {
    let cni = network::write_cni(layout)?;
    let config = format!(
        r#"version = 2
root = "{root}"
state = "{state}"
oom_score = 0

[grpc]
address = "{socket}"

[debug]
level = "warn"

[plugins."io.containerd.internal.v1.opt"]
path = "{opt}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause_image}"
netns_mounts_under_state_dir = true
# Without CAP_SYS_RESOURCE (a root in a sandbox), runc can't lower a score and fails instead.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{cni}"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{runc}"
"#,
        root = layout.data("containerd").display(),
        state = layout.data("containerd-state").display(),
        socket = layout.containerd_socket().display(),
        opt = layout.data("containerd-opt").display(),
        plugins = tools.cni_plugins.display(),
        cni = cni.display(),
        runc = layout.data("runc").display(),
    );
    let config = layout.write_config("containerd.toml", &config)?;
    let args = vec!["--config".to_owned(), config.display().to_string()];
    Ok(Component::new(layout, "containerd", &tools.containerd, args))
}

/// The kubelet, with room for many pods and no limits on its way to the API server.
pub fn kubelet(layout: &Layout, tools: &Tools) -> Result<Component> {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.pki("kubelet.crt"),
        "tlsPrivateKeyFile": layout.pki("kubelet.key"),
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        "volumePluginDir": layout.data("kubelet-volume-plugins"),
        "podLogsDir": layout.data("pod-logs"),
        "clusterDNS": [layout.addresses().dns],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "maxPods": 250,
        "serializeImagePulls": false,
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "eventRecordQPS": 0,
        // The machine as it is: cgroup v1 or v2, without systemd, with swap or without, with little disk left.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
    });
    let config = layout.write_config("kubelet.json", &serde_json::to_string_pretty(&config)?)?;
    let args = vec![
        format!("--config={}", config.display()),
        format!("--kubeconfig={}", layout.kubeconfig("kubelet").display()),
        format!("--root-dir={}", layout.data("kubelet").display()),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={}", layout.addresses().bridge),
    ];
    Ok(Component::new(layout, "kubelet", &tools.kubelet, args))
}

/// Makes Services answer, by iptables. Everything is masqueraded: two pods on one bridge talk past the node
/// otherwise, and an answer that was not translated back is dropped, unless the kernel filters bridges.
pub fn kube_proxy(layout: &Layout, tools: &Tools) -> Component {
    let args = vec![
        format!("--kubeconfig={}", layout.kubeconfig("kube-proxy").display()),
        format!("--hostname-override={NODE}"),
        format!("--cluster-cidr={}", layout.addresses().pods),
        "--proxy-mode=iptables".to_owned(),
        "--masquerade-all".to_owned(),
        "--oom-score-adj=0".to_owned(),
        // Leave the kernel's connection tracking as it is.
        "--conntrack-max-per-core=0".to_owned(),
        "--conntrack-tcp-timeout-established=0s".to_owned(),
        "--conntrack-tcp-timeout-close-wait=0s".to_owned(),
    ];
    Component::new(layout, "kube-proxy", &tools.kube_proxy, args)
}
