//! Row 1: edits of a strategy under load.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use e2e::envoy::AiGateway;
use e2e::load::{Load, Prompts, Report};
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use e2e::until;
use futures::future::try_join_all;

const EDITS: usize = 50;
const PICKERS: usize = 3;
const SERVERS: usize = 8;
const REQUESTS: usize = 20_000;
/// Requests a second.
const RATE: f64 = 200.0;
/// How long the hit ratio is looked at on each side of a change.
const WINDOW: Duration = Duration::from_secs(5);
/// The change that is looked at: one of weight alone, and early, before connections reach the age of a minute and
/// move to replicas that have learned nothing of these prompts yet, which would be seen in place of the change.
const LOOKED_AT: usize = 8;
const LIVE: Duration = Duration::from_secs(1);

/// Number `edit` of the story: always other weights, every fifth time another set of scorers. The change that is looked
/// at takes prefixes from weighing most to weighing least.
fn edit(number: usize) -> Strategy {
    let prefix = if number == LOOKED_AT { 1.5 } else { 3.0 + number as f64 / 100.0 };
    let mut scorers = vec![("queue-scorer", 2.0), ("prefix-cache-scorer", prefix)];
    if number % 5 == 4 {
        scorers.push(("kv-cache-utilization-scorer", 1.0));
    }
    Strategy::new("chat").pool("chat").replicas(PICKERS).scorers(&scorers)
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn fifty_edits_under_load() {
    let bar = "50 edits under load: live on all 3 pickers within 1 s of the apply, 0 restarts, 0 failed requests, \
               hit ratio within 2 points around a weight change";
    test_env::run(1, bar, async |env| {
        env.servers("chat", SERVERS, &[]).await?;
        env.pool("chat").await?;
        env.apply(&edit(0)).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;

        let before = env.starts("").await?;
        let prompts = Prompts::families(128, 384, 16);
        let load = Load::new(&gateway.url()).per_second(RATE).streamed(0.5).prompts(prompts).start();
        // Every server has seen its families, and every picker knows it.
        tokio::time::sleep(2 * WINDOW).await;

        env.progress().say(format_args!("{EDITS} edits at {RATE} requests a second"));
        let mut delays = Vec::new();
        let mut change = None;
        let pause = Duration::from_secs_f64((REQUESTS as f64 / RATE - 20.0) / EDITS as f64);
        for number in 1..=EDITS {
            let next = tokio::time::Instant::now() + pause;
            if number == LOOKED_AT {
                tokio::time::sleep(WINDOW).await;
                change = Some(Instant::now());
            }
            delays.extend(live(env, &pickers, number).await?);
            if number == LOOKED_AT {
                tokio::time::sleep(WINDOW).await;
            }
            tokio::time::sleep_until(next).await;
        }
        while load.total() < REQUESTS {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let report = load.stop().await;
        let restarts = env::restarts(&before, &env.starts("").await?);

        delays.sort();
        let (median, worst) = (delays[delays.len() / 2], delays[delays.len() - 1]);
        let (former, latter) = around(&report, change.expect("one change is looked at"));
        let failed = report.failures().count();
        env.measured(format_args!("{} replica-edits: median {median:.0?}, worst {worst:.0?}", delays.len()));
        env.measured(format_args!("{} requests, {failed} failed, {restarts} restarts", report.total()));
        env.measured(format_args!("hit ratio {:.1} % and {:.1} %", former * 100.0, latter * 100.0));
        env.check(delays.len() == EDITS * PICKERS, "every edit reached every picker");
        env.check(worst <= LIVE, format_args!("live within 1 s, not {worst:?}"));
        env.check(failed == 0, format_args!("no request failed: {report}"));
        env.check(restarts == 0, "nothing was restarted");
        env.check(former > 0.5, "there were hits to lose");
        env.check((former - latter).abs() <= 0.02, "the hit ratio stayed within 2 points");
        Ok(())
    });
}

/// Applies an edit and gives back how long after the apply returned it was live on each picker, by the picker's own
/// record. What serves then is what the operator accepted of this very edit.
async fn live(env: &TestEnv, pickers: &[Picker], number: usize) -> Result<Vec<Duration>> {
    let former = try_join_all(pickers.iter().map(Picker::serving)).await?;
    ensure!(former.iter().all(|serving| serving.revision == former[0].revision), "{former:?}");
    let applied = env.apply(&edit(number)).await?;
    let within = Duration::from_secs(10);
    let swaps = pickers.iter().map(|picker| picker.swapped(&former[0].revision, within));
    let now = try_join_all(swaps).await?;
    until("the operator to accept what serves", within, || async {
        let strategy = env.strategy("chat").await?;
        let status = &strategy.data["status"];
        ensure!(status["observedGeneration"].as_i64() == strategy.metadata.generation, "not yet observed");
        ensure!(now.iter().all(|serving| status["revision"] == *serving.revision), "{now:?}, not {status}");
        Ok(())
    })
    .await?;
    // A picker may be faster than the answer to the one who edits.
    let delay = |since: SystemTime| since.duration_since(applied.returned).unwrap_or_default();
    Ok(now.iter().map(|serving| delay(serving.since)).collect())
}

/// The hit ratio before and after `change`.
fn around(report: &Report, change: Instant) -> (f64, f64) {
    let ratio = |from, to| report.between(from, to).hit_ratio();
    (ratio(change - WINDOW, change), ratio(change, change + WINDOW))
}
