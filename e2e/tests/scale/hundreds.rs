//! Row 19: three hundred strategies whose pods can't be scheduled.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::cluster::Request;
use e2e::test_env::{self, TestEnv, operator_user};

use crate::fleet::{Fleet, strategy};

const STRATEGIES: usize = 300;
const MADE: Duration = Duration::from_secs(60);
const DELETED: Duration = Duration::from_secs(60);
/// How much memory the operator that leads may have, in bytes.
const MEMORY: u64 = 60_000_000;
const REST: Duration = Duration::from_secs(30);
/// The share of one processor that it may take at rest.
const PROCESSOR: f64 = 0.005;
const SETTLED: Duration = Duration::from_secs(10);
/// The pools of the strategy of many, and how soon its status tells what there is.
const POOLS: usize = 40;
const TOLD: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs a quiet machine: cargo xtask test --only scale"]
fn three_hundred_strategies() {
    let bar = "300 strategies in one namespace, whose pods can't be scheduled: all objects made within 60 s, the operator below \
               60 MB, 0 writes and 0.005 of a core at rest, 0 writes through a restart, all deleted within 60 s; of 40 pools of \
               one strategy the status tells within 3 s what there is";
    test_env::run(19, bar, async |env| {
        let fleet = Fleet { env, strategies: STRATEGIES };
        fleet.pools().await?;
        let began = Instant::now();
        fleet.apply().await?;
        let applied = began.elapsed();
        fleet.made(5 * MADE).await?;
        let made = began.elapsed();
        tokio::time::sleep(SETTLED).await;
        rest(env).await?;

        let began = Instant::now();
        fleet.delete().await?;
        fleet.gone(5 * DELETED).await?;
        let deleted = began.elapsed();
        let peak = env.operator_usage().await?.peak;
        env.measured(format_args!(
            "applied in {applied:.1?}, all objects made after {made:.1?}; all deleted after {deleted:.1?}; at most {:.0} MB",
            peak as f64 / 1e6
        ));
        env.check(made <= MADE, format_args!("made within {MADE:?}, not {made:.1?}"));
        env.check(deleted <= DELETED, format_args!("deleted within {DELETED:?}, not {deleted:.1?}"));
        env.check(peak <= MEMORY, format_args!("never more than {MEMORY} bytes, not {peak}"));
        many_pools(env).await
    });
}

/// Looks at the operator at rest, and through a restart.
async fn rest(env: &TestEnv) -> Result<()> {
    let apiserver = env.cluster_env().cluster().apiserver();
    let writes = |requests: Vec<Request>| -> Vec<String> {
        let writes = requests.into_iter().filter(|r| r.writes() && r.resource != "leases");
        writes.map(|request| request.to_string()).collect()
    };
    let (before, audit) = (env.operator_usage().await?, apiserver.audited()?);
    tokio::time::sleep(REST).await;
    let (after, resting) = (env.operator_usage().await?, writes(audit.requests_of(&operator_user())?));
    let processor = (after.processor - before.processor).as_secs_f64() / REST.as_secs_f64();
    let audit = apiserver.audited()?;
    env.restart_operator().await?;
    tokio::time::sleep(REST).await;
    let (restarted, restarting) = (env.operator_usage().await?, writes(audit.requests_of(&operator_user())?));
    env.measured(format_args!(
        "at rest {:.0} MB, {} writes and {processor:.4} of a core; {} writes through a restart, and then {:.0} MB",
        after.resident as f64 / 1e6,
        resting.len(),
        restarting.len(),
        restarted.resident as f64 / 1e6,
    ));
    let resident = after.resident.max(restarted.peak);
    env.check(resident <= MEMORY, format_args!("at most {MEMORY} bytes, not {resident}"));
    env.check(resting.is_empty(), format_args!("no writes at rest: {resting:?}"));
    env.check(processor <= PROCESSOR, format_args!("at most {PROCESSOR} of a core, not {processor}"));
    env.check(restarting.is_empty(), format_args!("no writes through a restart: {restarting:?}"));
    Ok(())
}

/// One strategy of many pools.
async fn many_pools(env: &TestEnv) -> Result<()> {
    let many = (1..POOLS).fold(strategy(0), |strategy, number| strategy.pool(&crate::fleet::name(number)));
    let applied = Instant::now();
    env.apply(&many).await?;
    env.strategy_is(many.name(), "Accepted=True", 10 * TOLD).await?;
    let told = applied.elapsed();
    let status = env.strategy(many.name()).await?.data["status"].clone();
    let pools = status["pools"].as_array().map_or(0, Vec::len);
    env.measured(format_args!("of {POOLS} pools the status tells after {told:.1?}"));
    env.check(told <= TOLD, format_args!("told within {TOLD:?}, not {told:.1?}"));
    env.check(pools == POOLS, format_args!("of every pool, not {pools}"));
    Ok(())
}
