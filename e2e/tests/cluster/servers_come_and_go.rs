//! Row 5: model servers end, start again, and become more and fewer, under load.

mod history;
mod seen;

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::envoy::{AiGateway, Gateway};
use e2e::kubectl::is_ready;
use e2e::load::{Ask, Load, Outcome, Report};
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use e2e::until;
use futures::future::try_join_all;
use history::{History, Pick};
use kube::ResourceExt;
use seen::Seen;

const PICKERS: usize = 2;
const RATE: f64 = 100.0;
/// How late a picker may follow what the test itself sees.
const LATE: Duration = Duration::from_secs(1);
/// Load on each state of things.
const SETTLED: Duration = Duration::from_secs(4);

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn model_servers_come_and_go() {
    let bar = "a model server killed, replaced, scaled 4→12→2: no pick more than 1 s after NotReady was seen, picked \
               within 1 s of Ready, no in-flight counter above zero at rest";
    test_env::run(5, bar, async |env| {
        env.servers("chat", 4, &["--startup-delay", "2s"]).await?;
        env.pool("chat").await?;
        let even = Strategy::new("chat").pool("chat").replicas(PICKERS);
        env.apply(&even.scorers(&[("queue-scorer", 1.0), ("active-request-scorer", 1.0)])).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;

        let seen = Seen::follow(env, "app=chat").await?;
        // Long enough that some are in flight whenever a server goes.
        let ask = Ask { max_tokens: 64, ..Ask::new("") };
        let load = Load::new(&gateway.url()).per_second(RATE).streamed(0.5).like(ask);
        let running = load.clone().start();
        tokio::time::sleep(SETTLED).await;
        busy(&pickers).await?;
        let killed = killed(env).await?;
        replaced(env).await?;
        scaled(env, 12).await?;
        let mut report = running.stop().await;
        // While all of them are still there to be counted.
        at_rest(env, &pickers, 12).await;
        let running = load.start();
        scaled(env, 2).await?;
        report.samples.extend(running.stop().await.samples);
        let history = seen.so_far();
        let picks = picks(&report, &gateway, env, &history).await?;

        follows(env, &history, &picks);
        let elsewhere = picks.iter().filter(|pick| !pick.served && pick.pod != killed).count();
        let failed = report.failures().count();
        env.measured(format_args!(
            "{} requests, {failed} failed, {elsewhere} of them not at the killed one",
            report.total()
        ));
        env.check(elsewhere == 0, format_args!("only the kill costs requests: {report}"));
        let known = picks.iter().filter(|pick| !pick.served).count();
        env.check(
            failed == known,
            format_args!("all {failed} that failed had reached a server, {known} had"),
        );
        at_rest(env, &pickers, 2).await;
        Ok(())
    });
}

/// Kills a server's process; gives back its pod, in which it starts again.
async fn killed(env: &TestEnv) -> Result<String> {
    let pods = env.kubectl().pods(env.namespace(), "app=chat").await?;
    let pod = pods.first().context("no model servers")?;
    env.progress().say("a model server is killed");
    env::kill(pod)?;
    let name = pod.name_any();
    until("the killed server to be Ready again", PATIENCE, || async {
        let pods = env.kubectl().pods(env.namespace(), "app=chat").await?;
        let pod = pods.iter().find(|pod| pod.name_any() == name).context("its pod is gone")?;
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let starts: i32 = statuses.map(|status| status.restart_count).sum();
        ensure!(starts == 1 && is_ready(pod), "{starts} restarts");
        Ok(())
    })
    .await?;
    tokio::time::sleep(SETTLED).await;
    Ok(name)
}

/// Deletes a server's pod; another takes its place.
async fn replaced(env: &TestEnv) -> Result<()> {
    let pods = env.kubectl().pods(env.namespace(), "app=chat").await?;
    env.progress().say("a model server is deleted");
    env.kubectl()
        .delete_pod(env.namespace(), &pods.last().context("no model servers")?.name_any(), None)
        .await?;
    scaled(env, 4).await
}

async fn scaled(env: &TestEnv, count: usize) -> Result<()> {
    env.progress().say(format_args!("{count} model servers"));
    env.kubectl().scale(env.namespace(), "chat", i32::try_from(count)?).await?;
    env.kubectl().ready_pods(env.namespace(), "app=chat", count, PATIENCE).await?;
    tokio::time::sleep(SETTLED).await;
    Ok(())
}

/// Where every request went: served ones by the pod's own word, others by the log of the gateway.
async fn picks(report: &Report, gateway: &Gateway, env: &TestEnv, history: &History) -> Result<Vec<Pick>> {
    let served = report.samples.iter().filter_map(|sample| match &sample.outcome {
        Outcome::Served { pod, .. } => Some(Pick { at: sample.sent, pod: pod.to_string(), served: true }),
        _ => None,
    });
    let mut picks: Vec<Pick> = served.collect();
    let (now, wall) = (Instant::now(), SystemTime::now());
    for bad in gateway.bad_requests(env.kubectl(), env.namespace()).await? {
        let Some(address) = bad.to else { continue };
        let pod = history.pod_at(&address).with_context(|| format!("who is {address}?"))?;
        let at = now - wall.duration_since(bad.began).unwrap_or_default();
        picks.push(Pick { at, pod: pod.to_owned(), served: false });
    }
    Ok(picks)
}

/// No pick long after NotReady, one soon after Ready.
fn follows(env: &TestEnv, history: &History, picks: &[Pick]) {
    let last = history.last_picks(picks);
    let first = history.first_picks(picks);
    let latest = last.iter().map(|(_, late)| *late).max().unwrap_or_default();
    let slowest = first.iter().filter_map(|(_, late)| *late).max().unwrap_or_default();
    let (latest, slowest) = (latest.as_secs_f64(), slowest.as_secs_f64());
    env.measured(format_args!("{} times NotReady: last pick {latest:.2} s later at most", last.len()));
    env.measured(format_args!("{} times Ready: first pick {slowest:.2} s later at most", first.len()));
    // The killed one, the replaced one, ten of twelve; the killed one again, the new one, eight more.
    env.check(last.len() == 12 && first.len() == 10, "every change was seen");
    for (pod, late) in last {
        env.check(late <= LATE, format_args!("{pod} is picked {late:?} after it was seen NotReady"));
    }
    for (pod, late) in first {
        let soon = late.is_some_and(|late| late <= LATE);
        env.check(soon, format_args!("{pod} is picked {late:?} after it was seen Ready"));
    }
}

/// The counters count: at rest they would be zero if nothing moved them, too.
async fn busy(pickers: &[Picker]) -> Result<()> {
    until("requests in flight to be counted", Duration::from_secs(5), || async {
        let Counters { in_flight, streams, .. } = counters(pickers).await?;
        ensure!(in_flight > 0.0 && streams > 0.0, "none is");
        Ok(())
    })
    .await
}

/// Nothing is left in the counters of `servers` servers when no request is under way.
async fn at_rest(env: &TestEnv, pickers: &[Picker], servers: usize) {
    let rest = until("the counters to be at rest", Duration::from_secs(5), || async {
        let Counters { in_flight, streams, endpoints } = counters(pickers).await?;
        ensure!(in_flight == 0.0 && streams == 0.0, "{in_flight} in flight, {streams} exchanges open");
        ensure!(endpoints == (servers * PICKERS) as f64, "{endpoints} endpoints at {PICKERS} pickers");
        Ok(())
    });
    let rest = rest.await;
    let words = if rest.is_ok() { "0 in flight" } else { "counters not" };
    env.measured(format_args!("{words} at rest with {servers} servers"));
    env.check(rest.is_ok(), format_args!("{:#}", rest.err().unwrap_or_else(|| anyhow::anyhow!("at rest"))));
}

/// What all pickers count.
struct Counters {
    /// Requests that are booked on endpoints.
    in_flight: f64,
    /// Exchanges with gateways, whatever their requests are booked on.
    streams: f64,
    endpoints: f64,
}

async fn counters(pickers: &[Picker]) -> Result<Counters> {
    let all = try_join_all(pickers.iter().map(Picker::metrics)).await?;
    let sum = |name: &str| all.iter().map(|metrics| metrics.sum(name, &[])).sum();
    Ok(Counters {
        in_flight: sum("waypost_picker_in_flight"),
        streams: sum("waypost_picker_streams"),
        endpoints: sum("waypost_picker_endpoints"),
    })
}
