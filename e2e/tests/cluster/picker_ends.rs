//! Row 3: a picker ends under load, gracefully or killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::envoy::{AiGateway, Gateway};
use e2e::load::{Ask, Load, Running, Sample};
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use e2e::until;
use futures::future::try_join_all;

const PICKERS: usize = 3;
const RATE: f64 = 100.0;
/// The least share of the load, 0 to 1, of the picker that goes: nobody would miss one without any.
const SHARE: f64 = 0.2;
/// How long new requests may fail after a picker was killed.
const OUTAGE: Duration = Duration::from_secs(2);

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn a_picker_is_deleted_gracefully() {
    test_env::run(3, "a picker deleted gracefully under load: 0 failed requests", async |env| {
        let (gateway, pickers) = set(env).await?;
        let load = put_on(&gateway);
        let (busiest, share) = busiest(&pickers).await?;
        env.kubectl().delete_pod(env.namespace(), &busiest.pod, None).await?;
        let deleted = Instant::now();
        gone(env, &busiest).await?;
        let left = deleted.elapsed();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let report = load.stop().await;
        env.pickers("chat", PICKERS).await?;

        let failed = report.failures().count();
        env.measured(format_args!(
            "{} requests, {failed} failed; the picker served {:.0} % of them and was gone after {:.0} s",
            report.total(),
            share * 100.0,
            left.as_secs_f64()
        ));
        env.check(failed == 0, format_args!("no request failed: {report}"));
        env.check(share >= SHARE, "the picker had its share of the load");
        Ok(())
    });
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn a_picker_is_killed() {
    let bar = "a picker killed under load: its exchanges in flight fail, new requests for at most 2 s";
    test_env::run(3, bar, async |env| {
        let (gateway, pickers) = set(env).await?;
        let load = put_on(&gateway);
        let (busiest, share) = busiest(&pickers).await?;
        let pods = env.kubectl().pods(env.namespace(), &env.picker_selector("chat")).await?;
        let pod = pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(&busiest.pod));
        let pod = pod.context("the picker's pod")?;
        until("exchanges to be open at the picker", Duration::from_secs(10), || async {
            let open = busiest.metrics().await?.value("waypost_picker_streams")?;
            ensure!(open >= 1.0, "none is");
            Ok(())
        })
        .await?;
        let in_flight = load.in_flight();
        let killed = Instant::now();
        env::kill(pod)?;
        tokio::time::sleep(Duration::from_secs(20)).await;
        let report = load.stop().await;
        env.pickers("chat", PICKERS).await?;

        let failed: Vec<&Sample> = report.failures().collect();
        let (new, old): (Vec<&Sample>, Vec<&Sample>) =
            failed.iter().partition(|sample| sample.sent >= killed);
        let outage = new.iter().map(|sample| sample.sent - killed).max().unwrap_or_default();
        env.measured(format_args!(
            "{} requests; of {in_flight} in flight {} failed ({:.0} % were its own); {} new ones failed, the last \
             {:.2} s after the kill",
            report.total(),
            old.len(),
            share * 100.0,
            new.len(),
            outage.as_secs_f64()
        ));
        env.check(outage <= OUTAGE, format_args!("new requests fail for at most 2 s: {report}"));
        env.check(old.iter().all(|sample| sample.ended() >= killed), "nothing failed before the kill");
        env.check(old.len() <= in_flight, "only requests in flight failed");
        env.check(share >= SHARE, "the picker had its share of the load");
        Ok(())
    });
}

/// Servers slow enough that exchanges are open whenever a picker goes away.
async fn set(env: &TestEnv) -> Result<(Gateway, Vec<Picker>)> {
    env.servers("chat", 4, &[]).await?;
    env.pool("chat").await?;
    env.apply(&Strategy::new("chat").pool("chat").replicas(PICKERS)).await?;
    env.strategy_is("chat", "Ready=True", PATIENCE).await?;
    let pickers = env.pickers("chat", PICKERS).await?;
    let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;
    Ok((gateway, pickers))
}

fn put_on(gateway: &Gateway) -> Running {
    let ask = Ask { max_tokens: 48, ..Ask::new("") };
    Load::new(&gateway.url()).per_second(RATE).streamed(0.5).like(ask).start()
}

/// The picker that takes most of the load, and its share: an Envoy may know only some of them.
async fn busiest(pickers: &[Picker]) -> Result<(Picker, f64)> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = counts(pickers).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = counts(pickers).await?;
    let gained: Vec<f64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let most = pickers.iter().zip(&gained).max_by(|(_, one), (_, other)| one.total_cmp(other));
    let (picker, gain) = most.context("no pickers")?;
    Ok((picker.clone(), gain / gained.iter().sum::<f64>().max(1.0)))
}

async fn counts(pickers: &[Picker]) -> Result<Vec<f64>> {
    until("the pickers' counters", Duration::from_secs(10), || async {
        let all = try_join_all(pickers.iter().map(Picker::metrics)).await?;
        Ok(all.iter().map(|metrics| metrics.sum("waypost_picker_requests_total", &[])).collect())
    })
    .await
}

async fn gone(env: &TestEnv, picker: &Picker) -> Result<()> {
    until(format_args!("the end of {}", picker.pod), Duration::from_secs(150), || async {
        let pods = env.kubectl().pods(env.namespace(), &env.picker_selector("chat")).await?;
        let there = pods.iter().any(|pod| pod.metadata.name.as_deref() == Some(&picker.pod));
        ensure!(!there, "it is still there");
        Ok(())
    })
    .await
}
