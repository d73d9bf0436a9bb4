//! Programs of this checkout that run on this machine without a cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

use crate::tools::{cargo, envoy};
use crate::{Progress, paths};

mod gateway;

pub use gateway::{Gateway, Parts};

/// Builds the programs as the tests are built, and gives back their folder.
///
/// # Errors
/// When they do not compile.
pub async fn built() -> Result<PathBuf> {
    let picker = cargo::built("picker").await?;
    picker.parent().map(Path::to_owned).context("a program lies in a folder")
}

/// The programs of a story behind a real Envoy without a cluster.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Envoy.
    pub envoy: PathBuf,
    /// The simulated model server.
    pub sim: PathBuf,
    /// The endpoint picker.
    pub picker: PathBuf,
}

impl Programs {
    /// Fetches Envoy and builds the project's own.
    ///
    /// # Errors
    /// When Envoy can't be fetched, or the others do not compile.
    pub async fn ready(progress: &Progress) -> Result<Self> {
        let envoy = envoy::ready(&paths::cache()?, progress).await?;
        let built = progress.step("building sim and picker", built()).await?;
        Ok(Self { envoy, sim: built.join("sim"), picker: built.join("picker") })
    }
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
    free_port_list(N)?.try_into().map_err(|_| anyhow::anyhow!("not {N} ports"))
}

/// As [`free_ports`], for a number that is not known before.
///
/// # Errors
/// When there are none.
pub fn free_port_list(count: usize) -> Result<Vec<u16>> {
    // All at once, so that they differ.
    let listeners: Vec<_> =
        (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
