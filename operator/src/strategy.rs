//! One strategy, from what the cluster holds to what it should hold, in four steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::RoutingStrategy;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use tracing::{Instrument as _, debug, info_span, warn};

use crate::build::Defaults;
use crate::cache::Cache;
use crate::metrics::Metrics;
use crate::write::{WriteError, Writer};

mod apply;
mod binding;
mod build;
mod claims;
mod conditions;
mod contest;
mod dereference;
mod events;
mod history;
mod managers;
mod memory;
mod record;
mod release;
mod rollout;
mod status;
mod turns;
mod validate;

pub use memory::Memory;

/// Finalizer of a strategy that has replaced the reference of a pool.
pub const FINALIZER: &str = "waypost.dev/release-pools";

/// What all reconciles share.
pub struct Context {
    /// What is known of the cluster.
    pub cache: Cache,
    /// Writes to the cluster.
    pub writer: Writer,
    /// What the release decides.
    pub defaults: Defaults,
    /// How long pickers serve on after their pool was given back.
    pub release_hold: Duration,
    /// Tells what happened.
    pub recorder: Recorder,
    /// What this process remembers between reconciles; all of it can be lost.
    pub memory: Memory,
    /// The operator's metrics.
    pub metrics: Arc<Metrics>,
}

/// Why a reconcile has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A built object could not be expressed.
    #[error("internal: {0}")]
    Internal(#[from] serde_json::Error),
}

/// Works on one strategy.
///
/// # Errors
/// When something could not be written; all that could be was.
pub async fn reconcile(strategy: Arc<RoutingStrategy>, context: Arc<Context>) -> Result<Action, Error> {
    if !context.writer.leads() {
        return Ok(Action::await_change());
    }
    let namespace = strategy.metadata.namespace.clone().unwrap_or_default();
    let name = strategy.metadata.name.clone().unwrap_or_default();
    let span = info_span!("reconcile", namespace, name, generation = strategy.metadata.generation);
    let began = Instant::now();
    let running = context.memory.running(format!("{namespace}/{name}"));
    let uid = strategy.metadata.uid.clone().unwrap_or_default();
    let result = step(strategy, &context).instrument(span).await;
    drop(running);
    if result.is_ok() {
        context.memory.succeeded(&uid);
    }
    context.metrics.reconciled(began.elapsed());
    result
}

async fn step(strategy: Arc<RoutingStrategy>, context: &Context) -> Result<Action, Error> {
    let now = Timestamp::now();
    let snapshot = dereference::dereference(strategy, &context.cache, &context.memory);
    if snapshot.is_deleting() {
        return release::deleted(context, &snapshot).await;
    }
    let valid = validate::validate(&snapshot, |routing| context.memory.compile(routing));
    let built = build::build(&snapshot, &valid, &context.defaults);
    let done = apply::apply(context, &snapshot, &valid, built, now).await;
    status::write(context, &snapshot, &valid, &done, now).await?;
    match done.error {
        Some(error) => Err(error.into()),
        None => Ok(done.again.map_or_else(Action::await_change, Action::requeue)),
    }
}

/// Longest wait before work that failed is tried again: when the API server comes back after a long time,
/// edits are to be live soon.
const LONGEST_RETRY: Duration = Duration::from_secs(4);

/// When to try again.
#[must_use]
pub fn retry(strategy: Arc<RoutingStrategy>, error: &Error, context: Arc<Context>) -> Action {
    let (namespace, name) = (&strategy.metadata.namespace, &strategy.metadata.name);
    let before = || context.memory.failed(strategy.metadata.uid.as_deref().unwrap_or_default());
    match error {
        Error::Write(WriteError::NotLeading) => Action::await_change(),
        Error::Write(error) if error.is_conflict() => {
            debug!(%error, namespace, name, "changed meanwhile; deciding again");
            Action::requeue(pause(Duration::from_millis(100), before()))
        }
        error => {
            context.metrics.reconcile_errors.inc();
            warn!(%error, namespace, name, "trying again");
            Action::requeue(pause(Duration::from_secs(1), before()))
        }
    }
}

/// The wait after a failure that is the first after `before` others.
fn pause(first: Duration, before: u32) -> Duration {
    first.saturating_mul(1 << before.min(10)).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_ever_more_slowly_but_soon() {
        let waits = |first| (0..7).map(move |before| pause(Duration::from_millis(first), before).as_millis());
        assert_eq!(waits(1000).collect::<Vec<_>>(), [1000, 2000, 4000, 4000, 4000, 4000, 4000]);
        assert_eq!(waits(100).collect::<Vec<_>>(), [100, 200, 400, 800, 1600, 3200, 4000]);
        assert_eq!(pause(Duration::from_secs(1), u32::MAX), LONGEST_RETRY);
    }
}
