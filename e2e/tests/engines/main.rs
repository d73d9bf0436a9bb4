//! What must be seen to hold with a real vLLM: two servers, a picker and an Envoy on this machine, without a cluster.
//!
//! It needs 2.5 GB of packages and takes minutes, so plain `cargo test` leaves it out: `cargo xtask test --only engines`
//! runs it.

mod gateway;
mod server;
mod tokens;

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::load::Client;
use e2e::test_env::Checks;
use e2e::tools::Tools;
use e2e::tools::vllm::{ADAPTER, MODEL, Vllm};
use e2e::{Progress, until};
use serde_json::json;

use gateway::Gateway;
use server::Server;

const ROW: u8 = 12;
const BAR: &str =
    "a real vLLM: its figures are read, conversations stay warm, tokens are counted as it counts them";
const PATIENCE: Duration = Duration::from_secs(30);
/// A server imports PyTorch three times, which takes a minute of computing.
const START: Duration = Duration::from_secs(400);

#[tokio::test]
#[ignore = "needs vLLM and Envoy, which `cargo xtask test --only engines` brings"]
async fn a_real_vllm() {
    let checks = Checks::default();
    let outcome = story(&checks).await;
    let mut figure = checks.figure(ROW, BAR);
    figure.missed.extend(outcome.as_ref().err().map(|error| format!("{error:#}")));
    figure.hand_over().unwrap();
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
    assert_eq!(checks.missed(), Vec::<String>::new());
}

async fn story(checks: &Checks) -> Result<()> {
    let progress = Progress::stdout();
    let tools = Tools::ready(&progress).await?;
    let vllm = Vllm::ready(&progress).await?;
    let client = Client::new();
    let mut servers = [Server::start(&vllm, 28000)?, Server::start(&vllm, 28010)?];
    for server in &servers {
        progress
            .step(format!("starting vLLM on port {}", server.port), server.healthy(&client, START))
            .await?;
    }
    let gateway =
        progress.step("starting picker and Envoy", Gateway::start(&tools, &servers, &client)).await?;

    figures_are_read(&gateway, checks).await?;
    conversations_stay_warm(&gateway, checks).await?;
    tokens::are_counted_as_vllm_counts_them(&gateway, &servers, checks).await?;
    an_adapter_is_loaded(&gateway, &servers, &vllm, checks).await?;
    a_server_is_killed_and_comes_back(&gateway, &mut servers, &vllm, &progress, checks).await
}

/// Every figure that the strategy reads is known of both servers.
async fn figures_are_read(gateway: &Gateway, checks: &Checks) -> Result<()> {
    let endpoints = until("the figures of both servers", PATIENCE, || async {
        let endpoints = gateway.endpoints().await?;
        ensure!(endpoints.len() == 2 && endpoints.iter().all(|e| !e["waiting"].is_null()), "{endpoints:?}");
        Ok(endpoints)
    });
    for endpoint in endpoints.await? {
        let said = ["waiting", "running", "kvUsage", "blockSize"].map(|figure| endpoint[figure].as_f64());
        checks.check(said == [Some(0.0), Some(0.0), Some(0.0), Some(32.0)], format!("at rest: {endpoint}"));
    }
    Ok(())
}

/// Later turns of a conversation find the former ones in the prefix cache of their server.
async fn conversations_stay_warm(gateway: &Gateway, checks: &Checks) -> Result<()> {
    const CONVERSATIONS: usize = 6;
    const TURNS: usize = 5;
    let (mut prompt, mut cached, mut cold) = (0, 0, 0);
    let mut chats: Vec<_> = (0..CONVERSATIONS).map(|number| vec![gateway::words(number, 300)]).collect();
    for turn in 0..TURNS {
        for (number, said) in chats.iter_mut().enumerate() {
            let usage = gateway.completion(&said.join(" ")).await?;
            if turn > 0 {
                prompt += usage.prompt;
                cached += usage.cached;
                // Less than half of it was there: another server computed it anew.
                cold += usize::from(2 * usage.cached < usage.prompt);
            }
            said.push(gateway::words(100 * (turn + 1) + number, 40));
        }
    }
    let later = CONVERSATIONS * (TURNS - 1);
    checks.measured(format!(
        "{} of {later} later turns found a warm cache, {cached} of {prompt} tokens",
        later - cold
    ));
    checks.check(cold == 0, format!("{cold} of {later} later turns found a cold cache"));
    Ok(())
}

/// An adapter that is loaded while the servers run is served, and its requests stay where it is in use.
async fn an_adapter_is_loaded(
    gateway: &Gateway,
    servers: &[Server],
    vllm: &Vllm,
    checks: &Checks,
) -> Result<()> {
    for server in servers {
        let body = json!({"lora_name": "second", "lora_path": vllm.adapter("second")});
        let (status, said) = gateway.post_to(&server.url(), "/v1/load_lora_adapter", &body).await?;
        ensure!(status == 200, "loading an adapter: {status}: {said}");
    }
    for model in ["second", ADAPTER, MODEL, "second"] {
        let body = json!({"model": model, "prompt": gateway::words(7, 40), "max_tokens": 2});
        let (status, said) = gateway.post("/v1/completions", &body).await?;
        checks.check(status == 200, format!("model {model}: {status}: {said}"));
    }
    let counted = until("requests of the new adapter in the metrics", PATIENCE, || async {
        let counted = gateway.metrics().await?.sum("waypost_picker_requests_total", &[("model", "second")]);
        ensure!(counted == 2.0, "{counted}");
        Ok(())
    });
    counted.await
}

/// While a server is away requests go to the other one, and both are used when it is back.
async fn a_server_is_killed_and_comes_back(
    gateway: &Gateway,
    servers: &mut [Server; 2],
    vllm: &Vllm,
    progress: &Progress,
    checks: &Checks,
) -> Result<()> {
    const REQUESTS: usize = 60;
    servers[1].kill().await?;
    let mut failed = 0;
    for number in 0..REQUESTS {
        let body = json!({"model": MODEL, "prompt": gateway::words(1000 + number, 60), "max_tokens": 1});
        failed += usize::from(gateway.post("/v1/completions", &body).await?.0 != 200);
    }
    checks.measured(format!("{failed} of {REQUESTS} requests failed after a server was killed"));
    checks.check(failed <= 3, format!("{failed} of {REQUESTS} requests failed after a server was killed"));

    servers[1] = Server::start(vllm, servers[1].port)?;
    progress.step("starting vLLM again", servers[1].healthy(gateway.client(), START)).await?;
    let before = servers[1].served(gateway.client()).await?;
    let mut number = 2000;
    until("the server to be asked again", Duration::from_secs(60), || {
        number += 1;
        let body = json!({"model": MODEL, "prompt": gateway::words(number, 60), "max_tokens": 1});
        let server = &servers[1];
        async move {
            let (status, said) = gateway.post("/v1/completions", &body).await?;
            ensure!(status == 200, "{status}: {said}");
            ensure!(server.served(gateway.client()).await? > before, "it has served nothing yet");
            Ok(())
        }
    })
    .await
}
