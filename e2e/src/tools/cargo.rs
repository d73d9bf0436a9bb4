//! Runs of cargo in this checkout.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use crate::paths;
use crate::shell::{Run, run};

/// The cargo that runs this program, else the one on the PATH.
pub fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// `cargo` with `args`, at the root of the checkout.
pub fn cargo(args: &[&str]) -> Run {
    run(program()).args(args).current_dir(paths::checkout())
}

/// Builds what `args` name, and gives back the programs of those messages of cargo that `wanted` takes.
pub async fn programs(args: &[&str], wanted: impl Fn(&Value) -> bool) -> Result<Vec<PathBuf>> {
    let said = cargo(args).args(["--message-format", "json-render-diagnostics"]).output().await?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = |message: Value| message["executable"].as_str().map(PathBuf::from);
    Ok(messages.filter(wanted).filter_map(program).collect())
}
