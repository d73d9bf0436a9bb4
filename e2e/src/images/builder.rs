//! The builder image of the tests: this machine's own toolchain, mounted. No registry is at hand for another.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::buildah::{Build, Buildah};
use crate::paths;

/// Its name, as `FROM` sees it.
pub const NAME: &str = "localhost/waypost-builder";

/// The builder: links and settings alone; the programs are those of [`machine`]. A static binary needs no runtime
/// image.
pub const DOCKERFILE: &str = r#"FROM scratch
COPY rootfs/ /
ENV PATH=/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV HOME=/root CARGO_HOME=/cargo RUSTUP_HOME=/rustup CARGO_NET_OFFLINE=true
ENV CARGO_BUILD_TARGET=x86_64-unknown-linux-gnu RUSTFLAGS="-C target-feature=+crt-static"
"#;

/// What cargo reads in the builder, beside the checkout's own settings: our programs, and what a request passes through,
/// are optimised a little, all else not at all. As much as for a release takes far longer, the first time and after every
/// change.
pub const CARGO_CONFIG: &str = r#"[profile.release]
opt-level = 0
lto = "off"
codegen-units = 16
incremental = true

[profile.release.package]
bytes.opt-level = 1
h2.opt-level = 1
http.opt-level = 1
hyper.opt-level = 1
hyper-util.opt-level = 1
memchr.opt-level = 1
operator.opt-level = 1
picker.opt-level = 1
picker-core.opt-level = 1
picker-proto.opt-level = 1
picker-serve.opt-level = 1
prost.opt-level = 1
ring.opt-level = 1
rustls.opt-level = 1
serde_json.opt-level = 1
sim.opt-level = 1
tokio.opt-level = 1
tokio-util.opt-level = 1
tonic.opt-level = 1
xxhash-rust.opt-level = 1
"#;

/// Makes it.
pub async fn create(buildah: &Buildah) -> Result<()> {
    let context = paths::cache()?.join("context/builder");
    let _ = std::fs::remove_dir_all(&context);
    let rootfs = context.join("rootfs");
    for folder in ["usr", "etc", "root", "tmp", "cargo", "rustup", "src"] {
        std::fs::create_dir_all(rootfs.join(folder))?;
    }
    std::fs::create_dir(rootfs.join(".cargo"))?;
    std::fs::write(rootfs.join(".cargo/config.toml"), CARGO_CONFIG)?;
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
