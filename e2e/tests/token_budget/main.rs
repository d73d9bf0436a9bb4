//! Token counts behind a real Envoy: its access log has those of the model server, and its rate limit filter keeps a budget
//! of them.

mod limits;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::{Ask, Client, Usage};
use e2e::local::{Gateway, Parts, Programs, free_ports, started};
use e2e::{Progress, until};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Child;

use limits::Limits;

/// Nothing here takes longer on a machine that is not stuck. Envoy writes its access log every ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tokens that a tenant may use.
const BUDGET: u64 = 60;

#[tokio::test]
#[ignore = "needs Envoy, which `cargo xtask test` brings"]
async fn a_gateway_knows_the_tokens_and_keeps_a_budget() {
    let outcome = story().await;
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
}

async fn story() -> Result<()> {
    let programs = Programs::ready(&Progress::stdout()).await?;
    let limits = Limits::start(BUDGET).await?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("access.log");
    let [port] = free_ports()?;
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let _server = model_server(&programs.sim, server).await?;
    let gateway = gateway(&programs, server, &log, limits.address).await?;
    let (client, url) = (Client::new(), format!("http://{}", gateway.address));

    // Each once in one piece and once as a stream: prompts that are new, and one that is cached.
    let mut said = Vec::new();
    for (n, prompt) in ["one", "a longer prompt, that has some tokens more", "one"].into_iter().enumerate() {
        for stream in [false, true] {
            let ask = Ask { stream, ..Ask::new(prompt.repeat(10)) }
                .header("x-tenant", &format!("log-{n}-{stream}"));
            let answer = ask.send(&client, &url).await?;
            ensure!(answer.status == 200, "{}", answer.status);
            said.push(answer.usage);
        }
    }
    ensure!(said.iter().any(|usage| usage.cached > 0), "nothing was cached: {said:?}");

    // Of one tenant until it is refused; what an answer took is charged when that has ended.
    let mut used = 0;
    loop {
        let answer = Ask::new("three words here").header("x-tenant", "a").send(&client, &url).await?;
        if answer.status == 429 {
            break;
        }
        ensure!(answer.status == 200, "{}", answer.status);
        ensure!(used < BUDGET, "{used} tokens were used, and a further request was let through");
        used += answer.usage.prompt + answer.usage.completion;
        said.push(answer.usage);
        until("the charge", PATIENCE, || async {
            let charged = limits.used("a");
            ensure!(charged == used, "{charged} of {used}");
            Ok(())
        })
        .await?;
    }
    ensure!(used >= BUDGET, "refused after {used} tokens");
    // Another tenant has a budget of its own.
    let other = Ask::new("three words here").header("x-tenant", "b").send(&client, &url).await?;
    ensure!(other.status == 200, "{}", other.status);
    said.push(other.usage);

    let told: Vec<Value> = said.iter().map(|usage| line(*usage)).collect();
    until("the access log", PATIENCE, || async {
        let logged = read(&log)?;
        ensure!(logged == told, "{logged:#?} and not {told:#?}");
        Ok(())
    })
    .await
}

/// The line of an answer with these counts.
fn line(Usage { prompt, cached, completion }: Usage) -> Value {
    json!({
        "status": 200, "input": prompt, "cached": cached, "output": completion, "reasoning": 0,
        "total": prompt + completion, "cost": prompt + 4 * completion,
    })
}

/// The lines of the access log of requests that were answered.
fn read(log: &Path) -> Result<Vec<Value>> {
    let lines = fs::read_to_string(log)?;
    let lines = lines.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
    let lines: Vec<Value> = lines.collect::<Result<_>>()?;
    Ok(lines.into_iter().filter(|line| line["status"] == 200).collect())
}

async fn model_server(sim: &Path, address: SocketAddr) -> Result<Child> {
    let server = started(sim, &["serve", "--bind", "127.0.0.1", "--port", &address.port().to_string()])?;
    let (client, health) = (Client::new(), format!("http://{address}/health"));
    until("the model server", PATIENCE, || client.get(&health)).await?;
    Ok(server)
}

/// The shipped Envoy with a rate limit filter and another access log.
fn bootstrap(log: &Path, limits: SocketAddr) -> Result<String> {
    let mut envoy: Value = serde_saphyr::from_str(&Parts::shipped()?)?;
    let manager =
        &mut envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let told = |key: &str| format!("%DYNAMIC_METADATA({key})%");
    manager["access_log"] = json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": log,
            "log_format": {"json_format": {
                "status": "%RESPONSE_CODE%",
                "input": told("envoy.lb:llm_input_token"),
                "cached": told("envoy.lb:llm_cached_input_token"),
                "output": told("envoy.lb:llm_output_token"),
                "reasoning": told("envoy.lb:llm_reasoning_token"),
                "total": told("envoy.lb:llm_total_token"),
                "cost": told("waypost.dev:llm_request_cost"),
            }},
        },
    }]);
    let filter = json!({
        "name": "envoy.filters.http.ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
            "domain": "tokens",
            "failure_mode_deny": true,
            "timeout": "10s",
            "rate_limit_service": {
                "grpc_service": {"envoy_grpc": {"cluster_name": "limits"}},
                "transport_api_version": "V3",
            },
        },
    });
    let filters = manager["http_filters"].as_array_mut().context("filters")?;
    filters.insert(0, filter);
    let tenant = json!([{"request_headers": {"header_name": "x-tenant", "descriptor_key": "tenant"}}]);
    // Those of a route itself (`route.rate_limits`) know no number of hits.
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"] = json!({
        "envoy.filters.http.ratelimit": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
            "rate_limits": [
                {"hits_addend": {"number": 0}, "actions": tenant},
                {
                    "apply_on_stream_done": true,
                    "hits_addend": {"format": told("envoy.lb:llm_total_token")},
                    "actions": tenant,
                },
            ],
        },
    });
    let clusters = envoy["static_resources"]["clusters"].as_array_mut().context("clusters")?;
    let mut cluster =
        clusters.iter().find(|cluster| cluster["name"] == "picker").context("the picker's")?.clone();
    cluster["name"] = json!("limits");
    cluster["load_assignment"] = json!({
        "cluster_name": "limits",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address":
            {"address": "127.0.0.1", "port_value": limits.port()}}}}]}],
    });
    clusters.push(cluster);
    Ok(envoy.to_string())
}

async fn gateway(programs: &Programs, server: SocketAddr, log: &Path, limits: SocketAddr) -> Result<Gateway> {
    let config = "apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: ENDPOINTS}}
- {type: queue-scorer}
- {type: token-count-reporter}
- type: request-attribute-reporter
  parameters:
    attributes:
    - key: {namespace: waypost.dev, name: llm_request_cost}
      expression: usage.prompt_tokens + 4.0 * usage.completion_tokens
dataLayer: {discovery: {pluginRef: file-discovery}}
";
    let parts = Parts {
        envoy: &programs.envoy,
        picker: &programs.picker,
        config,
        bootstrap: &bootstrap(log, limits)?,
        servers: &[server],
    };
    let gateway = Gateway::start(parts).await?;
    let (client, ready) = (Client::new(), format!("http://{}/readyz", gateway.pages));
    until("the picker", PATIENCE, || client.get(&ready)).await?;
    until("Envoy", PATIENCE, || async { Ok(TcpStream::connect(gateway.address).await?) }).await?;
    Ok(gateway)
}
