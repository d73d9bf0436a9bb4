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
    let result = step(strategy, &context).instrument(span).await;
    drop(running);
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

/// When to try again.
#[must_use]
pub fn retry(strategy: Arc<RoutingStrategy>, error: &Error, context: Arc<Context>) -> Action {
    match error {
        Error::Write(WriteError::NotLeading) => Action::await_change(),
        Error::Write(error) if error.is_conflict() => {
            debug!(%error, name = strategy.metadata.name, "changed meanwhile; deciding again");
            Action::requeue(Duration::from_millis(100))
        }
        error => {
            context.metrics.reconcile_errors.inc();
            warn!(%error, namespace = strategy.metadata.namespace, name = strategy.metadata.name, "trying again");
            Action::requeue(Duration::from_secs(1))
        }
    }
}
