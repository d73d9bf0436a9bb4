//! Programs of this checkout that run on this machine without a cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::paths;
use crate::tools::cargo;

/// Builds `packages` as the tests are built, and gives back the folder of their programs.
///
/// # Errors
/// When they do not compile.
pub async fn built(packages: &[&str]) -> Result<PathBuf> {
    let mut args = vec!["build", "--profile", "e2e", "--locked", "--bins"];
    args.extend(packages.iter().flat_map(|package| ["-p", package]));
    cargo(&args).done().await?;
    // The test itself lies in `deps`, one folder below the programs.
    let here = std::env::current_exe()?;
    here.parent().and_then(Path::parent).map(Path::to_owned).context("a test lies in a folder")
}

/// Runs `program` at the root of the checkout until the value is dropped.
///
/// # Errors
/// When it can't be started.
pub fn started(program: &Path, args: &[&str]) -> Result<Child> {
    let mut command = Command::new(program);
    command.args(args).current_dir(paths::checkout()).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().with_context(|| format!("starting {}", program.display()))
}
