//! What the machine was like before the cluster came, so that nothing of it stays behind: folders that programs make
//! in fixed places, and kernel settings that they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::layout::Layout;

/// Folders that kubelet, containerd, runc and CNI make whatever they are told.
const FOLDERS: [&str; 9] = [
    "/etc/cni",
    "/opt/cni",
    "/run/containerd",
    "/run/kubernetes",
    "/run/netns",
    "/run/runc",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
];

/// Folders of logs: the kubelet makes links for every container.
const LOG_FOLDERS: [&str; 2] = ["/var/log/containers", "/var/log/pods"];

/// Settings that kubelet, kube-proxy and the bridge plugin write.
const SETTINGS: [&str; 7] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
];

/// The machine before.
#[derive(Debug, Serialize, Deserialize)]
pub struct Footprint {
    absent: Vec<PathBuf>,
    settings: BTreeMap<String, String>,
}

impl Footprint {
    /// Takes note of the machine as it is, unless a note of an earlier start is there.
    pub fn take(layout: &Layout) -> Result<()> {
        let path = layout.footprint();
        if path.exists() {
            return Ok(());
        }
        let folders = FOLDERS.iter().chain(&LOG_FOLDERS);
        let footprint = Self {
            absent: folders.map(PathBuf::from).filter(|folder| !folder.exists()).collect(),
            settings: SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), setting(name)?))).collect(),
        };
        let text = serde_json::to_vec_pretty(&footprint)?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Puts the machine back. To be called when no process of the cluster is left.
    pub fn restore(layout: &Layout) -> Result<()> {
        let Ok(text) = std::fs::read(layout.footprint()) else { return Ok(()) };
        let before: Self = serde_json::from_slice(&text).context("reading the machine's state before")?;
        for (name, value) in &before.settings {
            if setting(name).as_ref() != Some(value) {
                std::fs::write(Path::new("/proc/sys").join(name), value)
                    .with_context(|| format!("putting kernel setting {name} back to {value}"))?;
            }
        }
        for folder in before.absent.iter().filter(|folder| folder.exists()) {
            std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(())
    }
}

fn setting(name: &str) -> Option<String> {
    Some(std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().to_owned())
}
