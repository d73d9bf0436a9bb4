//! Runs of cargo in this checkout.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths;
use crate::shell::{Run, run};

/// The cargo that runs this program, else the one on the PATH.
pub fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The whole workspace, as tests are built. Whoever needs a program or a test of it builds all: features are chosen for
/// what is built together, so a part alone would have everything below it compiled once more.
pub const ALL: [&str; 4] = ["--profile", "e2e", "--locked", "--workspace"];

/// `cargo` with `args`, at the root of the checkout.
pub fn cargo(args: &[&str]) -> Run {
    // What the cargo that runs this program says of its package: build scripts that read it would run again, and what
    // is built on them with it.
    let of_package = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let of_package =
        of_package.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
    of_package
        .fold(run(program()), |run, name| run.without_env(&name))
        .args(args)
        .current_dir(paths::checkout())
}

/// Builds everything as tests are built, and gives back the program called `name`: that of an integration test, or one of the
/// project's own.
///
/// # Errors
/// When something does not compile, or there is no such program.
pub async fn built(name: &str) -> Result<PathBuf> {
    // Programs have unit tests of the same name.
    let is_it = |message: &Value| {
        let is_test = message["target"]["kind"][0] == "test";
        message["target"]["name"] == name && message["profile"]["test"] == is_test
    };
    all(is_it).await?.pop().with_context(|| format!("cargo names no program {name}"))
}

/// Builds everything as tests are built, and gives back those programs whose message of cargo `wanted` takes.
///
/// # Errors
/// When something does not compile.
pub async fn all(wanted: impl Fn(&Value) -> bool) -> Result<Vec<PathBuf>> {
    programs(&[&["build", "--lib", "--bins", "--tests", "--examples"][..], &ALL].concat(), wanted).await
}

/// Builds what `args` name, and gives back the programs of those messages of cargo that `wanted` takes.
pub async fn programs(args: &[&str], wanted: impl Fn(&Value) -> bool) -> Result<Vec<PathBuf>> {
    let said = cargo(args).args(["--message-format", "json-render-diagnostics"]).output().await?;
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = |message: Value| message["executable"].as_str().map(PathBuf::from);
    Ok(messages.filter(wanted).filter_map(program).collect())
}
