//! The report of this replica in the status of its RoutingStrategy: its own entry of `status.pickers`, and nothing else.
//!
//! A merge patch of one key of a map: with server-side apply, sixty replicas at once kept the API server
//! busy for many seconds. Serving never waits for it.

use std::time::Duration;

use crds::PickerStatus;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use kube_ext::object_parts::RawObject;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::source::Serving;
use crate::source::kube::{Stored, StrategyRef};
use crate::watch::events::{Pauses, chain};

#[cfg(test)]
mod tests;

/// The most replicas that write at once.
const AT_ONCE: usize = 10;
/// With more replicas than that, each waits a random time of up to this for each replica there is.
const PER_REPLICA: Duration = Duration::from_millis(50);
/// The time that a stored entry may differ from the one that was written before it is written again: the
/// watch is behind the write.
const SETTLE: Duration = Duration::from_secs(2);
/// The pause after the API server refused (a strategy that is gone, a right that is missing).
const REFUSED: Duration = Duration::from_secs(10);
/// The field manager of all replicas.
const MANAGER: &str = "waypost-picker";

/// The longest error that the schema takes, in characters.
const LONGEST_ERROR: usize = 1024;

/// The entry of a replica with this strategy; `None` while there is nothing to say.
pub fn entry(serving: &Serving) -> Option<PickerStatus> {
    if serving.revision.is_none() && serving.error.is_none() {
        return None;
    }
    Some(PickerStatus {
        revision: serving.revision.clone(),
        generation: serving.generation,
        error: serving.error.as_ref().map(|error| error.chars().take(LONGEST_ERROR).collect()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    })
}

/// The patch that makes `entry` the one of `pod`: what it lacks is null, and so taken away.
fn patch(pod: &str, entry: &PickerStatus) -> Value {
    let PickerStatus { revision, generation, error, version } = entry;
    let entry = json!({"revision": revision, "generation": generation, "error": error, "version": version});
    json!({"status": {"pickers": {pod: entry}}})
}

/// Keeps the entry of `pod` up to date. Ends when a sender is gone.
pub async fn run(
    client: Client,
    strategy: StrategyRef,
    pod: &str,
    mut serving: watch::Receiver<Serving>,
    mut stored: watch::Receiver<Stored>,
    metrics: &Metrics,
) {
    let api = strategy.api(client);
    let mut pauses = Pauses::default();
    // What was written last; the stored entry may be behind it.
    let mut written: Option<PickerStatus> = None;
    loop {
        let entry = entry(&serving.borrow_and_update());
        let pause = {
            let stored = stored.borrow_and_update();
            match (&entry, &stored.pickers) {
                (Some(entry), Some(pickers)) if pickers.get(pod) != Some(entry) => {
                    Some(if written.as_ref() == Some(entry) { SETTLE } else { stagger(pickers.len()) })
                }
                _ => None,
            }
        };
        let Some(pause) = pause else {
            if !changed(&mut serving, &mut stored).await {
                return;
            }
            continue;
        };
        if !pause.is_zero() {
            // A change meanwhile may make this needless, so look again after it.
            tokio::select! {
                biased;
                open = changed(&mut serving, &mut stored) => if open { continue } else { return },
                () = tokio::time::sleep(pause) => {}
            }
        }
        let Some(entry) = entry else { continue };
        match write(&api, &strategy.name, pod, &entry).await {
            Ok(()) => {
                pauses.reset();
                written = Some(entry);
            }
            Err(error) => {
                metrics.scraping.report_errors.inc();
                let refused =
                    matches!(&error, kube::Error::Api(status) if status.code < 500 && status.code != 429);
                tracing::warn!(error = chain(&error), "the status of the strategy can't be written");
                tokio::time::sleep(if refused { REFUSED } else { pauses.longer() }).await;
            }
        }
    }
}

/// Waits for a change of either; false when a sender is gone.
async fn changed(serving: &mut watch::Receiver<Serving>, stored: &mut watch::Receiver<Stored>) -> bool {
    tokio::select! {
        changed = serving.changed() => changed.is_ok(),
        changed = stored.changed() => changed.is_ok(),
    }
}

/// The time that this replica waits before it writes, as one of `replicas`.
fn stagger(replicas: usize) -> Duration {
    if replicas <= AT_ONCE {
        return Duration::ZERO;
    }
    PER_REPLICA.mul_f64(replicas as f64 * rand::random::<f64>())
}

async fn write(
    api: &Api<RawObject>,
    strategy: &str,
    pod: &str,
    entry: &PickerStatus,
) -> Result<(), kube::Error> {
    let patch = Patch::Merge(patch(pod, entry));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_status(strategy, &params, &patch).await.map(drop)
}
