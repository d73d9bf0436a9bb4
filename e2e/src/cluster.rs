//! A real Kubernetes cluster of one node on this machine: etcd, API server, controllers, scheduler, containerd,
//! kubelet, kube-proxy and CoreDNS, each a process or pod as in any other cluster.

mod addresses;
mod apiserver;
mod audit;
mod component;
mod control_plane;
pub(crate) mod dns;
mod footprint;
mod iptables;
mod kubeconfig;
mod layout;
pub mod network;
mod node;
mod pki;
mod proc;
mod teardown;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

pub use addresses::Family;
pub use apiserver::ApiServer;
pub use audit::{Audit, Request};
pub use proc::Process;

use crate::images::{BaseImages, ImageStore};
use crate::kubectl::Kubectl;
use crate::tools::{self, Tools};
use crate::{Progress, fixtures, paths};
use component::{COMPONENTS, Component, Handle};
use layout::Layout;

/// Held while a cluster comes up or goes down.
const LOCK: &str = "cluster.lock";

/// The running cluster of this machine.
#[derive(Clone, Debug)]
pub struct Cluster {
    layout: Layout,
    tools: Tools,
    apiserver: ApiServer,
}

impl Cluster {
    /// Brings the cluster up: takes the running one, or clears away what is left of a broken one and starts anew.
    /// About 20 s when everything was built before.
    ///
    /// # Errors
    /// When a program can't be had or a component does not come up; with the last lines of its log.
    pub async fn up(family: Family, progress: &Progress) -> Result<Self> {
        prepare_tls();
        let tools = Tools::ready(progress).await?;
        let layout = Layout::at(paths::state());
        let _alone = tools::exclusive(LOCK, progress).await?;
        if layout.root().exists() {
            if let Ok(cluster) = Self::running(&layout, &tools).await {
                ensure!(
                    layout.family() == family,
                    "the cluster that is up has {:?} addresses: `cargo xtask down` removes it",
                    layout.family()
                );
                progress.say("the cluster is up already");
                return Ok(cluster);
            }
            progress
                .step("clearing away what is left of a broken cluster", teardown::everything(&layout))
                .await?;
        }
        let base = BaseImages::built(&tools, progress).await?;
        progress.step("starting the cluster", Self::start(&layout, family, &tools, &base)).await
    }

    /// The cluster that is up.
    ///
    /// # Errors
    /// When none is, or not all of it; the message says what to do.
    pub async fn attach() -> Result<Self> {
        prepare_tls();
        let layout = Layout::at(paths::state());
        ensure!(layout.root().exists(), "no cluster is up on this machine: `cargo xtask up` starts one");
        let tools = Tools::ready(&Progress::stdout()).await?;
        Self::running(&layout, &tools)
            .await
            .context("the cluster is broken: `cargo xtask up` makes a new one")
    }

    /// Whether a cluster, whole or broken, is on this machine.
    pub fn exists() -> bool {
        paths::state().exists()
    }

    /// Takes down whatever cluster is on this machine, and every trace of it.
    ///
    /// # Errors
    /// When something can't be ended or removed.
    pub async fn down(progress: &Progress) -> Result<()> {
        let _alone = tools::exclusive(LOCK, progress).await?;
        let layout = Layout::at(paths::state());
        if !layout.root().exists() {
            progress.say("no cluster is up");
            return Ok(());
        }
        progress.step("taking the cluster down", teardown::everything(&layout)).await
    }

    /// The API server: its process, to take away and bring back, and its audit log.
    pub fn apiserver(&self) -> &ApiServer {
        &self.apiserver
    }

    /// Where its programs are.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig("admin")
    }

    /// The log file of a component: `kubelet`, `containerd`, ….
    pub fn log(&self, component: &str) -> PathBuf {
        self.layout.log(component)
    }

    /// A Kubernetes client with all rights.
    ///
    /// # Errors
    /// When the kubeconfig can't be read.
    pub async fn client(&self) -> Result<kube::Client> {
        kubeconfig::client(&self.layout, "admin").await
    }

    /// A client with helpers for tests, as the administrator.
    ///
    /// # Errors
    /// When the kubeconfig can't be read.
    pub async fn kubectl(&self) -> Result<Kubectl> {
        Ok(Kubectl::new(self.client().await?))
    }

    /// The images that pods can use.
    pub fn images(&self) -> ImageStore {
        ImageStore::new(&self.tools, &self.layout.containerd_socket())
    }

    /// Waits until the controllers and kube-proxy work on what is new. After an absence of the API server they look
    /// again at growing distances, up to a minute.
    ///
    /// # Errors
    /// When they do not within three minutes.
    pub async fn caught_up(&self) -> Result<()> {
        dns::second_service_answers(&self.kubectl().await?).await
    }

    async fn running(layout: &Layout, tools: &Tools) -> Result<Self> {
        let cluster =
            Self { layout: layout.clone(), tools: tools.clone(), apiserver: ApiServer::new(layout, tools)? };
        for name in COMPONENTS {
            ensure!(Handle::new(layout, name).alive(), "{name} does not run");
        }
        ensure!(layout.complete().exists(), "it never came up whole");
        cluster.apiserver.answers().await?;
        Ok(cluster)
    }

    async fn start(layout: &Layout, family: Family, tools: &Tools, base: &BaseImages) -> Result<Self> {
        ports_are_free().await?;
        layout.create()?;
        layout.set_family(family)?;
        footprint::Footprint::take(layout)?;
        pki::create(layout)?;
        kubeconfig::create(layout)?;
        network::create(family.addresses()).await?;

        let parts = Parts::of(layout, tools, &base.pause.reference())?;
        parts.etcd.start().await?;
        parts.containerd.start().await?;
        let cluster =
            Self { layout: layout.clone(), tools: tools.clone(), apiserver: parts.apiserver.clone() };
        tokio::try_join!(cluster.apiserver.start(), cluster.import(&parts.containerd, base))?;

        for part in [&parts.controller_manager, &parts.scheduler, &parts.kubelet, &parts.kube_proxy] {
            part.start().await?;
        }
        let kubectl = cluster.kubectl().await?;
        parts.kubelet.ready(Duration::from_secs(60), || kubectl.node_is_ready(network::NODE)).await?;
        dns::deploy(&kubectl, &base.coredns.reference()).await?;
        fixtures::crds(&kubectl).await?;
        std::fs::write(layout.complete(), "")?;
        Ok(cluster)
    }

    async fn import(&self, containerd: &Component, base: &BaseImages) -> Result<()> {
        let images = self.images();
        containerd.ready(Duration::from_secs(30), || images.answers()).await?;
        for image in [&base.pause, &base.coredns] {
            images.import(image).await?;
        }
        Ok(())
    }
}

/// Every process of the cluster.
struct Parts {
    etcd: Component,
    apiserver: ApiServer,
    containerd: Component,
    controller_manager: Component,
    scheduler: Component,
    kubelet: Component,
    kube_proxy: Component,
}

impl Parts {
    fn of(layout: &Layout, tools: &Tools, pause_image: &str) -> Result<Self> {
        Ok(Self {
            etcd: control_plane::etcd(layout, tools),
            apiserver: ApiServer::new(layout, tools)?,
            containerd: node::containerd(layout, tools, pause_image)?,
            controller_manager: control_plane::controller_manager(layout, tools),
            scheduler: control_plane::scheduler(layout, tools)?,
            kubelet: node::kubelet(layout, tools)?,
            kube_proxy: node::kube_proxy(layout, tools),
        })
    }
}

/// One cryptography provider for every TLS client of the process; a second call changes nothing.
fn prepare_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn ports_are_free() -> Result<()> {
    for port in [network::API_PORT, 10250, 10256].into_iter().chain(control_plane::ETCD_PORTS) {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            bail!("port {port} is taken: another Kubernetes runs on this machine, and one cluster fits");
        }
    }
    Ok(())
}
