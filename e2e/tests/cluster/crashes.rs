//! Row 10: the operator ends after its n-th request, for every n.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::crash::{Fate, Operator, Place, StandIn, Witness};
use e2e::fixtures::Pool;
use e2e::kubectl::MANAGER;
use e2e::stage::{self, Stage, Strategy};
use e2e::{paths, until};
use futures::future::{join_all, try_join_all};
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};

/// Stories told at a time, each in a namespace of its own.
const LANES: usize = 6;
/// How soon the operator, or the one after it, has done what an edit asks for.
const CONVERGED: Duration = Duration::from_secs(30);
/// All of it; less than any story may take, so that the installed operator comes back in any case.
const LONGEST: Duration = Duration::from_secs(420);

/// All requests are counted, reads and watches too. The operator is the program of the installed one, its rights are
/// the administrator's, and pickers are played by a stand-in, because what is tried is the operator.
#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn the_operator_ends_after_any_request() {
    let bar = "the operator killed after its n-th request, for every n of create, edit, pool added, delete: it always \
               converges, and no pool is ever left pointing at a picker that is not there";
    stage::play(10, bar, async |stage| {
        let folder = paths::state().join("data/crash");
        std::fs::create_dir_all(&folder)?;
        let program = stage.operator_program(&folder).await?;
        let lane = async |number: usize| {
            Stage::open(stage.ground().clone(), &format!("row-10-{number}"), stage.progress().clone()).await
        };
        let lanes = try_join_all((0..LANES).map(lane)).await?;
        let next = AtomicU32::new(1);
        let began = Instant::now();
        let told = stage
            .without_operator(async || {
                let told = lanes.iter().map(|lane| {
                    let place = Place {
                        program: program.clone(),
                        namespace: lane.namespace().to_owned(),
                        client: lane.kubectl().client().clone(),
                        folder: folder.clone(),
                    };
                    tell_all(lane, place, &next)
                });
                Ok(tokio::time::timeout(LONGEST, join_all(told)).await?)
            })
            .await;
        let took = began.elapsed();
        let closed = join_all(lanes.iter().map(Stage::close)).await;
        let lanes: Vec<Lane> = told?.into_iter().collect::<Result<_>>()?;

        let ends: u32 = lanes.iter().map(|lane| lane.killed).sum();
        let whole: Vec<String> = lanes.iter().map(|lane| lane.whole.to_string()).collect();
        let states: usize = lanes.iter().map(|lane| lane.states).sum();
        let violations: Vec<&String> = lanes.iter().flat_map(|lane| &lane.violations).collect();
        let slowest = lanes.iter().map(|lane| lane.slowest).max().unwrap_or_default();
        stage.measured(format_args!(
            "{ends} ends in {:.0} s, one after each request; a whole story takes {} requests; it converged each time, \
             at most {slowest:.1?} after an edit; {states} states of pools, Services and Deployments seen, {} wrong",
            took.as_secs_f64(),
            whole.join(", "),
            violations.len()
        ));
        let shortest = lanes.iter().map(|lane| lane.whole).min().unwrap_or_default();
        stage.bar(shortest > 30, format_args!("a story is more than {shortest} requests"));
        stage.bar(ends >= shortest, format_args!("ended after each of {shortest} requests, not {ends}"));
        stage.bar(
            violations.is_empty(),
            format_args!("no pool points at a picker that is not there: {violations:?}"),
        );
        closed.into_iter().collect()
    });
}

/// What came of the stories of one namespace.
#[derive(Default)]
struct Lane {
    killed: u32,
    /// Requests of the story that came to its end first.
    whole: u32,
    slowest: Duration,
    violations: Vec<String>,
    states: usize,
}

/// Takes one number after the other, until a story ends before its number is reached.
async fn tell_all(stage: &Stage, place: Place, next: &AtomicU32) -> Result<Lane> {
    let witness = Witness::start(stage.kubectl(), stage.namespace()).await?;
    let _stand_in = StandIn::start(stage.kubectl(), stage.namespace()).await?;
    let mut lane = Lane::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let operator = Operator::start(place.clone(), number);
        let told = story(stage, number, &mut lane.slowest).await;
        let fate =
            operator.stop().await.with_context(|| format!("the operator, ended after request {number}"));
        told.with_context(|| format!("the operator ended after request {number}"))?;
        match fate? {
            Fate { killed: true, .. } => lane.killed += 1,
            Fate { killed: false, asked } => {
                lane.whole = asked;
                break;
            }
        }
    }
    (lane.violations, lane.states) = witness.verdict(stage.kubectl()).await?;
    Ok(lane)
}

/// Create, edit, pool added, delete; each is waited for.
async fn story(stage: &Stage, number: u32, slowest: &mut Duration) -> Result<()> {
    let (name, first, second) = (format!("s{number}"), format!("a{number}"), format!("b{number}"));
    for pool in [&first, &second] {
        stage.kubectl().apply_object(stage.namespace(), Pool::new(pool, pool, &former(pool)).v1()).await?;
    }
    let strategy =
        Strategy::new(&name).replicas(1).picker("podTemplate", StandIn::pod_template()).pool(&first);
    let edited = strategy.clone().scorers(&[("queue-scorer", 2.0)]);
    let steps = [
        (strategy, vec![&first]),
        (edited.clone(), vec![&first]),
        (edited.pool(&second), vec![&first, &second]),
    ];
    for (strategy, bound) in steps {
        stage.apply(&strategy).await?;
        let applied = Instant::now();
        stage.strategy_is(&name, "Ready=True", CONVERGED).await?;
        *slowest = applied.elapsed().max(*slowest);
        for pool in bound {
            let named = pool_of(stage, pool).await?.data["spec"]["endpointPickerRef"]["name"].clone();
            ensure!(named == format!("{pool}-picker"), "pool {pool} names {named}");
        }
    }
    let strategies = stage.strategy_api().await?;
    strategies.delete(&name, &Default::default()).await?;
    let deleted = Instant::now();
    until(format_args!("the end of {name}"), CONVERGED, async || {
        ensure!(strategies.get_opt(&name).await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    *slowest = deleted.elapsed().max(*slowest);
    for pool in [&first, &second] {
        as_before(&pool_of(stage, pool).await?, &former(pool))?;
    }
    owned_by_nobody_else(stage, &name).await
}

fn former(pool: &str) -> String {
    format!("{pool}-epp")
}

async fn pool_of(stage: &Stage, name: &str) -> Result<DynamicObject> {
    let api: Api<DynamicObject> =
        stage.kubectl().api("inference.networking.k8s.io/v1", "InferencePool", stage.namespace()).await?;
    Ok(api.get(name).await?)
}

/// The pool names its former picker again, and has nothing of the operator's.
fn as_before(pool: &DynamicObject, former: &str) -> Result<()> {
    let named = &pool.data["spec"]["endpointPickerRef"]["name"];
    ensure!(named == former, "the pool names {named}, not {former}");
    let left = json!({"annotations": pool.metadata.annotations, "labels": pool.metadata.labels});
    ensure!(left == json!({"annotations": null, "labels": null}), "left on the pool: {left}");
    let managers: Vec<_> =
        pool.metadata.managed_fields.iter().flatten().filter_map(|m| m.manager.clone()).collect();
    ensure!(managers.iter().all(|manager| manager == MANAGER), "managers of the pool: {managers:?}");
    Ok(())
}

/// Everything that was made for the strategy goes with it: it is owned by it, and so collected.
async fn owned_by_nobody_else(stage: &Stage, strategy: &str) -> Result<()> {
    for (api_version, kind) in [
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "ControllerRevision"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("policy/v1", "PodDisruptionBudget"),
    ] {
        let api = stage.kubectl().api(api_version, kind, stage.namespace()).await?;
        let made = kube::api::ListParams::default().labels(&format!("waypost.dev/strategy={strategy}"));
        for object in api.list(&made).await? {
            let owners: Vec<Value> = object
                .metadata
                .owner_references
                .iter()
                .flatten()
                .map(|owner| json!([owner.kind, owner.name]))
                .collect();
            ensure!(
                owners == [json!(["RoutingStrategy", strategy])],
                "{kind} {:?}: {owners:?}",
                object.metadata.name
            );
        }
    }
    Ok(())
}
