//! Running a story as a test: in a namespace of its own on the shared cluster, with a diagnosis when it fails.

use std::time::Duration;

use anyhow::{Error, Result, ensure};

use super::{ClusterEnv, TestEnv};
use crate::{Progress, tools};

/// The lock that a running story holds.
pub(crate) const LOCK: &str = "stories.lock";

/// A story that takes longer hangs; those with very many objects say themselves how long they take.
const LONGEST: Duration = Duration::from_secs(600);

/// Set to keep the namespace of a failed story.
const KEEP: &str = "WAYPOST_KEEP";

/// Runs `story` in a namespace of its own, as the test of row `row` of the table of promises.
///
/// # Panics
/// When the story fails or one of its bars did not hold; what can be seen of the namespace is printed before.
pub fn run(row: u8, bar: &str, story: impl AsyncFnOnce(&TestEnv) -> Result<()>) {
    run_within(LONGEST, row, bar, story);
}

/// As [`run`], with a time of its own in which the story has to end.
///
/// # Panics
/// As [`run`].
pub fn run_within(limit: Duration, row: u8, bar: &str, story: impl AsyncFnOnce(&TestEnv) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(in_env(limit, row, bar, story)));
    if let Err(error) = outcome {
        panic!("row {row}, {bar}: {error:#}");
    }
}

async fn in_env(
    limit: Duration,
    row: u8,
    bar: &str,
    story: impl AsyncFnOnce(&TestEnv) -> Result<()>,
) -> Result<()> {
    let progress = Progress::stdout();
    // Stories measure, and some break things that others need.
    let _alone = tools::exclusive(LOCK, &progress).await?;
    let cluster_env = ClusterEnv::attach().await?;
    let env = TestEnv::open(cluster_env, &format!("row-{row}"), progress).await?;
    let outcome = tokio::time::timeout(limit, story(&env))
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the story did not end within {} s", limit.as_secs())));
    let missed = env.checks().missed();
    let failed = outcome.is_err() || !missed.is_empty();
    let mut figure = env.checks().figure(row, bar);
    figure.missed.extend(outcome.as_ref().err().map(in_short));
    figure.hand_over()?;
    if failed {
        println!("{}", env.diagnosis().await);
    }
    if !(failed && std::env::var_os(KEEP).is_some()) {
        let closed = env.close().await;
        outcome?;
        closed?;
    } else {
        outcome?;
    }
    ensure!(missed.is_empty(), "not held: {}", missed.join("; "));
    Ok(())
}

/// The innermost two of an error's causes: what was missing, and from what. Those around them are long.
fn in_short(error: &Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let innermost = causes.split_off(causes.len().saturating_sub(2));
    let first_line = |text: &String| text.lines().next().unwrap_or_default().to_owned();
    innermost.iter().map(first_line).collect::<Vec<_>>().join(": ")
}
