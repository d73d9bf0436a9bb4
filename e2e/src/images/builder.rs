//! The builder image of the tests: this machine's own toolchain, mounted. No registry is at hand for another.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::buildah::{Build, Buildah};
use crate::paths;

/// Its name, as `FROM` sees it.
pub const NAME: &str = "localhost/waypost-builder";

/// The builder: links and settings alone; the programs are those of [`machine`]. A static binary needs no runtime
/// image. Link-time optimisation would cost a minute of every change, and incremental builds save another.
pub const DOCKERFILE: &str = r#"FROM scratch
COPY rootfs/ /
ENV PATH=/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV HOME=/root CARGO_HOME=/cargo RUSTUP_HOME=/rustup CARGO_NET_OFFLINE=true
ENV CARGO_BUILD_TARGET=x86_64-unknown-linux-gnu RUSTFLAGS="-C target-feature=+crt-static"
ENV CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_INCREMENTAL=1
"#;

/// Makes it.
pub async fn create(buildah: &Buildah) -> Result<()> {
    let context = paths::cache()?.join("context/builder");
    let _ = std::fs::remove_dir_all(&context);
    let rootfs = context.join("rootfs");
    for folder in ["usr", "etc", "root", "tmp", "cargo", "rustup", "src"] {
        std::fs::create_dir_all(rootfs.join(folder))?;
    }
    for link in ["bin", "sbin", "lib", "lib32", "lib64"] {
        std::os::unix::fs::symlink(Path::new("usr").join(link), rootfs.join(link))?;
    }
    let dockerfile = context.join("Dockerfile");
    std::fs::write(&dockerfile, DOCKERFILE)?;
    let build = Build { context: &context, dockerfile: &dockerfile, args: &[], volumes: &[] };
    buildah.build(NAME, &build).await?;
    std::fs::remove_dir_all(&context).context("removing the build context")
}

/// This machine's toolchain and crates, as every step of a build sees them.
pub fn machine() -> Vec<(PathBuf, &'static str, &'static str)> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    let folder = |variable, default: &str| {
        std::env::var_os(variable).map_or_else(|| home.join(default), PathBuf::from)
    };
    let all = [
        ("/usr".into(), "/usr", "ro"),
        ("/etc/alternatives".into(), "/etc/alternatives", "ro"),
        ("/etc/ssl".into(), "/etc/ssl", "ro"),
        (folder("RUSTUP_HOME", ".rustup"), "/rustup", "ro"),
        (folder("CARGO_HOME", ".cargo"), "/cargo", "rw"),
    ];
    all.into_iter().filter(|(folder, ..): &(PathBuf, _, _)| folder.exists()).collect()
}
