//! Binds pools to their pickers.

use std::time::Duration;

use crds::{PickerRef, Pool};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tracing::info;

use super::{Done, is_available};
use crate::build::EXT_PROC_PORT;
use crate::strategy::binding::{Decision, Question, Standing, Step, decide};
use crate::strategy::dereference::Snapshot;
use crate::strategy::record::{ANNOTATION, Record};
use crate::strategy::validate::{Claim, Valid};
use crate::strategy::{Context, FINALIZER, release};
use crate::write::WriteError;

/// How often to try what the API server refused.
const REFUSED_AGAIN: Duration = Duration::from_secs(30);

/// Decides about every pool that the strategy drives, and does it.
pub(super) async fn all(
    context: &Context,
    snapshot: &Snapshot,
    valid: &Valid,
    now: Timestamp,
    done: &mut Done,
) {
    let spec = &snapshot.strategy.spec;
    let decided: Vec<(&Claim, Decision)> = valid
        .own()
        .map(|claim| {
            let wanted = PickerRef::service(&claim.picker, EXT_PROC_PORT, spec.picker.failure_mode.as_str());
            let question = Question {
                pool: &claim.pool,
                wanted: &wanted,
                binding: spec.binding,
                available: is_available(snapshot, &claim.picker),
                strategy: snapshot.name(),
                generation: snapshot.generation(),
                remembered: context.memory.record(claim.pool.uid()),
                now,
            };
            (claim, decide(&question))
        })
        .collect();
    let takes = decided.iter().any(|(_, d)| matches!(d.step, Step::Take { .. } | Step::Recall { .. }));
    // First the promise to give back, then the taking.
    if takes
        && !snapshot.has_finalizer()
        && let Err(error) = context.writer.add_finalizer(&snapshot.strategy, FINALIZER).await
    {
        done.failed(error);
        return;
    }
    for (claim, decision) in decided {
        let key = (claim.pool.group, claim.pool.name().to_owned());
        match write(context, &claim.pool, &decision.step).await {
            Ok(()) => {
                match &decision.step {
                    Step::Nothing => {}
                    Step::Take { record, .. } | Step::Recall { record } | Step::Leave { record } => {
                        context.memory.remember(claim.pool.uid(), record);
                    }
                    Step::Forget => context.memory.forget(claim.pool.uid()),
                }
                if let Step::Take { record, .. } = &decision.step {
                    let before = record.previous["name"].as_str().map(str::to_owned);
                    info!(pool = claim.pool.name(), before, picker = claim.picker, "bound");
                    done.bound.push((claim.pool.name().to_owned(), before));
                }
                done.standings.insert(key, decision.standing);
            }
            Err(error) if error.is_field_conflict() => {
                let message = format!("another manager holds the reference of pool {}", claim.pool.name());
                done.standings.insert(key, Standing::Elsewhere(message));
                done.look_again(REFUSED_AGAIN);
            }
            Err(error) => {
                let refusal = error.refusal().map(str::to_owned);
                if refusal.is_some() {
                    done.look_again(REFUSED_AGAIN);
                } else {
                    done.failed(error);
                }
                let message = refusal.unwrap_or_else(|| "not written yet; trying again".to_owned());
                done.standings
                    .insert(key, Standing::Waiting(format!("pool {}: {message}", claim.pool.name())));
            }
        }
    }
    let auth = snapshot.strategy.spec.picker.metrics.auth;
    if !takes && !auth && snapshot.has_finalizer() && release::held(context, snapshot).is_empty() {
        match release::finish(context, snapshot).await {
            Ok(None) => {}
            Ok(Some(_)) => done.look_again(release::FINISH_AGAIN),
            Err(error) => done.failed(error),
        }
    }
}

async fn write(context: &Context, pool: &Pool, step: &Step) -> Result<(), WriteError> {
    match step {
        Step::Nothing => Ok(()),
        Step::Take { record, force } => apply(context, pool, record, *force).await,
        Step::Recall { record } => {
            info!(pool = pool.name(), "writing the record of the former picker again");
            // Over whoever spoilt it; the reference is ours already.
            apply(context, pool, record, true).await
        }
        Step::Leave { record } => {
            info!(pool = pool.name(), "left to another manager");
            release::leave(context, pool, record).await
        }
        Step::Forget => release::forget(context, pool).await,
    }
}

async fn apply(context: &Context, pool: &Pool, record: &Record, force: bool) -> Result<(), WriteError> {
    let content = json!({
        "metadata": {"annotations": {ANNOTATION: record.write().unwrap_or_default()}},
        "spec": {pool.group.ref_field(): record.applied},
    });
    context.writer.apply_pool(pool, content, force).await
}
