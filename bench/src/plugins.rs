//! `cargo xtask bench plugins`: what each filter, scorer and picker takes of a decision.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::process::Command;

use e2e::Progress;
use e2e::tools::cargo;

/// Which ones to measure.
#[derive(Args, Clone, Debug)]
pub struct Plugins {
    /// Those alone whose type has this text in it; `many` for the strategy of many plugins
    pub only: Option<String>,
}

impl Plugins {
    /// Measures, and says what is held.
    ///
    /// # Errors
    /// When one takes longer than it may.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let build = ["bench", "--locked", "--quiet", "-p", "picker-core", "--bench", "catalogue", "--no-run"];
        let built = cargo::programs(&build, |message| message["target"]["kind"][0] == "bench");
        let built = progress.step("building it as the picker is released", built).await?;
        // Its lines are seen as they come.
        let mut program = Command::new(built.first().context("cargo names no program")?);
        program.args(&self.only).stdin(Stdio::null()).kill_on_drop(true);
        let status = program.status().await.context("starting it")?;
        ensure!(status.success(), "not every bar is held");
        Ok(())
    }
}
