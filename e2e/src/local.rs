//! Programs of this checkout that run on this machine without a cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::paths;
use crate::tools::cargo;

mod gateway;

pub use gateway::{Gateway, Parts};

/// Builds `packages` as the tests are built, and gives back the folder of their programs.
///
/// # Errors
/// When they do not compile.
pub async fn built(packages: &[&str]) -> Result<PathBuf> {
    // The test itself lies in `deps`, one folder below the programs.
    let here = std::env::current_exe()?;
    let folder = here.parent().and_then(Path::parent).context("a test lies in a folder")?;
    let profile = if folder.ends_with("debug") { "dev" } else { "e2e" };
    let mut args = vec!["build", "--profile", profile, "--locked", "--bins"];
    args.extend(packages.iter().flat_map(|package| ["-p", package]));
    cargo(&args).done().await?;
    Ok(folder.to_owned())
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

/// So many ports of loopback at which nobody listens.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // All at once, so that they differ.
    let mut listeners = Vec::new();
    for port in &mut ports {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
