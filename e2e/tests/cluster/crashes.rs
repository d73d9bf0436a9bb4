//! Row 10: the operator is killed after its n-th request, for every n.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::crash::{FakePickers, HistoryRecorder, Operator, OperatorEnv, Run};
use e2e::fixtures::Pool;
use e2e::kubectl::MANAGER;
use e2e::test_env::{self, Strategy, TestEnv};
use e2e::{paths, until};
use futures::future::{join_all, try_join_all};
use kube::api::{Api, DynamicObject};
use serde_json::json;

/// Stories run at a time, each in a namespace of its own.
const LANES: usize = 6;
/// How soon the operator, or the one after it, has done what an edit asks for.
const CONVERGED: Duration = Duration::from_secs(30);
/// All of it; less than any story may take, so that the installed operator comes back in any case.
const LONGEST: Duration = Duration::from_secs(420);

/// All requests are counted, reads and watches too. The operator is the program of the installed one, its rights are
/// the administrator's, and pickers are faked, because what is tried is the operator.
#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn the_operator_ends_after_any_request() {
    let bar = "the operator killed after its n-th request, for every n of create, edit, pool added, delete: it always \
               converges, and no pool is ever left pointing at a picker that is not there";
    test_env::run(10, bar, async |env| {
        let folder = paths::state().join("data/crash");
        std::fs::create_dir_all(&folder)?;
        let program = env.operator_program(&folder).await?;
        let lane = async |number: usize| {
            TestEnv::open(env.cluster_env().clone(), &format!("row-10-{number}"), env.progress().clone())
                .await
        };
        let lanes = try_join_all((0..LANES).map(lane)).await?;
        let next = AtomicU32::new(1);
        let began = Instant::now();
        let outcome = env
            .without_operator(async || {
                let outcome = lanes.iter().map(|lane| {
                    let operator_env = OperatorEnv {
                        program: program.clone(),
                        namespace: lane.namespace().to_owned(),
                        client: lane.kubectl().client().clone(),
                        folder: folder.clone(),
                    };
                    run_all(lane, operator_env, &next)
                });
                Ok(tokio::time::timeout(LONGEST, join_all(outcome)).await?)
            })
            .await;
        let took = began.elapsed();
        let closed = join_all(lanes.iter().map(TestEnv::close)).await;
        let lanes: Vec<Lane> = outcome?.into_iter().collect::<Result<_>>()?;

        let ends: u32 = lanes.iter().map(|lane| lane.killed).sum();
        let whole: Vec<String> = lanes.iter().map(|lane| lane.whole.to_string()).collect();
        let states: usize = lanes.iter().map(|lane| lane.states).sum();
        let violations: Vec<&String> = lanes.iter().flat_map(|lane| &lane.violations).collect();
        let slowest = lanes.iter().map(|lane| lane.slowest).max().unwrap_or_default();
        env.measured(format_args!(
            "{ends} ends in {:.0} s, one after each request; a whole story takes {} requests; it converged each time, \
             at most {slowest:.1?} after an edit; {states} states of pools, Services and Deployments seen, {} wrong",
            took.as_secs_f64(),
            whole.join(", "),
            violations.len()
        ));
        let shortest = lanes.iter().map(|lane| lane.whole).min().unwrap_or_default();
        env.check(shortest > 30, format_args!("a story is more than {shortest} requests"));
        env.check(ends >= shortest, format_args!("ended after each of {shortest} requests, not {ends}"));
        env.check(
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
async fn run_all(env: &TestEnv, operator_env: OperatorEnv, next: &AtomicU32) -> Result<Lane> {
    let recorder = HistoryRecorder::start(env.kubectl(), env.namespace()).await?;
    let _fake_pickers = FakePickers::start(env.kubectl(), env.namespace()).await?;
    let mut lane = Lane::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let operator = Operator::start(operator_env.clone(), number);
        let outcome = story(env, number, &mut lane.slowest).await;
        let run =
            operator.stop().await.with_context(|| format!("the operator, ended after request {number}"));
        outcome.with_context(|| format!("the operator ended after request {number}"))?;
        match run? {
            Run { killed: true, .. } => lane.killed += 1,
            Run { killed: false, asked } => {
                lane.whole = asked;
                break;
            }
        }
    }
    (lane.violations, lane.states) = recorder.violations(env.kubectl()).await?;
    Ok(lane)
}

/// Create, edit, pool added, delete; each is waited for.
async fn story(env: &TestEnv, number: u32, slowest: &mut Duration) -> Result<()> {
    let (name, first, second) = (format!("s{number}"), format!("a{number}"), format!("b{number}"));
    for pool in [&first, &second] {
        env.kubectl().apply_object(env.namespace(), Pool::new(pool, pool, &former(pool)).v1()).await?;
    }
    let strategy =
        Strategy::new(&name).replicas(1).picker("podTemplate", FakePickers::pod_template()).pool(&first);
    let edited = strategy.clone().scorers(&[("queue-scorer", 2.0)]);
    let steps = [
        (strategy, vec![&first]),
        (edited.clone(), vec![&first]),
        (edited.pool(&second), vec![&first, &second]),
    ];
    for (strategy, bound) in steps {
        env.apply(&strategy).await?;
        let applied = Instant::now();
        env.strategy_is(&name, "Ready=True", CONVERGED).await?;
        *slowest = applied.elapsed().max(*slowest);
        for pool in bound {
            let named = pool_of(env, pool).await?.data["spec"]["endpointPickerRef"]["name"].clone();
            ensure!(named == format!("{pool}-picker"), "pool {pool} names {named}");
        }
    }
    let strategies = env.strategy_api().await?;
    strategies.delete(&name, &Default::default()).await?;
    let deleted = Instant::now();
    until(format_args!("the end of {name}"), CONVERGED, async || {
        ensure!(strategies.get_opt(&name).await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;
    *slowest = deleted.elapsed().max(*slowest);
    for pool in [&first, &second] {
        as_before(&pool_of(env, pool).await?, &former(pool))?;
    }
    owned_by_nobody(env, &name).await
}

fn former(pool: &str) -> String {
    format!("{pool}-epp")
}

async fn pool_of(env: &TestEnv, name: &str) -> Result<DynamicObject> {
    let api: Api<DynamicObject> =
        env.kubectl().api("inference.networking.k8s.io/v1", "InferencePool", env.namespace()).await?;
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

/// Nothing that was made for the strategy has an owner, with whose deletion it would go before its time.
async fn owned_by_nobody(env: &TestEnv, strategy: &str) -> Result<()> {
    for (api_version, kind) in [
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "ControllerRevision"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("policy/v1", "PodDisruptionBudget"),
    ] {
        let api = env.kubectl().api(api_version, kind, env.namespace()).await?;
        let made = kube::api::ListParams::default().labels(&format!("waypost.dev/strategy={strategy}"));
        for object in api.list(&made).await? {
            let owners = &object.metadata.owner_references;
            ensure!(owners.is_none(), "{kind} {:?}: {owners:?}", object.metadata.name);
        }
    }
    Ok(())
}
