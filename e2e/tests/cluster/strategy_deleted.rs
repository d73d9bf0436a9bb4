//! Row 6: a deleted strategy leaves no objects behind.

mod inventory;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::fixtures::Pool;
use e2e::test_env::{self, PATIENCE, Strategy, TestEnv};
use e2e::until;
use inventory::Inventory;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const V1ALPHA2: &str = "inference.networking.x-k8s.io";
/// The first part of every name of ours in managedFields, annotations and finalizers.
const OURS: &str = "waypost";

const STRATEGIES: [&str; 2] = ["chat", "scaled"];

/// A pool as somebody else made it.
struct Owned {
    manifest: Value,
    /// Who made it.
    manager: &'static str,
    /// Whether by server-side apply.
    applied: bool,
    /// Where in `spec` it names its picker.
    reference: &'static str,
}

fn pools() -> [Owned; 4] {
    let pool = |name: &str| Pool::new(name, "chat", &format!("{name}-epp"));
    let mut careful = pool("careful").v1();
    careful["spec"]["endpointPickerRef"]["failureMode"] = json!("FailClose");
    careful["metadata"]["annotations"] = json!({"example.com/team": "chat"});
    [
        Owned { manifest: careful, manager: "flux", applied: true, reference: "endpointPickerRef" },
        Owned {
            manifest: pool("plain").v1(),
            manager: "kubectl-create",
            applied: false,
            reference: "endpointPickerRef",
        },
        Owned {
            manifest: pool("scaled").v1(),
            manager: "argocd-controller",
            applied: true,
            reference: "endpointPickerRef",
        },
        Owned {
            manifest: pool("older").v1alpha2(),
            manager: "helm",
            applied: true,
            reference: "extensionRef",
        },
    ]
}

/// With two pickers a pool, so that there are disruption budgets too.
fn strategy() -> Strategy {
    let older = json!({"name": "older", "group": V1ALPHA2});
    Strategy::new("chat").pool("careful").pool("plain").pools(older).replicas(2)
}

/// With pickers that an autoscaler counts, and a NetworkPolicy for them.
fn scaled() -> Strategy {
    let autoscaling = json!({"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 80});
    let policy = json!({"gateways": [{"namespaceSelector": {}}]});
    Strategy::new("scaled").pool("scaled").picker("autoscaling", autoscaling).picker("networkPolicy", policy)
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn a_deleted_strategy_leaves_nothing() {
    let bar = "strategy deleted: pools (v1, v1alpha2) have their former endpointPickerRef, nothing is left over, their \
               owners' next apply has no conflict";
    test_env::run(6, bar, async |env| {
        env.servers("chat", 1, &[]).await?;
        let owned = pools();
        let mut former = Vec::new();
        for pool in &owned {
            former.push(made(env, pool).await?);
        }
        let client = env.kubectl().client();
        let before = Inventory::of(client, env.namespace()).await?;

        // Two revisions, so that there is a history too.
        env.apply(&strategy().scorers(&[("queue-scorer", 1.0)])).await?;
        env.apply(&scaled()).await?;
        for name in STRATEGIES {
            env.strategy_is(name, "Ready=True", PATIENCE).await?;
        }
        env.apply(&strategy().scorers(&[("queue-scorer", 2.0)])).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        for pool in &owned {
            let bound = live(env, pool).await?;
            ensure!(
                named(pool, &bound).is_some_and(|name| name.ends_with("-picker")),
                "not taken over: {:?}",
                pool.manifest
            );
        }
        let more = Inventory::of(client, env.namespace()).await?.beyond(&before);
        for kind in ["ControllerRevision", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"]
        {
            ensure!(more.iter().any(|object| object.starts_with(kind)), "no {kind} in {more:?}");
        }

        let strategies = env.strategy_api().await?;
        for name in STRATEGIES {
            strategies.delete(name, &DeleteParams::default()).await?;
        }
        let deleted = Instant::now();
        until("the pools to have their pickers again", PATIENCE, || async {
            for (pool, former) in owned.iter().zip(&former) {
                let now = live(env, pool).await?;
                ensure!(now.data["spec"] == former.data["spec"], "{}", now.data["spec"]);
            }
            Ok(())
        })
        .await?;
        let given_back = deleted.elapsed();
        let left = until("the end of all that was made", PATIENCE, || async {
            let left = Inventory::of(client, env.namespace()).await?.beyond(&before);
            ensure!(left.is_empty(), "left over: {}", left.join(", "));
            Ok(())
        });
        let left = left.await;
        let count = Inventory::of(client, env.namespace()).await?.beyond(&before).len();
        env.check(
            left.is_ok(),
            format_args!("{:#}", left.err().unwrap_or_else(|| anyhow::anyhow!("nothing is left"))),
        );
        let gone = deleted.elapsed();
        for (pool, former) in owned.iter().zip(&former) {
            let outcome = as_before(env, pool, former).await;
            env.check(
                outcome.is_ok(),
                format_args!("{:#}", outcome.err().unwrap_or_else(|| anyhow::anyhow!("as before"))),
            );
        }
        env.measured(format_args!(
            "{} pools given back after {given_back:.1?}; {} objects made, {count} left after {:.0} s",
            owned.len(),
            more.len(),
            gone.as_secs_f64()
        ));
        Ok(())
    });
}

/// The pool is as its owner left it, and still its owner's.
async fn as_before(env: &TestEnv, pool: &Owned, former: &DynamicObject) -> Result<()> {
    let now = live(env, pool).await?;
    let name = pool.manifest["metadata"]["name"].as_str().unwrap_or_default();
    ensure!(now.data == former.data, "pool {name}: {} is not {}", now.data, former.data);
    let (now, former) = (now.metadata, &former.metadata);
    ensure!(now.annotations == former.annotations, "pool {name}: annotations {:?}", now.annotations);
    ensure!(now.labels == former.labels, "pool {name}: labels {:?}", now.labels);
    ensure!(now.finalizers == former.finalizers, "pool {name}: finalizers {:?}", now.finalizers);
    ensure!(now.owner_references == former.owner_references, "pool {name}: {:?}", now.owner_references);
    let managers = serde_json::to_string(&now.managed_fields)?;
    ensure!(!managers.contains(OURS), "pool {name}: we are in its managedFields: {managers}");

    // The owner's next apply, the same and then another, asks for no force.
    if pool.applied {
        let again = put(env, pool, &pool.manifest).await;
        again.with_context(|| format!("the next apply of {}; managedFields {managers}", pool.manager))?;
        let mut changed = pool.manifest.clone();
        changed["spec"][pool.reference]["name"] = json!("another-epp");
        let changed = put(env, pool, &changed).await;
        let changed = changed
            .with_context(|| format!("a changed apply of {}; managedFields {managers}", pool.manager))?;
        ensure!(named(pool, &changed) == Some("another-epp"), "pool {name} does not follow its owner");
    }
    Ok(())
}

async fn made(env: &TestEnv, pool: &Owned) -> Result<DynamicObject> {
    if pool.applied {
        return put(env, pool, &pool.manifest).await;
    }
    let params = PostParams { field_manager: Some(pool.manager.to_owned()), ..PostParams::default() };
    let object = serde_json::from_value(pool.manifest.clone())?;
    Ok(api(env, pool).await?.create(&params, &object).await?)
}

/// Applies `manifest` as the pool's owner, without force.
async fn put(env: &TestEnv, pool: &Owned, manifest: &Value) -> Result<DynamicObject> {
    let name = manifest["metadata"]["name"].as_str().context("a name")?;
    let params = PatchParams::apply(pool.manager);
    Ok(api(env, pool).await?.patch(name, &params, &Patch::Apply(manifest)).await?)
}

async fn live(env: &TestEnv, pool: &Owned) -> Result<DynamicObject> {
    let name = pool.manifest["metadata"]["name"].as_str().context("a name")?;
    Ok(api(env, pool).await?.get(name).await?)
}

async fn api(env: &TestEnv, pool: &Owned) -> Result<Api<DynamicObject>> {
    let api_version = pool.manifest["apiVersion"].as_str().context("an apiVersion")?;
    env.kubectl().api(api_version, "InferencePool", env.namespace()).await
}

/// The picker that a pool names.
fn named<'a>(pool: &Owned, object: &'a DynamicObject) -> Option<&'a str> {
    object.data["spec"][pool.reference]["name"].as_str()
}
