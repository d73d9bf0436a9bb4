//! The images that the cluster itself needs.

use std::path::Path;

use anyhow::{Context, Result};

use super::buildah::{Build, Buildah};
use super::rootfs::copy;
use super::sources::Sources;
use super::{Image, envoy, glibc};
use crate::shell::run;
use crate::tools::Tools;
use crate::{Progress, paths};

/// Images of programs that are not ours.
#[derive(Clone, Debug)]
pub struct BaseImages {
    /// Holds a pod's namespaces.
    pub pause: Image,
    /// The cluster's DNS.
    pub coredns: Image,
    /// Envoy.
    pub envoy: Image,
}

/// Everything of the image is in the folder `rootfs`.
const DOCKERFILE: &str = "FROM scratch\nCOPY rootfs/ /\nUSER 65532:65532\n";

impl BaseImages {
    /// Builds what is not built yet.
    ///
    /// # Errors
    /// When an image can't be built.
    pub async fn built(tools: &Tools, progress: &Progress) -> Result<Self> {
        let folder = paths::cache()?.join("images");
        let pause_source = paths::checkout().join("e2e/kube/pause.c");
        let pause = Sources::default().text(DOCKERFILE).path(paths::checkout(), &pause_source)?.tag();
        let coredns = Sources::default().text(DOCKERFILE).program(&tools.coredns)?.tag();
        let envoy = Sources::default().text(DOCKERFILE).text(glibc::LAYOUT).program(&tools.envoy)?.tag();
        let images = Self {
            pause: Image::new(&folder, "pause", pause),
            coredns: Image::new(&folder, "coredns", coredns),
            envoy: Image::new(&folder, "envoy", envoy),
        };
        if images.all().iter().all(|image| image.is_built()) {
            return Ok(images);
        }
        let buildah = Buildah::open(tools, progress).await?;
        for image in images.all().into_iter().filter(|image| !image.is_built()) {
            let rootfs = async |rootfs: &Path| match image.name.as_str() {
                "pause" => {
                    run("cc")
                        .args(["-static", "-O2", "-o"])
                        .arg(rootfs.join("pause"))
                        .arg(&pause_source)
                        .done()
                        .await
                }
                "coredns" => copy(&tools.coredns, &rootfs.join("coredns")),
                _ => envoy::rootfs(tools, rootfs),
            };
            let label = format!("building image {} (once)", image.name);
            progress.step(label, from_scratch(&buildah, image, rootfs)).await?;
        }
        Ok(images)
    }

    fn all(&self) -> [&Image; 3] {
        [&self.pause, &self.coredns, &self.envoy]
    }
}

async fn from_scratch(
    buildah: &Buildah,
    image: &Image,
    fill: impl AsyncFnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let context = paths::cache()?.join("context").join(&image.name);
    let _ = std::fs::remove_dir_all(&context);
    let rootfs = context.join("rootfs");
    std::fs::create_dir_all(&rootfs)?;
    fill(&rootfs).await?;
    let dockerfile = context.join("Dockerfile");
    std::fs::write(&dockerfile, format!("{DOCKERFILE}ENTRYPOINT [\"/{}\"]\n", image.name))?;
    let build = Build { context: &context, dockerfile: &dockerfile, args: &[], volumes: &[] };
    buildah.archive(image, &build).await?;
    std::fs::remove_dir_all(&context).context("removing the build context")
}
