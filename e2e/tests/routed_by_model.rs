//! Routes by the model that a request's body names, through a real Envoy with the configuration that is shipped for it: two pools
//! with a picker each, an adapter, a canary, a mirror and a breaker, and nothing that fails.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use e2e::load::{Ask, Client};
use e2e::local::{Programs, free_port_list, started};
use e2e::{Progress, paths, until};
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Nothing here takes longer on a machine that is not stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests to the canary, of which one in ten goes to the other pool.
const CANARY: usize = 1500;
/// Requests at a time.
const AT_ONCE: usize = 8;
/// As many requests to `deepseek-r1` as its breaker lets through, and lets wait.
const BREAKER: usize = 128;
/// What the route for anything else answers.
const NO_ROUTE: &str = "no route for this model\n";

#[tokio::test]
#[ignore = "needs Envoy, which `cargo xtask test` brings"]
async fn requests_are_routed_by_the_model_in_their_bodies() {
    let outcome = story().await;
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
}

async fn story() -> Result<()> {
    let progress = Progress::stdout();
    let programs = Programs::ready(&progress).await?;
    for mode in ["FULL_DUPLEX_STREAMED", "BUFFERED", "BUFFERED_PARTIAL"] {
        let setup = Setup::start(&programs, mode).await.with_context(|| format!("starting with {mode}"))?;
        setup.all(&progress).await.with_context(|| format!("bodies in mode {mode}"))?;
    }
    Ok(())
}

/// All programs, which end with the value.
struct Setup {
    mode: &'static str,
    client: Client,
    gateway: SocketAddr,
    /// Where the router by bodies shows its metrics.
    pages: SocketAddr,
    mirror: SocketAddr,
    deepseek: SocketAddr,
    _programs: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Setup {
    async fn start(Programs { envoy, sim, picker }: &Programs, mode: &'static str) -> Result<Self> {
        let mut ports = free_port_list(16)?.into_iter();
        let mut port = || ports.next().context("a port");
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let folder = tempfile::tempdir()?;
        let write = |name: &str, text: String| -> Result<String> {
            let path = folder.path().join(name);
            fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let (mut programs, mut ready) = (Vec::new(), Vec::new());
        let mut server = |port: u16, name: &str, models: &[&str]| -> Result<SocketAddr> {
            let port = port.to_string();
            let mut args = vec!["serve", "--bind", "127.0.0.1", "--port", &port, "--name", name, "--model"];
            args.extend(models.first());
            if models.len() > 1 {
                args.push("--lora");
                args.extend(&models[1..]);
            }
            programs.push(started(sim, &args)?);
            let address = local(port.parse()?);
            ready.push(format!("http://{address}/health"));
            Ok(address)
        };
        let qwen = [
            server(port()?, "qwen-a", &["qwen", "travel-helper-v1", "chat"])?,
            server(port()?, "qwen-b", &["qwen", "travel-helper-v1", "chat"])?,
        ];
        let deepseek = server(port()?, "deepseek", &["deepseek-r1", "chat"])?;
        let mirror = server(port()?, "mirror", &["deepseek-r1"])?;

        let sample = fs::read_to_string(
            paths::checkout().join("config/samples/without-kubernetes/file-discovery.yaml"),
        )?;
        let mut pickers = Vec::new();
        for (pool, servers) in [("qwen", &qwen[..]), ("deepseek", &[deepseek])] {
            let endpoint = |server: &SocketAddr| json!({"name": format!("{pool}-{}", server.port()), "address": server.ip(), "port": server.port()});
            let endpoints: Vec<_> = servers.iter().map(endpoint).collect();
            let endpoints =
                write(&format!("{pool}-endpoints.yaml"), json!({"endpoints": endpoints}).to_string())?;
            let config = sample.replace("config/samples/without-kubernetes/endpoints.yaml", &endpoints);
            let config = format!("--config-file={}", write(&format!("{pool}.yaml"), config)?);
            let (grpc, pages) = (port()?, local(port()?));
            programs.push(picking(picker, &[&config], grpc, port()?, pages)?);
            ready.push(format!("http://{pages}/readyz"));
            pickers.push(grpc);
        }
        let (bbr, pages) = (port()?, local(port()?));
        let args = ["--bbr", "--bbr-config-maps=false", "--bbr-adapter=travel-helper-v1=qwen"];
        programs.push(picking(picker, &args, bbr, port()?, pages)?);
        ready.push(format!("http://{pages}/readyz"));

        let gateway = local(port()?);
        let mut bootstrap = fs::read_to_string(paths::checkout().join("config/envoy/route-by-model.yaml"))?;
        let ports = [
            (8081, gateway.port()),
            (9901, port()?),
            (9004, bbr),
            (9002, pickers[0]),
            (9012, pickers[1]),
            (8200, mirror.port()),
        ];
        for (shipped, port) in ports {
            let shipped = format!("port_value: {shipped}}}");
            ensure!(bootstrap.contains(&shipped), "Envoy's configuration has no {shipped:?}");
            bootstrap = bootstrap.replace(&shipped, &format!("port_value: {port}}}"));
        }
        // Where the picker sees the body, it is in full duplex; the mode is that of the first filter.
        let (before, after) = bootstrap.split_once("# The model: ").context("the mode")?;
        let after = after.replacen(
            "request_body_mode: FULL_DUPLEX_STREAMED",
            &format!("request_body_mode: {mode}"),
            1,
        );
        // Envoy sends trailers in this mode alone where they are not asked for.
        let bootstrap = write("envoy.yaml", format!("{before}# The model: {after}"))?;
        programs.push(started(envoy, &["-c", &bootstrap, "--log-level", "error", "--use-dynamic-base-id"])?);

        let client = Client::new();
        for page in &ready {
            until(page, PATIENCE, || client.get(page)).await?;
        }
        until("Envoy", PATIENCE, || async { Ok(TcpStream::connect(gateway).await?) }).await?;
        Ok(Self { mode, client, gateway, pages, mirror, deepseek, _programs: programs, _folder: folder })
    }

    async fn all(&self, progress: &Progress) -> Result<()> {
        for (model, pool) in [("qwen", "qwen"), ("travel-helper-v1", "qwen"), ("deepseek-r1", "deepseek")] {
            let served = self.served(model, 60).await?;
            ensure!(served.keys().all(|pod| pod.starts_with(pool)), "{model}: {served:?}");
        }
        let streamed = self.ask("deepseek-r1").streamed().send(&self.client, &self.url()).await?;
        ensure!(streamed.status == 200 && streamed.events > 1, "a stream: {streamed:?}");
        self.mirrored(61).await.context("the mirror")?;
        self.last_in_long_bodies().await.context("long bodies")?;
        self.what_clients_write_themselves().await.context("headers of clients")?;
        self.no_model().await.context("bodies without a model")?;

        let served = self.served("chat", CANARY).await?;
        let deepseek = served.iter().filter(|(pod, _)| pod.starts_with("deepseek")).map(|(_, n)| n).sum();
        progress.say(format_args!("{}: {deepseek} of {CANARY} to the canary", self.mode));
        // Four and a half standard deviations of as many throws at one in ten.
        let (mean, deviation) = (CANARY as f64 / 10.0, (CANARY as f64 * 0.09).sqrt());
        let far: usize = deepseek;
        ensure!((far as f64 - mean).abs() < 4.5 * deviation, "{served:?}");

        let page = self.client.get(&format!("http://{}/metrics", self.pages)).await?;
        let count =
            |outcome: &str| count(&page, &format!("waypost_bbr_requests_total{{outcome=\"{outcome}\"}}"));
        // All that name a model, known or not; and those that don't.
        let set = 3 * 60 + 1 + 2 * 3 + 1 + 1 + CANARY as u64;
        ensure!(
            [count("set"), count("no-body"), count("no-model"), count("unreadable")] == [set, 1, 1, 1],
            "{page}"
        );
        self.breaker().await.context("the breaker")
    }

    fn url(&self) -> String {
        format!("http://{}", self.gateway)
    }

    fn ask(&self, model: &str) -> Ask {
        Ask { model: model.to_owned(), ..Ask::new("Tell me about the sea.") }
    }

    /// Asks for `model` so often, and counts which server answered. None may fail.
    async fn served(&self, model: &str, times: usize) -> Result<BTreeMap<String, usize>> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (client, url, ask, next) = (self.client.clone(), self.url(), self.ask(model), next.clone());
            workers.spawn(async move {
                let mut pods = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < times {
                    let answer = ask.send(&client, &url).await?;
                    ensure!(answer.status == 200, "{}: {:?}", answer.status, answer.body);
                    pods.push(answer.pod().context("an unnamed server")?.to_owned());
                }
                Ok(pods)
            });
        }
        let mut served = BTreeMap::new();
        for pods in workers.join_all().await {
            for pod in pods? {
                *served.entry(pod).or_default() += 1;
            }
        }
        Ok(served)
    }

    /// The mirror has seen `times` requests.
    async fn mirrored(&self, times: u64) -> Result<()> {
        let page = format!("http://{}/metrics", self.mirror);
        until("every copy", PATIENCE, || async {
            let page = self.client.get(&page).await?;
            let lines = page.lines().filter(|line| line.starts_with("vllm:request_success_total"));
            let seen: f64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
            ensure!(seen as u64 == times, "the mirror has seen {seen} requests of {times}");
            Ok(())
        })
        .await
    }

    /// Bodies of a mebibyte and more, at whose end the model stands, with their length and in chunks.
    async fn last_in_long_bodies(&self) -> Result<()> {
        for (model, pool) in [("qwen", "qwen"), ("travel-helper-v1", "qwen"), ("deepseek-r1", "deepseek")] {
            let padding = "x".repeat(1 << 20);
            let body = format!(
                r#"{{"padding":"{padding}","messages":[{{"role":"user","content":"Hello"}}],"max_tokens":4,"model":"{model}"}}"#
            );
            let answer = self.post("/v1/chat/completions", &[], body.clone().into()).await?;
            ensure!(answer.0 == 200 && answer.1.starts_with(pool), "{model}: {answer:?}");
            let answer = self.chunked(&body).await?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "{model}: {answer}");
            ensure!(answer.contains(&format!("x-sim-pod: {pool}")), "{model}: {answer}");
        }
        Ok(())
    }

    async fn what_clients_write_themselves(&self) -> Result<()> {
        let forged = [("x-gateway-model-name", "deepseek-r1"), ("x-gateway-base-model-name", "deepseek-r1")];
        let body =
            json!({"model": "qwen", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4});
        let answer = self.post("/v1/chat/completions", &forged, body.to_string().into()).await?;
        ensure!(answer.0 == 200 && answer.1.starts_with("qwen"), "{answer:?}");
        let mut request = Request::get(format!("{}/v1/models", self.url()));
        for (name, value) in forged {
            request = request.header(name, value);
        }
        let answer = self.client.send(request.body(Full::default())?).await?;
        ensure!(answer.status() == 404, "{answer:?}");
        let text = answer.into_body().collect().await?.to_bytes();
        ensure!(text == NO_ROUTE, "{text:?}");
        Ok(())
    }

    /// What names no model, or an unknown one, takes the route for the rest.
    async fn no_model(&self) -> Result<()> {
        for body in [r#"{"model":"unknown","prompt":"x"}"#, r#"{"prompt":"x"}"#, "model=qwen"] {
            let answer = self.post("/v1/completions", &[], Bytes::from_static(body.as_bytes())).await?;
            ensure!(answer.0 == 404 && answer.2 == NO_ROUTE, "{body}: {answer:?}");
        }
        Ok(())
    }

    /// More requests than the breaker of one model lets through are refused, and those of the other model are not.
    async fn breaker(&self) -> Result<()> {
        let change = Request::post(format!("http://{}/admin/config", self.deepseek));
        let answer = self.client.send(change.body(r#"{"hang_rate": 1}"#.into())?).await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        let mut hung: JoinSet<()> = JoinSet::new();
        for _ in 0..BREAKER {
            let (client, url, ask) = (self.client.clone(), self.url(), self.ask("deepseek-r1"));
            // Until it has its place: those that come all at once wait for connections, and some may be refused.
            hung.spawn(async move { while ask.send(&client, &url).await.is_ok_and(|a| a.status == 503) {} });
        }
        until("the breaker", PATIENCE, || async {
            let ask = Ask { within: Duration::from_secs(2), ..self.ask("deepseek-r1") };
            let answer = ask.send(&self.client, &self.url()).await?;
            ensure!(answer.status == 503, "{}", answer.status);
            Ok(())
        })
        .await?;
        self.served("qwen", 20).await.map(drop)
    }

    /// Status, server and text of the answer to `body`.
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<(u16, String, String)> {
        let mut request =
            Request::post(format!("{}{path}", self.url())).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = timeout(PATIENCE, self.client.send(request.body(Full::new(body))?)).await??;
        let pod = answer.headers().get("x-sim-pod").and_then(|pod| pod.to_str().ok()).unwrap_or_default();
        let (status, pod) = (answer.status().as_u16(), pod.to_owned());
        let text = answer.into_body().collect().await?.to_bytes();
        Ok((status, pod, String::from_utf8_lossy(&text).into_owned()))
    }

    /// The answer to `body`, which comes in chunks of some length.
    async fn chunked(&self, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.gateway).await?;
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: models\r\ncontent-type: application/json\r\n\
            transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        for chunk in body.as_bytes().chunks(50_000) {
            stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
            stream.write_all(chunk).await?;
            stream.write_all(b"\r\n").await?;
        }
        stream.write_all(b"0\r\n\r\n").await?;
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
        Ok(answer)
    }
}

/// A picker on these ports.
fn picking(
    picker: &std::path::Path,
    args: &[&str],
    grpc: u16,
    health: u16,
    pages: SocketAddr,
) -> Result<Child> {
    let ports = [
        format!("--grpc-port={grpc}"),
        format!("--grpc-health-port={health}"),
        format!("--metrics-port={}", pages.port()),
    ];
    let args: Vec<_> = args.iter().copied().chain(ports.iter().map(String::as_str)).collect();
    started(picker, &args)
}

/// The value of the line of `page` that begins with `name`.
fn count(page: &str, name: &str) -> u64 {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_default()
}
