//! The stories on the cluster, each run as a process of its own, so that one that hangs or breaks harms no other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::checks;
use super::tally::Tally;
use crate::Progress;
use crate::cluster::Family;
use crate::shell;
use crate::test_env::{ClusterEnv, FIGURES, Figure, Installer};
use crate::tools::cargo;
use crate::tools::istio::Istio;

/// A story that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(25 * 60);

/// The test program whose stories need real engines, and no cluster.
const ENGINES: &str = "engines";
/// The test program whose stories need the control planes of real gateways, on the cluster.
const GATEWAYS: &str = "gateways";
/// The test program whose stories have very many strategies, on the cluster.
const SCALE: &str = "scale";

/// Runs the stories about real engines whose names contain one of `names`; all without any.
pub async fn engines(progress: &Progress, names: &[String], tally: &mut Tally) -> Result<()> {
    let stories = stories_in(ENGINES, names, progress).await?;
    let figures = tempfile()?;
    for story in &stories {
        play(story, &figures, progress, tally).await?;
    }
    Ok(())
}

/// Runs the stories about real gateways whose names contain one of `names`; all without any.
pub async fn gateways(progress: &Progress, names: &[String], tally: &mut Tally) -> Result<()> {
    let stories = stories_in(GATEWAYS, names, progress).await?;
    // Before the cluster: nothing else shares the machine with the build.
    Istio::ready(progress).await?;
    let cluster_env = ClusterEnv::up(Installer::Helm, Family::Ipv4, progress).await?;
    play_all(&stories, &cluster_env, progress, tally).await
}

/// Runs the stories about many strategies whose names contain one of `names`; all without any.
pub async fn scale(progress: &Progress, names: &[String], tally: &mut Tally) -> Result<()> {
    let stories = stories_in(SCALE, names, progress).await?;
    let cluster_env = ClusterEnv::up(Installer::Helm, Family::Ipv4, progress).await?;
    play_all(&stories, &cluster_env, progress, tally).await
}

/// Runs the stories whose names contain one of `names`; all without any.
pub async fn run(family: Family, progress: &Progress, names: &[String], tally: &mut Tally) -> Result<()> {
    let programs = progress.step("building the stories", built()).await?;
    let elsewhere = |program: &PathBuf| [ENGINES, GATEWAYS, SCALE].iter().any(|name| is_of(program, name));
    let programs: Vec<_> = programs.into_iter().filter(|program| !elsewhere(program)).collect();
    let stories = stories_of(&programs, names).await?;
    let definition = names.is_empty() || names.iter().any(|name| name == "definition");
    ensure!(definition || !stories.is_empty(), "no story has a name with {}", names.join(" or "));
    // Once for all: each story finds everything in place.
    let cluster_env = ClusterEnv::up(Installer::Helm, family, progress).await?;
    if definition {
        checks::definition(progress, &cluster_env.cluster().kubeconfig(), tally).await;
    }
    play_all(&stories, &cluster_env, progress, tally).await
}

/// The stories of the test program `name` whose own names contain one of `names`; all without any.
async fn stories_in(name: &str, names: &[String], progress: &Progress) -> Result<Vec<(PathBuf, String)>> {
    let programs = progress.step("building the stories", built()).await?;
    let programs: Vec<_> = programs.into_iter().filter(|program| is_of(program, name)).collect();
    let stories = stories_of(&programs, names).await?;
    ensure!(!stories.is_empty(), "no story has a name with {}", names.join(" or "));
    Ok(stories)
}

/// Runs stories on the cluster one after the other, each from a whole cluster.
async fn play_all(
    stories: &[(PathBuf, String)],
    cluster_env: &ClusterEnv,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<()> {
    let figures = tempfile()?;
    for (at, story) in stories.iter().enumerate() {
        progress.say(format_args!("story {} of {}: {}", at + 1, stories.len(), story.1));
        if !play(story, &figures, progress, tally).await? {
            progress.step("restoring what the story may have left broken", cluster_env.restore()).await?;
        }
    }
    Ok(())
}

/// Runs one story, counts it, and gives back whether it came to a good end.
async fn play(
    (program, name): &(PathBuf, String),
    figures: &Path,
    progress: &Progress,
    tally: &mut Tally,
) -> Result<bool> {
    let started = Instant::now();
    let ok = run_one(program, name, figures).await?;
    let took = started.elapsed();
    // A test of the harness itself has no row and no figure.
    let figure = read(figures).unwrap_or_else(|| Figure { bar: name.clone(), ..Figure::default() });
    let _ = std::fs::remove_file(figures);
    let (verdict, took_seconds) = (if ok { "ok" } else { "FAILED" }, took.as_secs_f64());
    progress.say(format_args!("story {name}: {verdict} in {took_seconds:.0} s; {}", figure.measured));
    tally.story(name, figure, ok, took);
    Ok(ok)
}

/// The programs that hold stories, and other tests that need the cluster or its tools.
async fn built() -> Result<Vec<PathBuf>> {
    let is_ours = |message: &Value| {
        message["profile"]["test"] == true
            && message["manifest_path"].as_str() == Some(env!("CARGO_MANIFEST_PATH"))
    };
    let mut programs = cargo::all(is_ours).await?;
    // What the stories stand on is tried before them.
    programs.sort_by_key(|program| is_of(program, "cluster"));
    Ok(programs)
}

/// Whether `program` is the test program of that name.
fn is_of(program: &Path, name: &str) -> bool {
    program.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
}

async fn stories_of(programs: &[PathBuf], names: &[String]) -> Result<Vec<(PathBuf, String)>> {
    let mut stories = Vec::new();
    for program in programs {
        stories.extend(listed(program, names).await?);
    }
    Ok(stories)
}

async fn listed(program: &Path, names: &[String]) -> Result<Vec<(PathBuf, String)>> {
    let said = shell::run(program).args(["--ignored", "--list", "--format", "terse"]).output().await?;
    let all = said.lines().filter_map(|line| line.strip_suffix(": test"));
    let wanted = |story: &&str| names.is_empty() || names.iter().any(|name| story.contains(name.as_str()));
    Ok(all.filter(wanted).map(|name| (program.to_owned(), name.to_owned())).collect())
}

/// Whether the story came to a good end. What it says is seen as it says it.
async fn run_one(program: &Path, name: &str, figures: &Path) -> Result<bool> {
    let mut story = Command::new(program);
    story
        .args(["--ignored", "--exact", name, "--nocapture", "--quiet"])
        .env(FIGURES, figures)
        .env("RUST_BACKTRACE", "0");
    let status = story.stdin(Stdio::null()).kill_on_drop(true).status();
    match timeout(LONGEST, status).await {
        Ok(status) => Ok(status.context("starting a story")?.success()),
        Err(_) => {
            println!("the story did not end within {} minutes", LONGEST.as_secs() / 60);
            Ok(false)
        }
    }
}

fn tempfile() -> Result<PathBuf> {
    let folder = crate::paths::cache()?;
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join("figure.json"))
}

fn read(figures: &Path) -> Option<Figure> {
    serde_json::from_slice(&std::fs::read(figures).ok()?).ok()
}
