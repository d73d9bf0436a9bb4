//! An HTTP/1.1 client with one connection for each concurrent request.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// An HTTP client; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client without connections.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(Duration::from_secs(30));
        Self { http: builder.build(connector) }
    }

    /// Sends a request and gives back the response as soon as its head is there.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        self.http.request(request).await.map_err(|error| {
            // The legacy client's own message is "client error": what it means is in its causes.
            anyhow::Error::new(error)
        })
    }

    /// The text at `url`.
    ///
    /// # Errors
    /// When the connection fails or the status is not 200.
    pub async fn get(&self, url: &str) -> Result<String> {
        let request = Request::get(url).body(Full::default()).with_context(|| format!("the URL {url}"))?;
        let response = self.send(request).await.with_context(|| format!("GET {url}"))?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(|| format!("GET {url}"))?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        ensure!(status == http::StatusCode::OK, "GET {url}: {status}: {text}");
        Ok(text)
    }
}
