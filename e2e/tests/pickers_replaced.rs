//! Requests in flight when the reference of a pool changes to another picker, behind a real Envoy: what becomes of them
//! depends on how the gateway names the cluster of the picker. `docs/take-over-a-pool.md` says what is seen here.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::envoy::{Following, Naming};
use e2e::load::{Ask, Client};
use e2e::local::{Programs, free_ports, started};
use e2e::{Progress, until};
use futures::future::join_all;
use serde_json::json;
use tokio::process::Child;

/// Requests in flight.
const REQUESTS: usize = 20;
/// How many tokens each answer has: it takes some seconds.
const TOKENS: u32 = 200;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs Envoy, which `cargo xtask test` brings"]
async fn requests_in_flight_when_the_picker_is_another() {
    let outcome = story().await;
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
}

async fn story() -> Result<()> {
    let progress = Progress::stdout();
    let programs = Programs::ready(&progress).await?;
    let mut lost = Vec::new();
    for (naming, response_bodies) in
        [(Naming::Pool, true), (Naming::Pool, false), (Naming::Service, true), (Naming::Service, false)]
    {
        let failed = change_in_flight(&programs, naming, response_bodies).await?;
        progress.say(format_args!(
            "cluster named after the {naming:?}, response bodies to the picker: {response_bodies}: {failed} of \
             {REQUESTS} in flight failed"
        ));
        lost.push(((naming, response_bodies), failed));
    }
    // Envoy resets the calls of a cluster that it replaces. Where it does so no more, the page has to say so.
    let all = [
        ((Naming::Pool, true), REQUESTS),
        ((Naming::Pool, false), 0),
        ((Naming::Service, true), 0),
        ((Naming::Service, false), 0),
    ];
    ensure!(lost == all, "{lost:?}");
    Ok(())
}

/// How many of the streamed answers on their way fail when the picker is another.
async fn change_in_flight(programs: &Programs, naming: Naming, response_bodies: bool) -> Result<usize> {
    let folder = tempfile::tempdir()?;
    let [server] = free_ports()?;
    // About fifty tokens a second.
    let port = server.to_string();
    let _server =
        started(&programs.sim, &["serve", "--bind", "127.0.0.1", "--port", &port, "--speed", "0.05"])?;
    let server = SocketAddr::from(([127, 0, 0, 1], server));
    let first = Picker::start(&programs.picker, folder.path(), "first", server)?;
    let second = Picker::start(&programs.picker, folder.path(), "second", server)?;
    let gateway = Following::start(&programs.envoy, naming, response_bodies, &[first.host()])?;
    let (client, url) = (Client::new(), gateway.url(0));
    until("the first answer", PATIENCE, || answers(&client, &url)).await?;

    let mut long = Ask::new("tell a long story").streamed();
    long.max_tokens = TOKENS;
    let requests = (0..REQUESTS).map(|_| long.send(&client, &url));
    let change = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gateway.follow(0, &second.host())
    };
    let (answers_in_flight, changed) = tokio::join!(join_all(requests), change);
    changed?;
    let whole = |answer: &Result<e2e::load::Answer>| answer.as_ref().is_ok_and(|a| a.status == 200);
    let failed = answers_in_flight.iter().filter(|answer| !whole(answer)).count();

    // The new one is asked from then on.
    drop(first);
    until("an answer by way of the new picker", PATIENCE, || answers(&client, &url)).await?;
    Ok(failed)
}

async fn answers(client: &Client, url: &str) -> Result<()> {
    let answer = Ask::new("hello").send(client, url).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    Ok(())
}

/// A picker that ends with the value.
struct Picker {
    port: u16,
    _process: Child,
}

impl Picker {
    fn start(program: &Path, folder: &Path, name: &str, server: SocketAddr) -> Result<Self> {
        let [port, health, pages] = free_ports()?;
        let endpoints = folder.join(format!("{name}-endpoints.yaml"));
        let endpoint = json!({"name": "s", "address": server.ip(), "port": server.port()});
        std::fs::write(&endpoints, json!({"endpoints": [endpoint]}).to_string())?;
        let config = folder.join(format!("{name}.yaml"));
        let text = json!({
            "apiVersion": "llm-d.ai/v1alpha1",
            "kind": "EndpointPickerConfig",
            "plugins": [{"type": "file-discovery", "parameters": {"path": endpoints}}, {"type": "queue-scorer"}],
            "dataLayer": {"discovery": {"pluginRef": "file-discovery"}},
        });
        std::fs::write(&config, text.to_string())?;
        let args = [
            format!("--config-file={}", config.display()),
            format!("--grpc-port={port}"),
            format!("--grpc-health-port={health}"),
            format!("--metrics-port={pages}"),
        ];
        let process = started(program, &args.each_ref().map(String::as_str))?;
        Ok(Self { port, _process: process })
    }

    fn host(&self) -> (String, u16) {
        ("127.0.0.1".to_owned(), self.port)
    }
}
