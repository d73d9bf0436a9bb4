//! Fuzz targets, two at a time, each for a bounded time, beginning with its seeds; as `fuzz/README.md` says, on the stable
//! compiler.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::StreamExt as _;

use super::tally::Tally;
use crate::tools::cargo;
use crate::{Progress, paths};

/// For each target, in seconds.
const TIME: u32 = 20;

/// For those that read the bodies of requests, which any client may send.
const LONG: u32 = 60;
const BODIES: [&str; 3] = ["body", "form", "grpc"];

/// How many run at a time: each takes a core.
const AT_A_TIME: usize = 2;

/// Runs every target, or those whose names contain one of `names`.
pub async fn run(progress: &Progress, names: &[String], tally: &mut Tally) -> Result<()> {
    let folder = paths::checkout().join("fuzz");
    let build = cargo(&["build", "--locked", "--quiet", "--bins"]).current_dir(&folder);
    if let Err(error) = progress.step("building the fuzz targets", build.done()).await {
        println!("{error:#}");
        tally.failed("the fuzz targets do not build");
        return Ok(());
    }
    let mut targets = targets(&folder)?;
    targets.retain(|target| names.is_empty() || names.iter().any(|name| target.contains(name.as_str())));
    // The long ones first, so that nobody waits for one alone.
    targets.sort_by_key(|target| !is_long(target));
    let runs = targets.into_iter().map(async |target| {
        let time = if is_long(&target) { LONG } else { TIME };
        let label = format!("fuzzing {target} for {time} s");
        let ended = progress.step(label, fuzz(&folder, &target, time)).await;
        (target, ended)
    });
    let mut ended = futures::stream::iter(runs).buffer_unordered(AT_A_TIME);
    while let Some((target, ended)) = ended.next().await {
        match ended {
            Ok(()) => tally.passed(1),
            Err(error) => {
                println!("{error:#}");
                tally.failed(format!("fuzz target {target}"));
            }
        }
    }
    Ok(())
}

fn is_long(target: &str) -> bool {
    BODIES.contains(&target)
}

/// The names of the targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let files = std::fs::read_dir(folder.join("fuzz_targets")).context("reading the fuzz targets")?;
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut targets: Vec<String> = files.filter_map(|file| stem(file.ok()?.path())).collect();
    targets.sort();
    Ok(targets)
}

/// What was found stays in `fuzz/artifacts`, new inputs in `fuzz/corpus`, where the next run begins.
async fn fuzz(folder: &Path, target: &str, time: u32) -> Result<()> {
    let (corpus, seeds) = (format!("corpus/{target}"), format!("seeds/{target}"));
    for made in [folder.join(&corpus), folder.join("artifacts")] {
        std::fs::create_dir_all(&made).with_context(|| format!("making {}", made.display()))?;
    }
    let (time, broken) = (format!("-max_total_time={time}"), format!("-artifact_prefix=artifacts/{target}-"));
    let limits = ["-timeout=10", "-rss_limit_mb=2048"];
    cargo(&["run", "--locked", "--quiet", "--bin", target, "--", &time, &broken])
        .args(limits.into_iter().chain([corpus.as_str(), seeds.as_str()]))
        .current_dir(folder)
        .done()
        .await
}
