//! Image builds with buildah: no container engine, no daemon, and a store of our own below the cache.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Image;
use crate::Progress;
use crate::paths;
use crate::shell::{Run, run};
use crate::tools::{self, Tools};

/// Mounts and locks of a running buildah.
const RUN_ROOT: &str = "/run/waypost-buildah";

/// The image builder.
pub struct Buildah {
    program: PathBuf,
    store: PathBuf,
    // What it makes outside its store, and was not there before.
    traces: Vec<PathBuf>,
    // Two builds at once would share working containers.
    _alone: tools::Lock,
}

/// Folders that buildah makes in fixed places.
const TRACES: [&str; 3] = [RUN_ROOT, "/etc/cni", "/var/lib/containers"];

impl Drop for Buildah {
    fn drop(&mut self) {
        for folder in &self.traces {
            // Nothing to do about one that stays: it is small, and no later build minds it.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// One build of a Dockerfile.
pub struct Build<'a> {
    /// The folder that `COPY` reads.
    pub context: &'a Path,
    /// The Dockerfile.
    pub dockerfile: &'a Path,
    /// `ARG`s.
    pub args: &'a [(&'a str, &'a str)],
    /// Folders of this machine that every step sees.
    pub volumes: &'a [Volume],
}

/// A folder of this machine in a container.
pub struct Volume {
    /// Its place here.
    pub from: PathBuf,
    /// Its place there.
    pub to: PathBuf,
    /// Options of the mount.
    pub options: &'static str,
}

impl Volume {
    /// A folder that has the same place there.
    pub fn same(folder: PathBuf, options: &'static str) -> Self {
        Self { from: folder.clone(), to: folder, options }
    }
}

impl Buildah {
    /// The builder, alone on this machine until dropped.
    pub async fn open(tools: &Tools, progress: &Progress) -> Result<Self> {
        let alone = tools::exclusive("buildah.lock", progress).await?;
        let traces = TRACES.iter().map(PathBuf::from).filter(|folder| !folder.exists()).collect();
        let store = paths::cache()?.join("buildah");
        let buildah = Self { program: tools.buildah.clone(), store, traces, _alone: alone };
        // What an interrupted build left.
        buildah.run().args(["rm", "--all"]).done().await?;
        Ok(buildah)
    }

    /// Builds the local image `name`, to be built upon.
    pub async fn build(&self, name: &str, build: &Build<'_>) -> Result<()> {
        let mut bud = self.run().args(["bud", "--isolation", "chroot", "--pull-never", "--layers=false"]);
        bud = bud.arg("--tag").arg(name).arg("--file").arg(build.dockerfile);
        for (name, value) in build.args {
            bud = bud.arg("--build-arg").arg(format!("{name}={value}"));
        }
        for Volume { from, to, options } in build.volumes {
            let mut volume = OsString::from(from);
            volume.push(":");
            volume.push(to);
            volume.push(format!(":{options}"));
            bud = bud.arg("--volume").arg(volume);
        }
        let log = self.store.join(format!("{}.log", name.rsplit('/').next().unwrap_or(name)));
        bud.arg(build.context).log(log).done().await
    }

    /// Builds `image` into its archive.
    pub async fn archive(&self, image: &Image, build: &Build<'_>) -> Result<()> {
        let name = format!("localhost/{}", image.name);
        self.build(&name, build).await?;
        let folder = image.archive.parent().context("an archive has a folder")?;
        std::fs::create_dir_all(folder)?;
        forget_former(folder, &image.name);
        let half = image.archive.with_extension("partial");
        let _ = std::fs::remove_file(&half);
        let target = format!("docker-archive:{}:{}", half.display(), image.reference());
        self.run().args(["push", "--quiet", &name, &target]).done().await?;
        self.run().args(["rmi", &name]).done().await?;
        std::fs::rename(&half, &image.archive).with_context(|| format!("keeping {}", image.archive.display()))
    }

    fn run(&self) -> Run {
        run(&self.program).arg("--root").arg(self.store.join("root")).args(["--runroot", RUN_ROOT])
    }
}

/// Removes the archives of former contents: the cache holds one of each image.
fn forget_former(folder: &Path, name: &str) {
    for file in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = file.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if stem.rsplit_once('-').is_some_and(|(of, _)| of == name) {
            let _ = std::fs::remove_file(path);
        }
    }
}
