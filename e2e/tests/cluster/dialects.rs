//! Row 8: every dialect of Envoy sends requests to the endpoint that the picker chose.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::envoy::{AiGateway, Dialect, Gateway, Istio, Standalone};
use e2e::load::{Ask, Client};
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::ResourceExt;
use serde_json::json;

const SERVERS: usize = 4;
/// Requests of each dialect with short bodies; every other one is streamed.
const STREAMS: usize = 200;
/// Requests of each dialect with bodies of 1 MiB; every other one is streamed.
const LARGE: usize = 8;
const MEBIBYTE: usize = 1 << 20;

/// Streamed answers of each dialect that take their time, one after the other.
const SLOW: usize = 5;
/// How many tokens they have.
const SLOW_TOKENS: u32 = 400;

/// A model server: the name by which it signs its answers, and the address by which it is picked.
#[derive(Clone, Debug)]
struct Server {
    pod: String,
    address: String,
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn every_dialect_routes_to_the_pod_that_was_picked() {
    let bar = "each Envoy dialect routes to the very pod the picker named: 200 exchanges, half of them streamed as \
               they come, and bodies of 1 MiB";
    test_env::run(8, bar, async |env| {
        let pods =
            env.servers("chat", SERVERS, &["--max-model-len", "1000000", "--kv-blocks", "80000"]).await?;
        let servers: Vec<Server> = pods
            .iter()
            .map(|pod| {
                let address =
                    pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no address")?;
                Ok(Server {
                    pod: pod.name_any(),
                    address: SocketAddr::new(address.parse()?, 8000).to_string(),
                })
            })
            .collect::<Result<_>>()?;
        env.pool("chat").await?;
        env.apply(&named_by_the_client()).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", 2).await?;

        let dialects: [&dyn Dialect; 5] = [
            &AiGateway { buffered: false },
            &AiGateway { buffered: true },
            &Istio { fail_open: false, tracing: true },
            &Standalone { without_response_bodies: false },
            &Standalone { without_response_bodies: true },
        ];
        for (number, dialect) in dialects.into_iter().enumerate() {
            let gateway = env.gateway(&format!("gateway-{number}"), dialect, "chat").await?;
            let outcome = follows(env, &gateway, &servers, &pickers).await;
            let held = outcome.as_ref().is_ok();
            env.measured(format_args!(
                "{}: {}",
                dialect.name(),
                if held { format!("{STREAMS} + {LARGE} of 1 MiB") } else { "NO".to_owned() }
            ));
            env.check(
                held,
                format_args!(
                    "{}: {:#}",
                    dialect.name(),
                    outcome.err().unwrap_or_else(|| anyhow::anyhow!("it held"))
                ),
            );
        }
        let mismatches = try_join_all(pickers.iter().map(|picker| picker.metrics())).await?;
        let mismatches: f64 =
            mismatches.iter().map(|m| m.sum("waypost_picker_served_mismatches_total", &[])).sum();
        env.check(
            mismatches == 0.0,
            format_args!("no gateway reports another server than picked: {mismatches}"),
        );
        Ok(())
    });
}

/// The picker picks what the client names, so that the client knows what was picked.
fn named_by_the_client() -> Strategy {
    Strategy::new("chat").pool("chat").replicas(2).routing(json!({
        "plugins": [{"type": "header-based-testing-filter"}],
        "schedulingProfiles": [
            {"name": "default", "plugins": [{"pluginRef": "header-based-testing-filter"}]},
        ],
    }))
}

async fn follows(env: &TestEnv, gateway: &Gateway, servers: &[Server], pickers: &[Picker]) -> Result<()> {
    let client = Client::new();
    let before = routed(pickers).await?;
    let large: Arc<str> = "word ".repeat(MEBIBYTE / 5 + 1).into();
    let asks = (0..STREAMS + LARGE).map(|number| {
        let prompt = if number < STREAMS { format!("question {number}") } else { large.to_string() };
        let server = &servers[number % servers.len()];
        let ask = Ask { within: Duration::from_secs(30), ..Ask::new(prompt) };
        let ask = ask.header("test-epp-endpoint-selection", &server.address);
        // Not every other number: each server has both.
        let ask = if (number / servers.len()).is_multiple_of(2) { ask } else { ask.streamed() };
        (number, ask, server)
    });
    let url = gateway.url();
    let asked = stream::iter(asks).map(|(number, ask, server)| {
        let (client, url) = (&client, &url);
        async move { asked(client, url, &ask, server).await.with_context(|| format!("request {number}")) }
    });
    asked.buffer_unordered(16).try_collect::<Vec<()>>().await?;
    let picked = routed(pickers).await? - before;
    ensure!(picked == (STREAMS + LARGE) as f64, "the pickers picked {picked} times");
    let early = begins_early(&client, &url, servers).await?;
    ensure!(early < 0.5, "streams begin to arrive after {early:.2} of their time: something holds them back");
    let failures = gateway.stats("ext_proc.*(streams_failed|failure_mode_allowed)").await?;
    let failures: u64 = failures.values().sum();
    ensure!(failures == 0, "Envoy counts {failures} failed exchanges with pickers");
    env.progress().say(format_args!("{}: {} answers by the very pod", gateway.name, STREAMS + LARGE));
    Ok(())
}

async fn asked(client: &Client, url: &str, ask: &Ask, server: &Server) -> Result<()> {
    let answer = ask.send(client, url).await?;
    if answer.status != 200 {
        bail!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    ensure!(answer.pod() == Some(&server.pod), "served by {:?}, picked was {}", answer.pod(), server.pod);
    ensure!(answer.usage.completion > 0 && !answer.text.is_empty(), "an empty answer");
    Ok(())
}

/// When a streamed answer begins to arrive, as a share of the time to its end: the median of several.
async fn begins_early(client: &Client, url: &str, servers: &[Server]) -> Result<f64> {
    let mut shares = Vec::new();
    for number in 0..SLOW {
        let server = &servers[number % servers.len()];
        let ask = Ask { max_tokens: SLOW_TOKENS, ..Ask::new(format!("slow question {number}")) };
        let ask = ask.streamed().header("test-epp-endpoint-selection", &server.address);
        let answer = ask.send(client, url).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        shares.push(answer.first_byte.as_secs_f64() / answer.took.as_secs_f64());
    }
    shares.sort_by(f64::total_cmp);
    Ok(shares[SLOW / 2])
}

async fn routed(pickers: &[Picker]) -> Result<f64> {
    let metrics = try_join_all(pickers.iter().map(|picker| picker.metrics())).await?;
    Ok(metrics.iter().map(|m| m.sum("waypost_picker_requests_total", &[("reason", "routed")])).sum())
}
