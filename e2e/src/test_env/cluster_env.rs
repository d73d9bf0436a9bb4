//! What every story stands on: the cluster, the images of this checkout, and the operator installed by its chart.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{OPERATOR, OPERATOR_NAMESPACE, PATIENCE, chart};
use crate::images::{BaseImages, Image, WaypostImages};
use crate::{Cluster, Kubectl, Progress, paths};

/// A cluster in which the operator of this checkout runs and every image of it can be used.
#[derive(Clone)]
pub struct Ground {
    cluster: Cluster,
    kubectl: Kubectl,
    laid: Laid,
}

/// What was brought into the cluster. Kept with it, so that stories in other processes find it without building
/// anything, and none is built anew in the middle of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Laid {
    images: WaypostImages,
    envoy: Image,
    /// Changes with the chart.
    chart: String,
}

impl Ground {
    /// Brings up whatever of it is not there yet, or is of an earlier state of the checkout.
    ///
    /// # Errors
    /// When the cluster does not come up, an image does not build, or the chart does not install.
    pub async fn up(progress: &Progress) -> Result<Self> {
        let cluster = Cluster::up(progress).await?;
        let images = WaypostImages::built(cluster.tools(), progress).await?;
        let envoy = BaseImages::built(cluster.tools(), progress).await?.envoy;
        let laid = Laid { images, envoy, chart: chart::version()? };
        let kubectl = cluster.kubectl().await?;
        let ground = Self { cluster, kubectl, laid };
        if Laid::found().ok().as_ref() != Some(&ground.laid) {
            progress.step("bringing the images into the cluster", ground.import()).await?;
            chart::install(&ground, progress).await?;
            ground.laid.keep()?;
        }
        Ok(ground)
    }

    /// What [`Ground::up`] laid last, as it is.
    ///
    /// # Errors
    /// When it was not called, or the cluster is gone.
    pub async fn attach() -> Result<Self> {
        let cluster = Cluster::attach().await?;
        let kubectl = cluster.kubectl().await?;
        Ok(Self { cluster, kubectl, laid: Laid::found()? })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The chores of an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The images of this checkout.
    pub fn images(&self) -> &WaypostImages {
        &self.laid.images
    }

    /// The image of Envoy.
    pub fn envoy(&self) -> &Image {
        &self.laid.envoy
    }

    /// Brings back what a story that broke off may have taken away: the API server and the operator.
    ///
    /// # Errors
    /// When one of them does not come back.
    pub async fn mend(&self) -> Result<()> {
        self.cluster.apiserver().start().await?;
        self.kubectl.scale(OPERATOR_NAMESPACE, OPERATOR, chart::REPLICAS).await?;
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

impl Laid {
    fn found() -> Result<Self> {
        let text = std::fs::read(Self::file());
        let text = text
            .context("the operator is not installed in this cluster: `cargo xtask test --reuse` does it")?;
        serde_json::from_slice(&text).context("reading what is installed in this cluster")
    }

    fn keep(&self) -> Result<()> {
        let file = Self::file();
        std::fs::write(&file, serde_json::to_vec(self)?)
            .with_context(|| format!("writing {}", file.display()))
    }

    fn file() -> PathBuf {
        paths::state().join("ground.json")
    }
}
