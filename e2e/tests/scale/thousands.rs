//! Row 20: two thousand strategies with faked pickers, and edits while others come and go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::crash::FakePickers;
use e2e::test_env::{self, TestEnv};
use e2e::{fixtures::Pool, until};
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::task::JoinSet;

use crate::fleet::{Fleet, holds, name, strategy};

const LONGEST: Duration = Duration::from_secs(20 * 60);
const NAMESPACES: usize = 20;
const EACH: usize = 100;
const READY: Duration = Duration::from_secs(480);
/// The limit of the chart.
const MEMORY: u64 = 256 << 20;

/// How long the end of all namespaces may take: some twenty thousand objects, one after another by several controllers.
const CLEARED: Duration = Duration::from_secs(600);

const EDITS: usize = 100;
/// Between two edits.
const PACE: Duration = Duration::from_millis(400);
const ACCEPTED: Duration = Duration::from_millis(200);
const PROGRAMMED: Duration = Duration::from_secs(1);
/// A strategy comes, and another goes, each second, with about ten objects each.
const CHURN: Duration = Duration::from_secs(1);
/// How many seconds each of them stays.
const STAY: usize = 10;

#[test]
#[ignore = "needs a quiet machine: cargo xtask test --only scale"]
fn two_thousand_strategies() {
    let bar = "2,000 strategies with faked pickers: all Ready, the operator within the memory limit of the chart; 100 edits \
               while others come and go: Accepted p99 within 200 ms, Programmed p99 within 1 s";
    test_env::run_within(LONGEST, 20, bar, async |env| {
        let open = async |number: usize| {
            TestEnv::open(env.cluster_env().clone(), &format!("row-20-{number}"), env.progress().clone())
                .await
        };
        let envs = try_join_all((0..NAMESPACES).map(open)).await?;
        let told = story(env, &envs).await;
        let began = Instant::now();
        let closed = join_all(envs.iter().map(|each| each.close_within(CLEARED))).await;
        env.measured(format_args!("all gone with their namespaces after {:.0?}", began.elapsed()));
        told?;
        closed.into_iter().collect()
    });
}

async fn story(env: &TestEnv, envs: &[TestEnv]) -> Result<()> {
    let began = Instant::now();
    let mut fakes = Vec::new();
    for each in envs {
        let fleet = Fleet { env: each, strategies: EACH };
        fakes.push(FakePickers::start(each.kubectl(), each.namespace()).await?);
        fleet.pools().await?;
        fleet.apply().await?;
    }
    let applied = began.elapsed();
    for each in envs {
        let fleet = Fleet { env: each, strategies: EACH };
        fleet.are("Ready=True", READY.saturating_sub(began.elapsed())).await?;
    }
    let ready = began.elapsed();
    env.progress().say(format_args!("all Ready after {ready:.0?}"));
    let usage = env.operator_usage().await?;
    env.measured(format_args!(
        "{} strategies applied in {applied:.0?}, all Ready after {ready:.0?}; the operator has {:.0} MB, at most {:.0} MB",
        NAMESPACES * EACH,
        usage.resident as f64 / 1e6,
        usage.peak as f64 / 1e6
    ));
    env.check(usage.peak < MEMORY, format_args!("within {MEMORY} bytes, not {}", usage.peak));
    let _fake = FakePickers::start(env.kubectl(), env.namespace()).await?;
    edits(env, envs).await
}

/// When a generation of a strategy was accepted, and when it was programmed.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    accepted: Option<Instant>,
    programmed: Option<Instant>,
}

type Generations = Arc<Mutex<HashMap<(String, String, i64), Seen>>>;

async fn edits(env: &TestEnv, envs: &[TestEnv]) -> Result<()> {
    let seen = Generations::default();
    let mut tasks = JoinSet::new();
    for each in envs {
        tasks.spawn(watch(each.strategy_api().await?, seen.clone()));
    }
    let mut delays = Vec::new();
    let edits = async {
        for number in 0..EDITS {
            let next = tokio::time::Instant::now() + PACE;
            let each = &envs[number % NAMESPACES];
            let weight = 2.0 + number as f64 / 100.0;
            let edited = strategy(number / NAMESPACES * 7).scorers(&[("queue-scorer", weight)]);
            let applied = each.apply(&edited).await?;
            let returned = Instant::now();
            let generation = applied.object.metadata.generation.context("a generation")?;
            let key = (each.namespace().to_owned(), edited.name().to_owned(), generation);
            let what = format!("{key:?} to be live");
            let found = until(what, Duration::from_secs(60), async || {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let seen = seen.get(&key).context("not seen")?;
                Ok((seen.accepted.context("not accepted")?, seen.programmed.context("not programmed")?))
            });
            let (accepted, programmed) = found.await?;
            let after = |at: Instant| at.saturating_duration_since(returned);
            delays.push((after(accepted), after(programmed)));
            tokio::time::sleep_until(next).await;
        }
        Ok(())
    };
    tokio::select! {
        done = edits => done,
        failed = churn(env) => failed,
    }?;
    let p = |mut delays: Vec<Duration>, share: f64| {
        delays.sort();
        delays[((delays.len() as f64 * share).ceil() as usize).max(1) - 1]
    };
    let accepted: Vec<Duration> = delays.iter().map(|(accepted, _)| *accepted).collect();
    let programmed: Vec<Duration> = delays.iter().map(|(_, programmed)| *programmed).collect();
    let p99 = (p(accepted.clone(), 0.99), p(programmed.clone(), 0.99));
    env.measured(format_args!(
        "{EDITS} edits: accepted p50 {:.0?}, p99 {:.0?}; programmed p50 {:.0?}, p99 {:.0?}",
        p(accepted, 0.5),
        p99.0,
        p(programmed, 0.5),
        p99.1
    ));
    env.check(p99.0 <= ACCEPTED, format_args!("accepted within {ACCEPTED:?}, not {:?}", p99.0));
    env.check(p99.1 <= PROGRAMMED, format_args!("programmed within {PROGRAMMED:?}, not {:?}", p99.1));
    Ok(())
}

async fn watch(api: Api<DynamicObject>, seen: Generations) {
    let mut events = watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(strategy) | Event::InitApply(strategy)) = event else { continue };
        let now = Instant::now();
        let namespace = strategy.namespace().unwrap_or_default();
        let key = (namespace, strategy.name_any(), strategy.metadata.generation.unwrap_or_default());
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(key).or_default();
        if holds(&strategy, "Accepted=True") {
            seen.accepted.get_or_insert(now);
        }
        if holds(&strategy, "Programmed=True") {
            seen.programmed.get_or_insert(now);
        }
    }
}

/// Strategies that come and go, for ever.
async fn churn(env: &TestEnv) -> Result<()> {
    let strategies = env.strategy_api().await?;
    let mut tick = tokio::time::interval(CHURN);
    for number in 0.. {
        tick.tick().await;
        let pool = Pool::new(&name(number), &name(number), "former").v1();
        env.kubectl().apply_object(env.namespace(), pool).await?;
        env.apply(&strategy(number)).await?;
        if let Some(old) = number.checked_sub(STAY) {
            strategies.delete(&name(old), &DeleteParams::default()).await?;
        }
    }
    Ok(())
}
