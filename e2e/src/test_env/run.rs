//! Playing a story as a test: the ground below it, a namespace for it, and everything there is to see when it fails.

use std::time::Duration;

use anyhow::{Error, Result, ensure};

use super::{Ground, Stage};
use crate::{Progress, tools};

/// Held by the story that plays.
pub(crate) const LOCK: &str = "stories.lock";

/// A story that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(600);

/// Set to keep the namespace of a failed story.
const KEEP: &str = "WAYPOST_KEEP";

/// Plays `story` in a namespace of its own, as the test of row `row` of the table of promises.
///
/// # Panics
/// When the story fails or one of its bars did not hold; what can be seen of the namespace is printed before.
pub fn play(row: u8, bar: &str, story: impl AsyncFnOnce(&Stage) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(played(row, bar, story)));
    if let Err(error) = outcome {
        panic!("row {row}, {bar}: {error:#}");
    }
}

async fn played(row: u8, bar: &str, story: impl AsyncFnOnce(&Stage) -> Result<()>) -> Result<()> {
    let progress = Progress::stdout();
    // Stories measure, and some break things that others need.
    let _alone = tools::exclusive(LOCK, &progress).await?;
    let ground = Ground::attach().await?;
    let stage = Stage::open(ground, &format!("row-{row}"), progress).await?;
    let told = tokio::time::timeout(LONGEST, story(&stage))
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the story did not end within {} s", LONGEST.as_secs())));
    let missed = stage.proof().missed();
    let failed = told.is_err() || !missed.is_empty();
    let mut figure = stage.proof().figure(row, bar);
    figure.missed.extend(told.as_ref().err().map(in_short));
    figure.hand_over()?;
    if failed {
        println!("{}", stage.diagnosis().await);
    }
    if !(failed && std::env::var_os(KEEP).is_some()) {
        let closed = stage.close().await;
        told?;
        closed?;
    } else {
        told?;
    }
    ensure!(missed.is_empty(), "not held: {}", missed.join("; "));
    Ok(())
}

/// What was missing, and from what: the innermost two of an error's causes. What lies around them is long.
fn in_short(error: &Error) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let innermost = causes.split_off(causes.len().saturating_sub(2));
    let first_line = |text: &String| text.lines().next().unwrap_or_default().to_owned();
    innermost.iter().map(first_line).collect::<Vec<_>>().join(": ")
}
