//! Model servers that answer at once, always the same: what is behind the proxy must not be what is measured.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::super::workload::{self, Row};
use crate::load::Client;
use crate::until;

const REPLICAS: u16 = 8;
/// The port of the first.
const PORT: u16 = 18_100;
/// Bytes of the metrics page of each.
const METRICS: &str = "40000";
const PATIENCE: Duration = Duration::from_secs(30);

/// The model servers; they end when the value is dropped.
#[derive(Debug)]
pub struct Backends {
    addresses: Vec<SocketAddr>,
    said: Arc<Said>,
    _listeners: JoinSet<()>,
}

/// What they say, and how often they did.
#[derive(Debug)]
struct Said {
    metrics: Bytes,
    answer: Bytes,
    content_type: &'static str,
    served: AtomicU64,
}

impl Backends {
    /// Starts them in this process. Their metrics are those of an idle `sim`.
    ///
    /// # Errors
    /// When a port is taken, or `sim` can't be asked.
    pub async fn started(sim: &Path) -> Result<Self> {
        let metrics = metrics(sim).await.context("asking a simulated model server for its metrics")?.into();
        let (answer, content_type) = workload::answer(Row::Short);
        let said = Said { metrics, answer: answer.concat().into(), content_type, served: AtomicU64::new(0) };
        let said = Arc::new(said);
        let (mut addresses, mut listeners) = (Vec::new(), JoinSet::new());
        for port in PORT..PORT + REPLICAS {
            let listener = TcpListener::bind(("127.0.0.1", port)).await.context("a model server's port")?;
            addresses.push(listener.local_addr()?);
            listeners.spawn(serve(listener, said.clone()));
        }
        Ok(Self { addresses, said, _listeners: listeners })
    }

    /// Where they are.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Requests that they have answered.
    pub fn served(&self) -> u64 {
        self.said.served.load(Ordering::Relaxed)
    }
}

async fn metrics(sim: &Path) -> Result<String> {
    let port = (PORT + REPLICAS).to_string();
    let _sim = Command::new(sim)
        .args(["serve", "--bind", "127.0.0.1", "--port", &port, "--metrics-padding", METRICS])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let client = Client::new();
    let url = format!("http://127.0.0.1:{port}/metrics");
    until("the page", PATIENCE, || async { client.get(&url).await }).await
}

async fn serve(listener: TcpListener, said: Arc<Said>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let said = said.clone();
        let service = service_fn(move |request| answer(request, said.clone()));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, said: Arc<Said>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    // Whole, as a model server needs it.
    body.collect().await?;
    let (content_type, body) = match (head.method, head.uri.path()) {
        (Method::POST, _) => {
            said.served.fetch_add(1, Ordering::Relaxed);
            (said.content_type, said.answer.clone())
        }
        (_, "/metrics") => ("text/plain; version=0.0.4", said.metrics.clone()),
        (_, "/v1/models") => (
            "application/json",
            Bytes::from_static(br#"{"object": "list", "data": [{"id": "sim-model", "object": "model"}]}"#),
        ),
        // Routers ask for health and for what a server is.
        _ => ("application/json", Bytes::from_static(b"{}")),
    };
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    Ok(response)
}
