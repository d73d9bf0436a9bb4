//! One reconcile of a strategy: from what the cluster holds to what it should hold, in five steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::RoutingStrategy;
use k8s_openapi::jiff::Timestamp;
use tracing::{Instrument as _, debug, info_span, warn};

use super::dereference::dereference;
use super::execute::{self, Executor, execute};
use super::memory::Memory;
use super::outcome::Outcome;
use super::plan::{plan, plan_deletion};
use super::status;
use super::validate::validate;
use super::write_error::WriteError;
use crate::build::Defaults;
use crate::cache::Cache;
use crate::metrics::Metrics;
use crate::queue::{Next, StrategyKey};

/// The parts that all reconciles share.
pub struct Context {
    /// The caches of the cluster.
    pub cache: Cache,
    /// The executor of plans, which alone writes to the cluster.
    pub executor: Executor,
    /// Defaults and limits of pickers.
    pub defaults: Defaults,
    /// The memory between reconciles; all of it can be lost.
    pub memory: Arc<Memory>,
    /// The operator's metrics.
    pub metrics: Arc<Metrics>,
}

/// Why a reconcile has to be tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Something was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A status could not be expressed.
    #[error("internal: {0}")]
    Internal(#[from] serde_json::Error),
}

/// Reconciles one strategy, and tells when to do so again. Whatever can't be written, the rest is.
pub async fn reconcile(key: StrategyKey, context: Arc<Context>) -> Next {
    let StrategyKey { namespace, name } = &key;
    if !context.executor.works_in(namespace) {
        return Next::Change;
    }
    // Where it is not known yet, or not any more, the watch tells.
    let Some(strategy) = context.cache.strategies.get(namespace, name) else {
        return Next::Change;
    };
    let span = info_span!("reconcile", namespace, name, generation = strategy.metadata.generation);
    let began = Instant::now();
    let running = context.memory.attempts.running(format!("{namespace}/{name}"));
    let uid = strategy.metadata.uid.clone().unwrap_or_default();
    let result = steps(strategy, &context).instrument(span).await;
    drop(running);
    context.metrics.reconciled(began.elapsed());
    match result {
        Ok(again) => {
            context.memory.attempts.succeeded(&uid);
            again.map_or(Next::Change, Next::After)
        }
        Err(error) => retry(&key, &uid, &error, &context),
    }
}

/// The five steps. A strategy that is being deleted needs no validation.
async fn steps(strategy: Arc<RoutingStrategy>, context: &Context) -> Result<Option<Duration>, Error> {
    let now = Timestamp::now();
    let mut snapshot = dereference(strategy, &context.cache, &context.memory);
    snapshot.overlap = context.executor.authority().overlap(snapshot.namespace());
    let (outcome, report) = if snapshot.is_deleting() {
        let plan = plan_deletion(&snapshot);
        debug!(%plan, "deletion");
        let outcome = Outcome::of(&plan, execute(&context.executor, &snapshot, &plan).await);
        let report = status::report_deletion(&snapshot, &outcome, now)?;
        (outcome, report)
    } else {
        let compile = |routing: &_| context.memory.compiled.compile(routing);
        let valid = validate(&snapshot, &context.defaults, compile);
        let mut plan = plan(&snapshot, &valid, now);
        plan.tells_first =
            !snapshot.is_told() && context.memory.first_look(snapshot.uid(), snapshot.generation());
        debug!(%plan);
        let outcome = Outcome::of(&plan, execute(&context.executor, &snapshot, &plan).await);
        let report = status::report(&snapshot, &valid, &outcome, now)?;
        (outcome, report)
    };
    let reported = Outcome::of(&report, execute::report(&context.executor, &snapshot, &report).await);
    match reported.error.or(outcome.error) {
        Some(error) => Err(error.into()),
        None => Ok(outcome.again),
    }
}

/// Longest wait before work that failed is tried again: when the API server comes back after a long time,
/// edits are to be live soon.
const LONGEST_RETRY: Duration = Duration::from_secs(4);

/// When to try a failed reconcile again.
fn retry(StrategyKey { namespace, name }: &StrategyKey, uid: &str, error: &Error, context: &Context) -> Next {
    let before = || context.memory.attempts.failed(uid);
    match error {
        Error::Write(WriteError::NotLeading) => Next::Change,
        Error::Write(error) if error.is_conflict() => {
            debug!(%error, namespace, name, "changed meanwhile; deciding again");
            Next::Retry(pause(Duration::from_millis(100), before()))
        }
        // The strategy ends with it, which is a change.
        Error::Write(error) if error.is_end_of_namespace() => {
            debug!(%error, namespace, name, "the namespace ends");
            Next::Change
        }
        error => {
            context.metrics.reconcile_errors.inc();
            warn!(%error, namespace, name, "trying again");
            Next::Retry(pause(Duration::from_secs(1), before()))
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
