//! Row 9: many strategies converge, and the operator writes nothing afterwards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::cluster::Request;
use e2e::fixtures::Pool;
use e2e::test_env::{self, Strategy, TestEnv, operator_user};
use futures::future::{join_all, try_join_all};
use serde_json::json;

const NAMESPACES: usize = 10;
const STRATEGIES: usize = 30;
const POOLS: usize = 90;
/// How long 90 pickers may take to start on a small machine, whatever else it does; with nothing else to do it is a minute.
const ALL_READY: Duration = Duration::from_secs(300);
const SETTLED: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn many_strategies_come_to_rest() {
    let bar = "30 strategies over 90 pools in 10 namespaces applied at once: all Ready; at rest for 60 s, and \
               through a restart of the operator, it writes nothing but its Lease";
    test_env::run(9, bar, async |env| {
        let open = async |number: usize| {
            TestEnv::open(env.cluster_env().clone(), &format!("row-9-{number}"), env.progress().clone()).await
        };
        let envs = try_join_all((0..NAMESPACES).map(open)).await?;
        let told = story(env, &envs).await;
        if told.is_err() {
            println!("{}", envs[0].diagnosis().await);
        }
        let closed = join_all(envs.iter().map(TestEnv::close)).await;
        told?;
        closed.into_iter().collect()
    });
}

async fn story(env: &TestEnv, envs: &[TestEnv]) -> Result<()> {
    let apiserver = env.cluster_env().cluster().apiserver();
    let user = operator_user();
    let whole = apiserver.audited()?;
    let began = Instant::now();
    let pools = (0..POOLS).map(|number| pool(envs, number));
    let strategies = (0..STRATEGIES).map(|number| strategy(envs, number));
    tokio::try_join!(try_join_all(strategies), try_join_all(pools))?;
    env.progress().say(format_args!("applied within {:.1?}", began.elapsed()));
    for number in 0..STRATEGIES {
        let left = ALL_READY.saturating_sub(began.elapsed());
        envs[number % NAMESPACES].strategy_is(&format!("s{number}"), "Ready=True", left).await?;
    }
    let ready = began.elapsed();
    tokio::time::sleep(SETTLED).await;

    env.progress().say(format_args!("all Ready after {ready:.1?}; looking at the rest for {REST:?}"));
    let rest = apiserver.audited()?;
    tokio::time::sleep(REST).await;
    let at_rest = rest.requests_of(&user)?;
    let restart = apiserver.audited()?;
    env.restart_operator().await?;
    tokio::time::sleep(REST).await;
    let through_restart = restart.requests_of(&user)?;
    for number in 0..STRATEGIES {
        envs[number % NAMESPACES].strategy_is(&format!("s{number}"), "Ready=True", SETTLED).await?;
    }

    let all = whole.requests_of(&user)?;
    let refused: BTreeSet<String> = all.iter().filter(|r| r.code == 403).map(ToString::to_string).collect();
    let writes = |requests: &[Request]| -> Vec<String> {
        requests.iter().filter(|r| r.writes() && r.resource != "leases").map(ToString::to_string).collect()
    };
    let leases =
        |requests: &[Request]| requests.iter().filter(|r| r.writes() && r.resource == "leases").count();
    let (resting, restarting) = (writes(&at_rest), writes(&through_restart));
    env.measured(format_args!(
        "all Ready after {:.0} s and {} writes; {} writes in {} s of rest and {} through a restart, beside {} and {} of \
         the Lease; {} reads at rest",
        ready.as_secs_f64(),
        writes(&all).len(),
        resting.len(),
        REST.as_secs(),
        restarting.len(),
        leases(&at_rest),
        leases(&through_restart),
        at_rest.iter().filter(|r| !r.writes() && r.verb != "watch" && r.resource != "leases").count()
    ));
    let lists = through_restart.iter().filter(|r| r.verb == "list" && r.code == 200).count();
    env.check(leases(&at_rest) > 0, "the audit log tells of the operator");
    env.check(lists > 0, "the new operator has looked at everything");
    env.check(resting.is_empty(), format_args!("no writes at rest: {resting:?}"));
    env.check(restarting.is_empty(), format_args!("no writes through a restart: {restarting:?}"));
    env.check(refused.is_empty(), format_args!("the operator's rights suffice: {refused:?}"));
    Ok(())
}

/// Strategy `number` drives the pools `number`, `number + 30` and `number + 60`: by name, or, every other one, by a
/// label.
async fn strategy(envs: &[TestEnv], number: usize) -> Result<()> {
    let small = json!({"requests": {"cpu": "1m", "memory": "8Mi"}});
    let strategy = Strategy::new(&format!("s{number}")).replicas(1).picker("resources", small);
    let strategy = if number.is_multiple_of(2) {
        (0..POOLS / STRATEGIES).fold(strategy, |s, at| s.pool(&format!("p{}", number + at * STRATEGIES)))
    } else {
        strategy.pools(json!({"selector": {"matchLabels": {"of": format!("s{number}")}}}))
    };
    envs[number % NAMESPACES].apply(&strategy).await.map(drop)
}

async fn pool(envs: &[TestEnv], number: usize) -> Result<()> {
    let name = format!("p{number}");
    let mut pool = Pool::new(&name, &name, &format!("{name}-epp")).v1();
    pool["metadata"]["labels"] = json!({"of": format!("s{}", number % STRATEGIES)});
    let env = &envs[number % NAMESPACES];
    env.kubectl().apply_object(env.namespace(), pool).await.map(drop)
}
