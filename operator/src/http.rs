//! The HTTP server of the health probes and the metrics.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// The health of the operator, as the probes ask for it.
pub trait Health: Send + Sync + 'static {
    /// Whether the caches are filled, so that this process could lead.
    fn ready(&self) -> bool;
    /// Whether work makes progress.
    fn live(&self) -> bool;
}

#[derive(Clone)]
struct Shared {
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the future is dropped.
///
/// # Errors
/// When the address can't be listened on.
pub async fn serve(listen: SocketAddr, health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Result<()> {
    let listener = bound(listen, TcpListener::bind).await?;
    axum::serve(listener, router(health, metrics)).await.context("the health server ended")
}

/// Binds `listen` with `bind`. All addresses, `[::]`, are those of IPv6 and of IPv4, and those of IPv4 alone on a machine
/// that has no IPv6.
async fn bound<T, F>(listen: SocketAddr, bind: impl Fn(SocketAddr) -> F) -> Result<T>
where
    F: Future<Output = std::io::Result<T>>,
{
    let of_ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.port()));
    let result = match bind(listen).await {
        // A port that is taken is taken for both.
        Err(error) if listen.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
            bind(of_ipv4).await
        }
        result => result,
    };
    result.with_context(|| format!("cannot listen on {listen}"))
}

fn router(health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|State(s): State<Shared>| async move { answer(s.health.live(), "no progress") }))
        .route(
            "/readyz",
            get(|State(s): State<Shared>| async move { answer(s.health.ready(), "caches not filled") }),
        )
        .route("/metrics", get(exposition))
        .with_state(Shared { health, metrics })
}

fn answer(good: bool, otherwise: &'static str) -> (StatusCode, &'static str) {
    if good { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, otherwise) }
}

async fn exposition(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::net::TcpStream;

    use super::*;

    /// Where pods have addresses of IPv6, of IPv4 or of both, the kubelet and Prometheus come in.
    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let listener = bound("[::]:0".parse().unwrap(), TcpListener::bind).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
        // A machine without IPv6 has no such address.
        if TcpListener::bind("[::1]:0").await.is_ok() {
            assert!(TcpStream::connect(("::1", port)).await.is_ok());
        }
    }

    #[tokio::test]
    async fn without_ipv6_it_is_those_of_ipv4() {
        let asked = Mutex::new(Vec::new());
        let bind = async |address: SocketAddr, fails: fn(SocketAddr) -> Option<ErrorKind>| {
            asked.lock().unwrap().clear();
            let bind = |address: SocketAddr| {
                asked.lock().unwrap().push(address.to_string());
                async move { fails(address).map_or(Ok(address), |kind| Err(kind.into())) }
            };
            let bound = bound(address, bind).await.ok().map(|address| address.to_string());
            (bound, asked.lock().unwrap().clone())
        };
        let none = |address: SocketAddr| address.is_ipv6().then_some(ErrorKind::Unsupported);
        let taken = |_| Some(ErrorKind::AddrInUse);
        let all = "[::]:8080".parse().unwrap();
        let (v4, v6) = ("0.0.0.0:8080".to_owned(), "[::]:8080".to_owned());
        assert_eq!(bind(all, none).await, (Some(v4.clone()), vec![v6.clone(), v4]));
        assert_eq!(bind(all, |_| None).await, (Some(v6.clone()), vec![v6.clone()]));
        assert_eq!(bind(all, taken).await, (None, vec![v6]));
        // One that somebody chose is that one.
        let one = "[fd00::1]:8080";
        assert_eq!(bind(one.parse().unwrap(), none).await, (None, vec![one.to_owned()]));
    }
}
