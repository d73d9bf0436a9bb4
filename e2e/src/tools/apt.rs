//! Debian packages, installed when a program of theirs is missing.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::Progress;
use crate::shell::run;
use crate::tools::locate;

/// Where Debian's `containernetworking-plugins` puts them.
pub const CNI_PLUGINS: &str = "/usr/lib/cni";

/// A program and the package that has it.
const NEEDED: [(&str, &str); 12] = [
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("ip6tables", "iptables"),
    ("conntrack", "conntrack"),
    ("buildah", "buildah"),
    ("ip", "iproute2"),
    ("python3", "python3"),
    ("cc", "gcc"),
];

/// Installs the packages whose programs are missing.
pub async fn ready(progress: &Progress) -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if locate::find("apt-get").is_none() {
        bail!("missing here: {}. Without apt-get (Debian, Ubuntu) install them by hand", missing.join(" "));
    }
    let label = format!("installing Debian packages, once: {}", missing.join(" "));
    progress.step(label, install(&missing)).await
}

fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&str> = NEEDED
        .iter()
        .filter(|(program, _)| locate::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !std::path::Path::new(CNI_PLUGINS).join("bridge").is_file() {
        packages.push("containernetworking-plugins");
    }
    packages.dedup();
    packages
}

/// Installs pip when Python has none.
pub async fn pip_ready(progress: &Progress) -> Result<()> {
    if run("python3").args(["-m", "pip", "--version"]).done().await.is_ok() {
        return Ok(());
    }
    progress.step("installing Debian package python3-pip, once", install(&["python3-pip"])).await
}

/// Installs what virtual environments need when Python came without it.
pub async fn venv_ready(progress: &Progress) -> Result<()> {
    if run("python3").args(["-m", "ensurepip", "--version"]).done().await.is_ok() {
        return Ok(());
    }
    progress.step("installing Debian package python3-venv, once", install(&["python3-venv"])).await
}

/// The path of a program that is needed now and then, from the package of the same name.
pub async fn program(name: &str, progress: &Progress) -> Result<PathBuf> {
    if locate::find(name).is_none() {
        progress.step(format_args!("installing Debian package {name}, once"), install(&[name])).await?;
    }
    locate::program(name)
}

async fn install(packages: &[&str]) -> Result<()> {
    let apt = || run("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y"]);
    apt().arg("update").done().await.context("refreshing the package lists")?;
    apt().args(["install", "--no-install-recommends"]).args(packages).done().await
}
