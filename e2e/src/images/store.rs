//! The node's image store, in containerd.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Image;
use crate::shell::{Run, run};
use crate::tools::Tools;

/// The images that pods of the cluster can use.
#[derive(Clone, Debug)]
pub struct ImageStore {
    ctr: PathBuf,
    socket: PathBuf,
}

impl ImageStore {
    /// The store of the containerd that listens at `socket`.
    pub fn new(tools: &Tools, socket: &Path) -> Self {
        Self { ctr: tools.ctr.clone(), socket: socket.to_owned() }
    }

    /// Whether containerd answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answers(&self) -> Result<()> {
        self.run().args(["images", "ls", "-q"]).done().await
    }

    /// Makes `image` known to the node, unless it is, and lets `:dev` point to it.
    ///
    /// # Errors
    /// When the archive can't be read or containerd refuses it.
    pub async fn import(&self, image: &Image) -> Result<()> {
        let known = self.run().args(["images", "ls", "-q"]).output().await?;
        let reference = image.reference();
        if !known.lines().any(|line| line == reference) {
            self.run().args(["images", "import"]).arg(&image.archive).done().await?;
        }
        self.name(image, &image.latest()).await
    }

    /// Gives a known image one more name.
    ///
    /// # Errors
    /// When containerd does not know it.
    pub async fn name(&self, image: &Image, name: &str) -> Result<()> {
        self.run().args(["images", "tag", "--force", &image.reference(), name]).done().await
    }

    fn run(&self) -> Run {
        run(&self.ctr).arg("--address").arg(&self.socket).args(["--namespace", "k8s.io"])
    }
}
