//! Model servers that give the same answer at once, so that they do not limit what the proxy can do.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::pages;
use crate::workload::{self, Row};

const REPLICAS: u16 = 8;

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
    /// When there are no ports, or `sim` can't be asked.
    pub async fn started(sim: &Path) -> Result<Self> {
        let metrics = pages::of_vllm(sim, pages::BYTES).await?.into();
        let (answer, content_type) = workload::answer(Row::Short);
        let said = Said { metrics, answer: answer.concat().into(), content_type, served: AtomicU64::new(0) };
        let said = Arc::new(said);
        let (mut addresses, mut listeners) = (Vec::new(), JoinSet::new());
        for _ in 0..REPLICAS {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a model server's port")?;
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
