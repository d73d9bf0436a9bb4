//! The cluster that all stories share, with the images of this checkout and the operator installed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::install::{self, Installer, OPERATOR, OPERATOR_NAMESPACE};
use crate::cluster::Family;
use crate::images::{BaseImages, Image, WaypostImages};
use crate::{Cluster, Kubectl, Progress, paths};

/// How long pods may take to become Ready on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster in which the operator of this checkout runs and every image of it can be used.
#[derive(Clone)]
pub struct ClusterEnv {
    cluster: Cluster,
    kubectl: Kubectl,
    installed: Installed,
}

/// The images and the chart in the cluster. Recorded beside it, so that stories in other processes find it without building
/// anything, and none is built anew in the middle of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Installed {
    images: WaypostImages,
    envoy: Image,
    /// Changes with the chart.
    chart: String,
}

impl ClusterEnv {
    /// Starts the cluster and installs the operator, unless both are there and of this state of the checkout.
    ///
    /// # Errors
    /// When the cluster does not come up, an image does not build, or the chart does not install.
    pub async fn up(installer: Installer, family: Family, progress: &Progress) -> Result<Self> {
        let cluster = Cluster::up(family, progress).await?;
        let images = WaypostImages::built(cluster.tools(), progress).await?;
        let envoy = BaseImages::built(cluster.tools(), progress).await?.envoy;
        let installed = Installed { images, envoy, chart: install::version()? };
        let kubectl = cluster.kubectl().await?;
        let cluster_env = Self { cluster, kubectl, installed };
        if Installed::read().ok().as_ref() != Some(&cluster_env.installed) {
            progress.step("bringing the images into the cluster", cluster_env.import()).await?;
            installer
                .install(&cluster_env.cluster, &cluster_env.kubectl, cluster_env.images(), progress)
                .await?;
            cluster_env.installed.write()?;
        }
        Ok(cluster_env)
    }

    /// What [`ClusterEnv::up`] installed last, as it is.
    ///
    /// # Errors
    /// When it was not called, or the cluster is gone.
    pub async fn attach() -> Result<Self> {
        let cluster = Cluster::attach().await?;
        let kubectl = cluster.kubectl().await?;
        Ok(Self { cluster, kubectl, installed: Installed::read()? })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A client with the rights of an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The images of this checkout.
    pub fn images(&self) -> &WaypostImages {
        &self.installed.images
    }

    /// The image of Envoy.
    pub fn envoy(&self) -> &Image {
        &self.installed.envoy
    }

    /// Installs the operator with its chart again, after a story that installed it otherwise or took it away.
    ///
    /// # Errors
    /// When the chart does not install.
    pub async fn install_again(&self, progress: &Progress) -> Result<()> {
        Installer::Helm.install(&self.cluster, &self.kubectl, self.images(), progress).await
    }

    /// Brings back what a story that broke off may have taken away: the API server and the operator.
    ///
    /// # Errors
    /// When one of them does not come back.
    pub async fn restore(&self) -> Result<()> {
        self.cluster.apiserver().start().await?;
        self.kubectl.scale(OPERATOR_NAMESPACE, OPERATOR, install::REPLICAS).await?;
        self.kubectl.rollout(OPERATOR_NAMESPACE, OPERATOR, PATIENCE).await
    }

    async fn import(&self) -> Result<()> {
        let store = self.cluster.images();
        for image in self.images().all().into_iter().chain([self.envoy()]) {
            store.import(image).await?;
        }
        Ok(())
    }
}

impl Installed {
    fn read() -> Result<Self> {
        let text = std::fs::read(Self::file());
        let text = text
            .context("the operator is not installed in this cluster: `cargo xtask test --reuse` does it")?;
        serde_json::from_slice(&text).context("reading what is installed in this cluster")
    }

    fn write(&self) -> Result<()> {
        let file = Self::file();
        std::fs::write(&file, serde_json::to_vec(self)?)
            .with_context(|| format!("writing {}", file.display()))
    }

    fn file() -> PathBuf {
        paths::state().join("cluster_env.json")
    }
}
