//! A picker with an Envoy before it, both on this machine.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Client;
use e2e::local::{built, started};
use e2e::test_env::Metrics;
use e2e::tools::Tools;
use e2e::tools::vllm::MODEL;
use e2e::until;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use crate::server::Server;

const GATEWAY: &str = "http://127.0.0.1:8081";
const PICKER: &str = "http://127.0.0.1:9090";
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: file-discovery
  parameters: {path: ENDPOINTS}
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: lora-affinity-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 1}
  - {pluginRef: kv-cache-utilization-scorer, weight: 1}
  - {pluginRef: lora-affinity-scorer, weight: 1}
  - {pluginRef: prefix-cache-scorer, weight: 3}
dataLayer:
  discovery:
    pluginRef: file-discovery
";

/// What a server counted of one request.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub prompt: u64,
    pub cached: u64,
}

/// Picker and Envoy; they end with the value.
#[derive(Debug)]
pub struct Gateway {
    client: Client,
    _picker: Child,
    _envoy: Child,
    _folder: TempDir,
}

impl Gateway {
    /// Starts them, and waits for the first answer.
    pub async fn start(tools: &Tools, servers: &[Server], client: &Client) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (endpoints, config) = (folder.path().join("endpoints.yaml"), folder.path().join("config.yaml"));
        let listed = servers.iter().map(|server| {
            json!({"name": format!("vllm-{}", server.port), "address": "127.0.0.1", "port": server.port.to_string()})
        });
        fs::write(&endpoints, json!({"endpoints": listed.collect::<Vec<_>>()}).to_string())?;
        fs::write(&config, CONFIG.replace("ENDPOINTS", &endpoints.display().to_string()))?;
        let gateway = Self {
            client: client.clone(),
            _picker: started(
                &built().await?.join("picker"),
                &["--config-file", &config.display().to_string()],
            )?,
            _envoy: started(&tools.envoy, &["-c", "config/envoy/local.yaml", "--log-level", "error"])?,
            _folder: folder,
        };
        until("the first answer", PATIENCE, || async {
            let (status, said) = gateway.get_models().await?;
            ensure!(status == 200, "{status}: {said}");
            Ok(())
        })
        .await?;
        Ok(gateway)
    }

    /// The client that asks.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Posts `body` through the gateway; the status and the text of the answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, String)> {
        self.post_to(GATEWAY, path, body).await
    }

    /// The same to another server.
    pub async fn post_to(&self, url: &str, path: &str, body: &Value) -> Result<(u16, String)> {
        let request = Request::post(format!("{url}{path}")).header("content-type", "application/json");
        self.send(request.body(Full::new(body.to_string().into()))?).await
    }

    async fn get_models(&self) -> Result<(u16, String)> {
        self.send(Request::get(format!("{GATEWAY}/v1/models")).body(Full::default())?).await
    }

    async fn send(&self, request: Request<Full<bytes::Bytes>>) -> Result<(u16, String)> {
        let response = self.client.send(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Asks for a completion of one token, and gives back what the server counted.
    pub async fn completion(&self, prompt: &str) -> Result<Usage> {
        let body = json!({"model": MODEL, "prompt": prompt, "max_tokens": 1});
        let (status, said) = self.post("/v1/completions", &body).await?;
        ensure!(status == 200, "{status}: {said}");
        let answer: Value = serde_json::from_str(&said)?;
        let prompt = answer["usage"]["prompt_tokens"].as_u64().context("an answer without usage")?;
        let cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or_default();
        Ok(Usage { prompt, cached })
    }

    /// The picker's metrics.
    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::parse(&self.client.get(&format!("{PICKER}/metrics")).await?))
    }

    /// The picker's endpoints with their figures.
    pub async fn endpoints(&self) -> Result<Vec<Value>> {
        let page: Value =
            serde_json::from_str(&self.client.get(&format!("{PICKER}/debug/endpoints")).await?)?;
        let list = page.as_array().or_else(|| page["endpoints"].as_array());
        list.cloned().with_context(|| format!("no list of endpoints: {page}"))
    }
}

/// `count` words that belong to `number`: the same number gives the same words.
pub fn words(number: usize, count: usize) -> String {
    let words = (0..count).map(|at| format!("w{}", (number * 7919 + at * 104_729) % 9973));
    words.collect::<Vec<_>>().join(" ")
}
