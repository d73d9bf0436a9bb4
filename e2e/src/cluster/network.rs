//! The pod network: one bridge on this machine with every pod on it, and the addresses of the cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::layout::Layout;
use crate::shell::run;

/// The bridge. A name of our own, so that taking it down can hit nobody else's.
pub const BRIDGE: &str = "waypost0";
/// The machine's own address on the bridge: how pods reach the API server.
pub const BRIDGE_ADDRESS: &str = "10.244.0.1";
/// Where pods get their addresses from.
pub const PODS: &str = "10.244.0.0/16";
/// Where Services get theirs from.
pub const SERVICES: &str = "10.96.0.0/16";
/// The Service `kubernetes`: the first address of [`SERVICES`].
pub const SERVICE_KUBERNETES: &str = "10.96.0.1";
/// The Service of the cluster's DNS.
pub const SERVICE_DNS: &str = "10.96.0.10";
/// The API server's port.
pub const API_PORT: u16 = 6443;
/// The one node.
pub const NODE: &str = "waypost-node";

/// The name of the CNI network, which shows in what libcni keeps.
const NETWORK: &str = "waypost-e2e";

/// Makes the bridge, before the kubelet asks for the node's address.
pub async fn create() -> Result<()> {
    if !exists() {
        run("ip").args(["link", "add", BRIDGE, "type", "bridge"]).done().await?;
    }
    run("ip").args(["addr", "replace", &format!("{BRIDGE_ADDRESS}/16"), "dev", BRIDGE]).done().await?;
    run("ip").args(["link", "set", BRIDGE, "up"]).done().await
}

/// Whether something takes TCP connections there.
///
/// # Errors
/// When nothing does within a second: a packet that nothing takes gets no word back.
pub async fn takes_connections(host: &str, port: u16) -> Result<()> {
    let connecting = TcpStream::connect((host, port));
    let connected = timeout(Duration::from_secs(1), connecting).await;
    connected
        .with_context(|| format!("no answer from {host}:{port} within a second"))?
        .map(drop)
        .map_err(Into::into)
}

/// Removes the bridge and the pods' ends on it.
pub async fn remove() -> Result<()> {
    if !exists() {
        return Ok(());
    }
    for port in ports() {
        // The other end may have gone with its pod meanwhile.
        let _ = run("ip").args(["link", "delete", &port]).done().await;
    }
    run("ip").args(["link", "delete", BRIDGE]).done().await
}

/// Writes the CNI configuration and gives back its folder. No masquerading: pods have no business outside.
pub fn write_cni(layout: &Layout) -> Result<std::path::PathBuf> {
    let folder = layout.config("cni");
    std::fs::create_dir_all(&folder)?;
    let list = json!({
        "cniVersion": "0.4.0",
        "name": NETWORK,
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": layout.data("cni"),
                "ranges": [[{"subnet": PODS, "gateway": BRIDGE_ADDRESS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    layout.write_config("cni/10-waypost.conflist", &serde_json::to_string_pretty(&list)?)?;
    Ok(folder)
}

fn exists() -> bool {
    Path::new("/sys/class/net").join(BRIDGE).exists()
}

fn ports() -> Vec<String> {
    let ports = std::fs::read_dir(format!("/sys/class/net/{BRIDGE}/brif")).into_iter().flatten();
    ports.filter_map(Result::ok).filter_map(|port| port.file_name().into_string().ok()).collect()
}
