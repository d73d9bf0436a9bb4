//! The pod network: one bridge on this machine with every pod on it, and the addresses of the cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use super::addresses::{Addresses, Family};
use super::layout::Layout;
use crate::paths;
use crate::shell::run;

/// The bridge. A name of our own, so that taking it down can hit nobody else's.
pub const BRIDGE: &str = "waypost0";
/// The machine's own address on the bridge where a cluster has IPv4 addresses.
pub const BRIDGE_ADDRESS: &str = Addresses::IPV4.bridge;
/// The API server's port.
pub const API_PORT: u16 = 6443;
/// The one node.
pub const NODE: &str = "waypost-node";

/// The name of the CNI network, which shows in what libcni keeps.
const NETWORK: &str = "waypost-e2e";

/// The family of the addresses of the cluster of this machine.
pub fn family() -> Family {
    Layout::at(paths::state()).family()
}

/// Makes the bridge, before the kubelet asks for the node's address.
pub async fn create(addresses: &Addresses) -> Result<()> {
    if !exists() {
        // With snooping, and nobody who asks for memberships, neighbours of IPv6 are not found after a while.
        let bridge = ["link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0"];
        run("ip").args(bridge).done().await?;
    }
    // Another machine on the bridge could have the same address in IPv6, which is found out within a second otherwise.
    let replace = ["addr", "replace", &addresses.on_bridge(), "dev", BRIDGE];
    let nodad = addresses.bridge.contains(':').then_some("nodad");
    run("ip").args(replace.into_iter().chain(nodad)).done().await?;
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
    let addresses = layout.addresses();
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
                "ranges": [[{"subnet": addresses.pods, "gateway": addresses.bridge}]],
                "routes": [{"dst": addresses.everywhere}],
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
