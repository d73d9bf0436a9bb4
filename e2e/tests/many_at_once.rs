//! Many requests at once through a real Envoy with the configuration that is shipped: all of them are answered.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::{Ask, Client};
use e2e::local::{Programs, started};
use e2e::{Progress, paths, until};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many requests are in flight at the same time.
const REQUESTS: usize = 5_000;
const GATEWAY: &str = "http://127.0.0.1:8081";
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs Envoy, which `cargo xtask test` brings"]
async fn five_thousand_requests_at_once_are_answered() {
    let outcome = story().await;
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
}

async fn story() -> Result<()> {
    let progress = Progress::stdout();
    let programs = Programs::ready(&progress).await?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("try.yaml");
    let (endpoints, file) = (folder.path().join("endpoints.yaml"), folder.path().join("envoy.yaml"));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    fs::write(&endpoints, endpoints_of(address).to_string())?;
    fs::write(&config, routing(&endpoints.display().to_string()).to_string())?;
    let shipped = fs::read_to_string(paths::checkout().join("config/envoy/local.yaml"))?;
    let shipped: Value = serde_saphyr::from_str(&shipped)?;
    let _picker = started(&programs.picker, &["--config-file", &config.display().to_string()])?;
    let server = Arc::new(Server::default());
    let mut serving = JoinSet::new();
    serving.spawn(Arc::clone(&server).serve(listener));

    for (name, envoy_config) in [("the sample", shipped.clone()), ("limits by runtime", by_runtime(shipped))]
    {
        fs::write(&file, envoy_config.to_string())?;
        let mut proxy = started(
            &programs.envoy,
            &["-c", &file.display().to_string(), "--concurrency", "2", "--log-level", "error"],
        )?;
        let client = Client::new();
        let first = || async {
            let answer = Ask::new("first").send(&client, GATEWAY).await?;
            ensure!(answer.status == 200, "{}", answer.status);
            Ok(())
        };
        server.hold(1);
        until("the first answer", PATIENCE, first).await?;
        server.hold(REQUESTS);
        let asks = (0..REQUESTS).map(|number| Ask::new(format!("question {number}")));
        let asks: Vec<Ask> = asks.map(|ask| Ask { within: PATIENCE, ..ask }).collect();
        let statuses = join_all(asks.iter().map(|ask| async {
            let answer = ask.send(&client, GATEWAY).await;
            match answer {
                Ok(answer) => {
                    // Whoever is refused is not waited for any more.
                    if answer.status != 200 {
                        server.arrived();
                    }
                    answer.status.to_string()
                }
                Err(error) => format!("{error:#}"),
            }
        }))
        .await;
        let mut others: Vec<_> = statuses.iter().filter(|status| *status != "200 OK").collect();
        others.sort_unstable();
        let refused = others.len();
        others.dedup();
        ensure!(refused == 0, "{name}: {refused} of {REQUESTS} were not answered: {others:?}");
        // The next one needs its ports.
        proxy.kill().await?;
    }
    Ok(())
}

fn endpoints_of(address: SocketAddr) -> Value {
    json!({"endpoints": [{"name": "server", "address": address.ip(), "port": address.port().to_string()}]})
}

/// A strategy that reads bodies, so that each call of the picker has every phase.
fn routing(endpoints: &str) -> Value {
    json!({
        "apiVersion": "llm-d.ai/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": [
            {"type": "file-discovery", "parameters": {"path": endpoints}},
            {"type": "active-request-scorer"},
            {"type": "prefix-cache-scorer"},
        ],
        "dataLayer": {"discovery": {"pluginRef": "file-discovery"}},
    })
}

/// The same limits where a cluster can't be given any: by Envoy's runtime, as docs/gateways.md has it for the cluster that
/// Envoy AI Gateway makes.
fn by_runtime(mut config: Value) -> Value {
    let mut layer = json!({});
    if let Some(clusters) = config["static_resources"]["clusters"].as_array_mut() {
        for cluster in clusters {
            if let Some(fields) = cluster.as_object_mut() {
                fields.remove("circuit_breakers");
            }
            for limit in ["max_connections", "max_pending_requests", "max_requests"] {
                let name = cluster["name"].as_str().unwrap_or_default();
                layer[format!("circuit_breakers.{name}.default.{limit}")] = json!(40_000);
            }
        }
    }
    config["layered_runtime"] = json!({"layers": [{"name": "pickers", "static_layer": layer}]});
    config
}

/// A model server that answers nothing until so many requests are there at once.
struct Server {
    arrived: AtomicUsize,
    wanted: watch::Sender<usize>,
}

impl Default for Server {
    fn default() -> Self {
        Self { arrived: AtomicUsize::new(0), wanted: watch::Sender::new(1) }
    }
}

impl Server {
    /// From now on answers wait until `count` requests have come.
    fn hold(&self, count: usize) {
        self.arrived.store(0, Ordering::SeqCst);
        self.wanted.send_replace(count);
    }

    /// Counts a request; the last one that is wanted wakes those that wait.
    fn arrived(&self) {
        let arrived = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        if arrived >= *self.wanted.borrow() {
            self.wanted.send_modify(|_| {});
        }
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.spawn(Arc::clone(&self).answer(connection));
        }
    }

    async fn answer(self: Arc<Self>, connection: TcpStream) -> Result<()> {
        let mut connection = BufReader::new(connection);
        while let Some(first) = head(&mut connection).await? {
            if first.starts_with("POST") {
                let mut wanted = self.wanted.subscribe();
                self.arrived();
                wanted.wait_for(|count| self.arrived.load(Ordering::SeqCst) >= *count).await?;
            }
            let body = json!({"choices": [{"message": {"content": "yes"}}], "usage": {}}).to_string();
            let length = body.len();
            let text = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            connection.get_mut().write_all(text.as_bytes()).await?;
        }
        Ok(())
    }
}

/// Reads one request to its end, and gives back its first line; `None` at the end of the connection.
async fn head(connection: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let (mut first, mut length, mut chunked) = (None, 0, false);
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().context("a length")?;
        }
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        first.get_or_insert(line.to_ascii_uppercase());
    }
    while chunked {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.trim(), 16).context("a chunk's size")?;
        connection.read_exact(&mut vec![0; size + 2]).await?;
        chunked = size > 0;
    }
    connection.read_exact(&mut vec![0; length]).await?;
    Ok(first)
}
