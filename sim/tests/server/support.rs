//! A server to ask, and what it answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sim::engine::Preset;
use sim::server::{ModelServer, ServerConfig};
use tokio::net::TcpListener;

/// A client of one server.
#[derive(Clone)]
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// A server named `pod-1` for the model `m`, fast.
pub fn config() -> ServerConfig {
    ServerConfig::new("pod-1", "m", Preset::Fast.config())
}

/// Starts a server on a free port of loopback.
pub async fn start(config: ServerConfig) -> (ModelServer, Api) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = ModelServer::start(config, listener).unwrap();
    let api = Api::new(server.address());
    (server, api)
}

impl Api {
    pub fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    /// Sends a request and returns with the head of the response.
    pub async fn send(&self, request: http::request::Builder, body: Bytes) -> http::Response<Incoming> {
        self.client.request(request.body(Full::new(body)).unwrap()).await.unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
    }

    pub async fn get(&self, path: &str) -> Reply {
        Reply::read(self.send(self.request(Method::GET, path), Bytes::new()).await).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        Reply::read(self.open(path, body).await).await
    }

    pub async fn open(&self, path: &str, body: &Value) -> http::Response<Incoming> {
        self.send(self.request(Method::POST, path), body.to_string().into()).await
    }

    /// Whether the server takes new connections.
    pub async fn accepts(&self) -> bool {
        tokio::net::TcpStream::connect(self.address).await.is_ok()
    }

    /// The value of the only sample of the metric whose line begins so.
    pub async fn metric(&self, start: &str) -> f64 {
        let page = self.get("/metrics").await.body;
        let lines: Vec<&str> = page.lines().filter(|line| line.starts_with(start)).collect();
        let [line] = lines[..] else { panic!("{start}: {lines:?} in {page}") };
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Asks until the metric has this value; ten seconds at most.
    pub async fn until(&self, metric: &str, value: f64) {
        let reached = async { while self.metric(metric).await != value {} };
        tokio::time::timeout(Duration::from_secs(10), reached)
            .await
            .unwrap_or_else(|_| panic!("{metric} {value}"));
    }
}

impl Reply {
    pub async fn read(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, body: String::from_utf8(body.into()).unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The data of the events, the last of which must be `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), "text/event-stream; charset=utf-8");
        let (events, end) = self.body.split_at(self.body.len() - "data: [DONE]\n\n".len());
        assert_eq!(end, "data: [DONE]\n\n");
        events
            .split_terminator("\n\n")
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }
}
