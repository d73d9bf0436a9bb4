//! Checks and tests that need no cluster, run by cargo.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::tally::Tally;
use crate::shell::{Run, run, tracked};
use crate::tools::{Clients, cargo};
use crate::{Progress, paths};

/// The fuzz targets are a workspace of their own, with a lock file of its own.
const FUZZ: &str = "--manifest-path=fuzz/Cargo.toml";

/// Formatting, lints and generated files.
pub async fn lint(progress: &Progress, tally: &mut Tally) {
    let checks: [(&str, &[&str]); 2] = [
        (
            "cargo clippy",
            &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"],
        ),
        (
            "cargo clippy, fuzz targets",
            &[
                "clippy",
                FUZZ,
                "--target-dir=target/fuzz",
                "--bins",
                "--locked",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ],
        ),
    ];
    step(progress, "rustfmt --check", formatting(), tally).await;
    for (label, args) in checks {
        step(progress, label, cargo(args).done(), tally).await;
    }
    step(progress, "building the programs and the tests", everything(), tally).await;
    step(progress, "crdgen --check", definitions(), tally).await;
}

/// The build that all parts of the suite share.
async fn everything() -> Result<()> {
    cargo::all(|_| false).await.map(drop)
}

/// Generated files, held against what would be generated.
async fn definitions() -> Result<()> {
    run(cargo::built("crdgen").await?).arg("--check").current_dir(paths::checkout()).done().await
}

/// Counts a check, and prints why it failed.
async fn step(progress: &Progress, label: &str, check: impl Future<Output = Result<()>>, tally: &mut Tally) {
    match progress.step(label, check).await {
        Ok(()) => tally.passed(1),
        Err(error) => {
            println!("{error:#}");
            tally.failed(label);
        }
    }
}

/// Formatting of every tracked source file, each by its name: `cargo fmt` does not find modules that a macro declares.
async fn formatting() -> Result<()> {
    let check = run("rustfmt").args(["--check", "--edition", "2024"]).current_dir(paths::checkout());
    check.args(tracked(&["*.rs"]).await?).done().await
}

/// Every test of the workspace that needs no cluster, or those with a name that contains one of `names`.
pub async fn unit(progress: &Progress, names: &[String], tally: &mut Tally) {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let args = [&["test", "--no-fail-fast"][..], &cargo::ALL, &["--"], &names].concat();
    tests(progress, "cargo test --workspace", cargo(&args), tally).await;
}

/// Attacks on a picker, or those with a name that contains one of `names`; one after the other, since each is measured.
/// Prints what was measured.
pub async fn siege(progress: &Progress, names: &[String], tally: &mut Tally) {
    let Some(program) = program("siege", tally).await else { return };
    let args = ["--ignored", "--test-threads=1", "--show-output"];
    let run = run(program).args(args).args(names).current_dir(paths::checkout().join("picker"));
    let said = tests(progress, "attacks on a picker", run, tally).await;
    said.lines().filter(|line| line.contains("; besieged ")).for_each(|line| println!("  {line}"));
}

/// What an API server makes of the RoutingStrategy definition: defaults, rules, the largest legal object, and that what is
/// applied with `kubectl` twice shows no difference.
pub async fn definition(progress: &Progress, kubeconfig: &Path, tally: &mut Tally) {
    let Some(program) = program("apiserver", tally).await else { return };
    let kubectl = match Clients::ready(progress).await {
        Ok(clients) => clients.kubectl,
        Err(error) => {
            println!("{error:#}");
            tally.failed("tests of the RoutingStrategy definition (is there a kubectl?)");
            return;
        }
    };
    let run = run(program)
        .arg("--ignored")
        .current_dir(paths::checkout().join("crds"))
        .env("KUBECONFIG", kubeconfig)
        .env("KUBECTL", kubectl);
    tests(progress, "tests of the RoutingStrategy definition", run, tally).await;
}

/// The program of the integration test `name`; none, which is counted, when it does not build.
async fn program(name: &str, tally: &mut Tally) -> Option<PathBuf> {
    let built = cargo::built(name).await;
    built
        .inspect_err(|error| {
            println!("{error:#}");
            tally.failed(format!("the tests called {name} (do they build?)"));
        })
        .ok()
}

/// Runs tests to their end, and counts them. Gives back what they said.
async fn tests(progress: &Progress, label: &str, run: Run, tally: &mut Tally) -> String {
    let outcome = progress.step(label, run.env("RUST_BACKTRACE", "0").output_of_both()).await;
    let (said, ended_well) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            println!("{error:#}");
            tally.failed(label);
            return String::new();
        }
    };
    let Counts { passed, failed } = Counts::of(&said);
    progress.say(format_args!("{passed} passed, {} failed", failed.len()));
    tally.passed(passed);
    if failed.is_empty() && !ended_well {
        tally.failed(format!("{label} (does it build?)"));
    }
    if !ended_well {
        println!("{}", failures(&said));
    }
    failed.into_iter().for_each(|name| tally.failed(name));
    said
}

/// What the test harness said, over all binaries.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: Vec<String>,
}

impl Counts {
    fn of(said: &str) -> Self {
        let results = said.lines().filter_map(|line| line.strip_prefix("test result: "));
        let passed = results
            .filter_map(|line| line.split_once(". ")?.1.split(' ').next()?.parse::<usize>().ok())
            .sum();
        let tests = said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        Self { passed, failed: tests.map(str::to_owned).collect() }
    }
}

/// The output without the tests that passed.
fn failures(said: &str) -> String {
    let boring = |line: &&str| !(line.starts_with("test ") && line.ends_with("... ok") || line.is_empty());
    let lines: Vec<&str> = said.lines().filter(boring).collect();
    lines[lines.len().saturating_sub(200)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_over_all_binaries() {
        let said = "running 2 tests\ntest a::b ... ok\ntest c ... FAILED\n\n\
                    test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(Counts::of(said), Counts { passed: 13, failed: vec!["c".to_owned()] });
        assert!(!failures(said).contains("a::b"));
    }
}
