//! Builds of the picker, the simulated model servers and the yardstick.

use std::path::PathBuf;

use anyhow::Result;

use e2e::tools::{cargo, go};
use e2e::{Progress, paths};

/// What the picker is called in the tables.
pub const WAYPOST: &str = "Waypost";
/// What the server is called in the tables that the others are held against.
pub const YARDSTICK: &str = "Go echo that decides nothing";

/// The picker and the model servers, as they are released.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The picker.
    pub picker: PathBuf,
    /// Simulated model servers.
    pub sim: PathBuf,
}

impl Programs {
    /// Builds them.
    ///
    /// # Errors
    /// When they do not compile.
    pub async fn built(progress: &Progress) -> Result<Self> {
        let build = cargo(&["build", "--release", "--locked", "-p", "picker", "-p", "sim", "--bins"]);
        progress.step("building the picker as it is released", build.done()).await?;
        let release = paths::checkout().join("target/release");
        Ok(Self { picker: release.join("picker"), sim: release.join("sim") })
    }
}

/// Builds the yardstick: the server that decides nothing.
///
/// # Errors
/// When Go is missing, or it does not compile.
pub async fn yardstick(progress: &Progress) -> Result<PathBuf> {
    let program = paths::cache()?.join("yardstick");
    let sources = paths::checkout().join("bench/yardstick");
    let build = go::go()?.current_dir(sources).args(["build", "-buildvcs=false", "-trimpath", "-o"]);
    progress.step("building the yardstick", build.arg(&program).arg(".").done()).await?;
    Ok(program)
}
