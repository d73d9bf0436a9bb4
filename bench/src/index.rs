//! `cargo xtask bench index`: what a full prefix index takes, and whether it grows.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::process::Command;

use super::options::between;
use e2e::Progress;
use e2e::tools::cargo;

/// How long to look.
#[derive(Args, Clone, Debug)]
pub struct Index {
    /// Minutes for which new blocks push out old ones
    #[arg(long, default_value_t = 10.0, value_parser = between(0.1, 1440.0))]
    pub minutes: f64,
}

impl Index {
    /// Measures, and says what is held.
    ///
    /// # Errors
    /// When a bar is not held.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let build =
            ["build", "--release", "--locked", "--quiet", "-p", "picker-core", "--example", "prefix_index"];
        let built = cargo::programs(&build, |message| message["target"]["kind"][0] == "example");
        let built = progress.step("building it as the picker is released", built).await?;
        // Its lines are seen as they come.
        let mut program = Command::new(built.first().context("cargo names no program")?);
        program.arg(self.minutes.to_string()).stdin(Stdio::null()).kill_on_drop(true);
        let status = program.status().await.context("starting it")?;
        ensure!(status.success(), "not every bar is held");
        Ok(())
    }
}
