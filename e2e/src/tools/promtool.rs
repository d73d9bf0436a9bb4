//! Prometheus' checker of rules, from Debian's package `prometheus`. That is unpacked and not installed: it would start a
//! server.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::exclusive;
use crate::Progress;
use crate::paths;
use crate::shell::run;

/// The path of `promtool`.
///
/// # Errors
/// When the package can't be fetched or unpacked.
pub async fn ready(progress: &Progress) -> Result<PathBuf> {
    let _alone = exclusive("tools.lock", progress).await?;
    let folder = paths::cache()?.join("tools/prometheus");
    let program = folder.join("promtool");
    if !program.is_file() {
        let fetched = async {
            let unpacked = folder.join("package");
            tokio::fs::create_dir_all(&unpacked).await?;
            run("apt-get").args(["-q", "update"]).done().await.context("refreshing the package lists")?;
            let download = run("apt-get").args(["-q", "download", "prometheus"]);
            download.current_dir(&unpacked).done().await?;
            let package = std::fs::read_dir(&unpacked)?
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
                .context("apt-get fetched no package")?;
            run("dpkg").arg("-x").arg(&package).arg(&unpacked).done().await?;
            tokio::fs::rename(unpacked.join("usr/bin/promtool"), &program)
                .await
                .context("keeping promtool")?;
            tokio::fs::remove_dir_all(&unpacked).await.context("removing the unpacked package")
        };
        progress.step("fetching promtool (once)", fetched).await?;
    }
    Ok(program)
}
