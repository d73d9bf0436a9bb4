//! A reverse proxy to the API server that counts requests, and stops answering after a given number of them.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A reverse proxy in front of the API server: plain HTTP on this side, the rights of a client on the other.
#[derive(Debug)]
pub struct LimitingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    closed: watch::Receiver<bool>,
    // Its connections end with it.
    _server: JoinSet<()>,
}

struct Shared {
    client: Client,
    asked: AtomicU32,
    limit: u32,
    close: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("asked", &self.asked)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl LimitingProxy {
    /// Starts a proxy to where `client` goes, for `limit` requests: what the last of them asks is done, but its answer
    /// and those of all later requests never come.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(client: Client, limit: u32) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("starting a proxy")?;
        let address = listener.local_addr()?;
        let (close, closed) = watch::channel(false);
        let shared = Arc::new(Shared { client, asked: AtomicU32::new(0), limit, close });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, shared.clone()));
        Ok(Self { address, shared, closed, _server: server })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came so far.
    pub fn asked(&self) -> u32 {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// Returns when the last request that it lets through is done.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // The sender lives as long as the proxy.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            Some(_) = connections.join_next() => continue,
        };
        let shared = shared.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| pass(shared.clone(), request));
            // That the operator hangs up is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn pass(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let number = shared.asked.fetch_add(1, Ordering::Relaxed) + 1;
    if number > shared.limit {
        std::future::pending::<()>().await;
    }
    let answer = match forward(&shared.client, request).await {
        Ok(answer) => answer,
        Err(error) => {
            let mut answer = Response::new(Body::from(format!("{error:#}").into_bytes()));
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    };
    if number == shared.limit {
        shared.close.send_replace(true);
        std::future::pending::<()>().await;
    }
    Ok(answer)
}

async fn forward(client: &Client, request: Request<Incoming>) -> Result<Response<Body>> {
    let (mut head, body) = request.into_parts();
    // The client puts in its own.
    head.headers.remove(http::header::HOST);
    let body = body.collect().await?.to_bytes();
    Ok(client.send(Request::from_parts(head, Body::from(body.to_vec()))).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load;

    /// An API server that answers with what it was asked.
    async fn echo() -> (Client, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(async |request: Request<Incoming>| {
                    let text = format!("{} {}", request.method(), request.uri());
                    Ok::<_, Infallible>(Response::new(Body::from(text.into_bytes())))
                });
                let stream = TokioIo::new(stream);
                connections.spawn(async move {
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(stream, service)
                        .await
                        .unwrap();
                });
            }
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        (Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap(), server)
    }

    #[tokio::test]
    async fn the_last_request_is_done_but_not_answered() {
        let (client, _server) = echo().await;
        let proxy = LimitingProxy::start(client, 2).await.unwrap();
        let ask = async |path: &str| {
            let answer = load::Client::new().get(&format!("{}{path}", proxy.url())).await;
            answer.map_err(|error| format!("{error:#}"))
        };
        assert_eq!(ask("/api/v1/pods?watch=true").await, Ok("GET /api/v1/pods?watch=true".to_owned()));
        for path in ["/last", "/later"] {
            let never = tokio::time::timeout(Duration::from_millis(200), ask(path)).await;
            assert!(never.is_err(), "{path}: {never:?}");
        }
        proxy.closed().await;
        assert_eq!(proxy.asked(), 3);
    }
}
