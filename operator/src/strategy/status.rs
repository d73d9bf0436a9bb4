//! What is said about it: the status, written only where it differs.

use crds::{PoolStatus, RoutingStrategyStatus, Summary};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::debug;

use super::apply::Done;
use super::binding::Standing;
use super::dereference::Snapshot;
use super::validate::Valid;
use super::{Context, Error, conditions, events};
use crate::build::EXT_PROC_PORT;

mod verdicts;

/// How many pickers without a pod in the cache are asked for in one reconcile.
const MAX_ASKED: usize = 20;

/// Computes the status and writes what of it is new.
pub(super) async fn write(
    context: &Context,
    snapshot: &Snapshot,
    valid: &Valid,
    done: &Done,
    now: Timestamp,
) -> Result<(), Error> {
    let old = snapshot.strategy.status.clone().unwrap_or_default();
    let new = compute(snapshot, valid, done, now);
    let mut patch = difference(&old, &new)?;
    let gone = gone_pickers(context, snapshot, &old).await;
    if !gone.is_empty() {
        patch.insert("pickers".to_owned(), gone.into_iter().map(|pod| (pod, Value::Null)).collect());
    }
    if !patch.is_empty() {
        context.writer.status(&snapshot.strategy, &Value::Object(patch)).await?;
        events::publish(context, snapshot, &old, &new, done).await;
    }
    Ok(())
}

/// Says of a strategy that is being deleted what keeps it from being let go.
pub(super) async fn releasing(
    context: &Context,
    snapshot: &Snapshot,
    done: &Done,
    now: Timestamp,
) -> Result<(), Error> {
    let old = snapshot.strategy.status.clone().unwrap_or_default();
    let generation = snapshot.generation();
    let verdict = verdicts::releasing(&done.blocked);
    let conditions = conditions::not_ready(&verdict, &old.conditions, generation, now);
    let new = RoutingStrategyStatus { observed_generation: generation, conditions, ..old.clone() };
    let patch = difference(&old, &new)?;
    if !patch.is_empty() {
        context.writer.status(&snapshot.strategy, &Value::Object(patch)).await?;
        events::publish(context, snapshot, &old, &new, &Done::default()).await;
    }
    Ok(())
}

/// The status that should be, `pickers` aside, which pickers write.
pub(super) fn compute(
    snapshot: &Snapshot,
    valid: &Valid,
    done: &Done,
    now: Timestamp,
) -> RoutingStrategyStatus {
    let old = snapshot.strategy.status.as_ref();
    let former = snapshot.revision().map(str::to_owned);
    // Only what compiles and is kept is to be served.
    let revision = match &valid.routing {
        Ok(revision) if done.kept => Some(revision.clone()),
        _ => former,
    };
    let pools = pools(valid, done);
    let verdicts = verdicts::of(snapshot, valid, done, revision.as_deref());
    let conditions = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
    RoutingStrategyStatus {
        observed_generation: snapshot.generation(),
        revision,
        conditions: verdicts.conditions(conditions, snapshot.generation(), now),
        summary: Some(Summary {
            pools: format!("{}/{}", pools.iter().filter(|pool| pool.bound).count(), pools.len()),
            pickers: verdicts::pickers(snapshot, valid, done),
        }),
        pools,
        pickers: Default::default(),
    }
}

fn pools(valid: &Valid, done: &Done) -> Vec<PoolStatus> {
    let claimed = valid.claims.iter().map(|claim| {
        let name = claim.pool.name().to_owned();
        let group = claim.pool.group;
        if let Some(holder) = &claim.holder {
            let message = format!("the older strategy {holder} has this pool");
            return PoolStatus { name, group, message: Some(message), ..PoolStatus::default() };
        }
        let standing = done.standings.get(&(group, name.clone()));
        let message = match standing {
            Some(Standing::Bound) => None,
            Some(
                Standing::Waiting(message)
                | Standing::WrongPort(message)
                | Standing::Elsewhere(message)
                | Standing::Contested(message),
            ) => Some(message.clone()),
            None => Some("not looked at yet".to_owned()),
        };
        PoolStatus {
            name,
            group,
            picker_service: Some(claim.picker.clone()),
            port: Some(EXT_PROC_PORT.into()),
            bound: standing == Some(&Standing::Bound),
            message,
        }
    });
    let missing = valid.missing.iter().map(|(group, name)| PoolStatus {
        name: name.clone(),
        group: *group,
        message: Some("there is no such pool".to_owned()),
        ..PoolStatus::default()
    });
    let mut pools: Vec<_> = claimed.chain(missing).collect();
    pools.sort_by(|a, b| (a.group, &a.name).cmp(&(b.group, &b.name)));
    pools
}

/// The fields of `new` that `old` has otherwise.
fn difference(
    old: &RoutingStrategyStatus,
    new: &RoutingStrategyStatus,
) -> Result<Map<String, Value>, serde_json::Error> {
    let mut patch = Map::new();
    let mut put = |differs: bool, name: &str, value: Value| {
        if differs {
            patch.insert(name.to_owned(), value);
        }
    };
    put(
        old.observed_generation != new.observed_generation,
        "observedGeneration",
        json!(new.observed_generation),
    );
    put(old.revision != new.revision, "revision", json!(new.revision));
    put(old.conditions != new.conditions, "conditions", serde_json::to_value(&new.conditions)?);
    put(old.pools != new.pools, "pools", serde_json::to_value(&new.pools)?);
    put(old.summary != new.summary, "summary", serde_json::to_value(&new.summary)?);
    Ok(patch)
}

/// Pickers with an entry and without a pod. The cache of pods may be behind that of strategies, so that
/// it is asked again.
async fn gone_pickers(context: &Context, snapshot: &Snapshot, old: &RoutingStrategyStatus) -> Vec<String> {
    let mut gone = Vec::new();
    let mut asked = 0;
    for pod in old.pickers.keys() {
        if snapshot.pods.iter().any(|known| known.name == *pod) {
            continue;
        }
        // No pod can be called so: whoever wrote it was no picker.
        if !is_dns1123(pod) {
            gone.push(pod.clone());
            continue;
        }
        asked += 1;
        if asked > MAX_ASKED {
            break;
        }
        match context.writer.pod_exists(snapshot.namespace(), pod).await {
            Ok(true) => {}
            Ok(false) => gone.push(pod.clone()),
            Err(error) => debug!(%error, pod, "could not ask for a picker"),
        }
    }
    gone
}

/// Whether a pod could have this name.
fn is_dns1123(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

#[cfg(test)]
mod tests;
