//! Removal of the cluster, whatever state it is in, so that the machine is as it was before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;

use super::component::{COMPONENTS, Handle};
use super::footprint::Footprint;
use super::layout::Layout;
use super::{iptables, network, proc};
use crate::wait::until;

/// How long each component may take to end by itself. The API server would wait for its watches.
const GRACE: Duration = Duration::from_secs(2);

/// Ends every process of ours, then removes what they leave.
pub async fn everything(layout: &Layout) -> Result<()> {
    for name in COMPONENTS {
        Handle::new(layout, name).stop(GRACE).await?;
    }
    pods(layout).await?;
    unmount_below(layout.root())?;
    cgroups().await?;
    network::remove().await?;
    iptables::scrub().await?;
    Footprint::restore(layout)?;
    match std::fs::remove_dir_all(layout.root()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", layout.root().display()))
        }
        _ => Ok(()),
    }
}

/// Ends every container and its shim, by what the kernel knows: containerd may be gone itself.
async fn pods(layout: &Layout) -> Result<()> {
    let socket = layout.containerd_socket();
    let shims = proc::shims(&socket);
    for process in proc::with_descendants(shims.clone()).iter().rev() {
        process.signal(Signal::KILL)?;
    }
    let gone = || async {
        let left = shims.iter().filter(|shim| shim.alive()).count();
        anyhow::ensure!(left == 0, "{left} shims are left");
        Ok(())
    };
    until("the end of every pod", Duration::from_secs(20), gone).await?;
    // A shim that is killed leaves its socket, in a folder that it may share with another containerd.
    let bundles = layout.data("containerd-state").join("io.containerd.runtime.v2.task/k8s.io");
    for bundle in std::fs::read_dir(bundles).into_iter().flatten().filter_map(Result::ok) {
        let address = std::fs::read_to_string(bundle.path().join("address")).unwrap_or_default();
        if let Some(socket) = address.trim().strip_prefix("unix://") {
            let _ = std::fs::remove_file(socket);
        }
    }
    Ok(())
}

fn unmount_below(root: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    // Later mounts lie above or below earlier ones: last in, first out.
    let mut below: Vec<PathBuf> = below.filter(|point| point.starts_with(root)).collect();
    below.reverse();
    for point in below {
        unmount(&point, UnmountFlags::DETACH).with_context(|| format!("unmounting {}", point.display()))?;
    }
    Ok(())
}

/// Removes the kubelet's control groups in every hierarchy. Their processes are ended; the kernel may take a moment.
async fn cgroups() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    for line in mounts.lines().filter(|line| line.contains(" - cgroup")) {
        let Some(hierarchy) = line.split(' ').nth(4) else { continue };
        let kubepods = Path::new(hierarchy).join("kubepods");
        let removed = || async { remove_groups(&kubepods) };
        until(format_args!("removing {}", kubepods.display()), Duration::from_secs(10), removed).await?;
    }
    Ok(())
}

fn remove_groups(group: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(group) else { return Ok(()) };
    for entry in
        entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        remove_groups(&entry.path())?;
    }
    std::fs::remove_dir(group).with_context(|| format!("removing {}", group.display()))
}
