//! The base images of the project's own: this machine's toolchain, mounted, builds them, and its glibc runs them. No
//! registry is at hand for others.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::buildah::{Build, Buildah};
use super::glibc;
use crate::paths;

/// The name of the builder, as `FROM` sees it.
pub const BUILDER: &str = "localhost/waypost-builder";

/// The name of the runtime image.
pub const RUNTIME: &str = "localhost/waypost-runtime";

/// The profile in which the images are built: that of the tests, whose build they share.
pub const PROFILE: &str = "e2e";

const DOCKERFILE: &str = "FROM scratch\nCOPY rootfs/ /\n";

/// Folders of this machine, each to be mounted at its own place in a container: cargo builds a crate again that it finds
/// elsewhere.
pub struct Toolchain {
    cargo: PathBuf,
    rustup: PathBuf,
}

impl Toolchain {
    /// That of the user who runs this.
    pub fn of_machine() -> Self {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
        let folder = |variable, default: &str| {
            std::env::var_os(variable).map_or_else(|| home.join(default), PathBuf::from)
        };
        Self { cargo: folder("CARGO_HOME", ".cargo"), rustup: folder("RUSTUP_HOME", ".rustup") }
    }

    /// Makes the base images: of the builder links and settings alone, whose programs are in [`folders`](Self::folders).
    pub async fn create(&self, buildah: &Buildah) -> Result<()> {
        let environment = format!(
            "ENV PATH={cargo}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n\
             ENV CARGO_HOME={cargo} RUSTUP_HOME={rustup} CARGO_NET_OFFLINE=true\n",
            cargo = self.cargo.display(),
            rustup = self.rustup.display(),
        );
        let links = |rootfs: &Path| {
            let folders = self.folders().into_iter().map(|(folder, _)| folder);
            for folder in folders.chain(["/etc", "/root", "/tmp", "/src"].map(PathBuf::from)) {
                std::fs::create_dir_all(rootfs.join(folder.strip_prefix("/").unwrap_or(&folder)))?;
            }
            for link in ["bin", "sbin", "lib", "lib32", "lib64"] {
                std::os::unix::fs::symlink(Path::new("usr").join(link), rootfs.join(link))?;
            }
            Ok(())
        };
        image(buildah, BUILDER, &environment, links).await?;
        image(buildah, RUNTIME, "", glibc::fill).await
    }

    /// What every step of a build sees, with the options of the mounts.
    pub fn folders(&self) -> Vec<(PathBuf, &'static str)> {
        let system = ["/usr", "/etc/alternatives", "/etc/ssl"].map(|folder| (PathBuf::from(folder), "ro"));
        let all = [(self.rustup.clone(), "ro"), (self.cargo.clone(), "rw")];
        system.into_iter().chain(all).filter(|(folder, _)| folder.exists()).collect()
    }
}

/// Makes the base image `name` of a root file system, with more lines of its Dockerfile.
async fn image(
    buildah: &Buildah,
    name: &str,
    more: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let context = paths::cache()?.join("context/base");
    let _ = std::fs::remove_dir_all(&context);
    let rootfs = context.join("rootfs");
    std::fs::create_dir_all(&rootfs)?;
    fill(&rootfs)?;
    let dockerfile = context.join("Dockerfile");
    std::fs::write(&dockerfile, format!("{DOCKERFILE}{more}"))?;
    let build = Build { context: &context, dockerfile: &dockerfile, args: &[], volumes: &[] };
    buildah.build(name, &build).await?;
    std::fs::remove_dir_all(&context).context("removing the build context")
}
