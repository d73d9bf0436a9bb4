//! Fuzz targets, each for a bounded time, beginning with its seeds; as `fuzz/README.md` says, on the stable compiler.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::tally::Tally;
use crate::tools::cargo;
use crate::{Progress, paths};

/// For each target, in seconds.
const TIME: u32 = 20;

/// Runs every target, or those whose names contain one of `names`.
pub async fn run(progress: &Progress, names: &[String], tally: &mut Tally) -> Result<()> {
    let folder = paths::checkout().join("fuzz");
    let build = cargo(&["build", "--locked", "--quiet", "--bins"]).current_dir(&folder);
    if let Err(error) = progress.step("building the fuzz targets", build.done()).await {
        println!("{error:#}");
        tally.failed("the fuzz targets do not build");
        return Ok(());
    }
    for target in targets(&folder)? {
        if !names.is_empty() && !names.iter().any(|name| target.contains(name.as_str())) {
            continue;
        }
        let label = format!("fuzzing {target} for {TIME} s");
        match progress.step(label, fuzz(&folder, &target)).await {
            Ok(()) => tally.passed(1),
            Err(error) => {
                println!("{error:#}");
                tally.failed(format!("fuzz target {target}"));
            }
        }
    }
    Ok(())
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
async fn fuzz(folder: &Path, target: &str) -> Result<()> {
    let (corpus, seeds) = (format!("corpus/{target}"), format!("seeds/{target}"));
    for made in [folder.join(&corpus), folder.join("artifacts")] {
        std::fs::create_dir_all(&made).with_context(|| format!("making {}", made.display()))?;
    }
    let (time, broken) = (format!("-max_total_time={TIME}"), format!("-artifact_prefix=artifacts/{target}-"));
    let limits = ["-timeout=10", "-rss_limit_mb=2048"];
    cargo(&["run", "--locked", "--quiet", "--bin", target, "--", &time, &broken])
        .args(limits.into_iter().chain([corpus.as_str(), seeds.as_str()]))
        .current_dir(folder)
        .done()
        .await
}
