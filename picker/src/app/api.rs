//! The client of the API server, which notices when the API server is gone.

use std::time::Duration;

use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tokio::time::timeout;
use tower::util::MapFutureLayer;
use tower::{BoxError, ServiceBuilder};

/// The longest that the API server may take to begin an answer. One that fell off the network would be
/// waited for until TCP gives up, which takes a quarter of an hour.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The time of silence on a connection after which the kernel sends a TCP keep-alive probe, and the time between two of
/// them: a watch on which nothing happens looks like one whose connection is dead, for minutes. The API server has no
/// work with it.
const SILENCE: Duration = Duration::from_secs(5);
/// Unanswered probes after which a connection counts as dead: 20 s after the last word on it.
const PROBES: u32 = 3;

/// A client whose every request fails when its answer doesn't begin in time, and whose watches fail soon
/// after the other end is gone. It tries nothing again: watches and reports do, by their own rules, and more
/// of it on top would keep an edit waiting for many seconds after the API server is back.
pub(super) fn client(config: Config) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        // Says what is wrong with it; this release knows no proxies.
        return Ok(ClientBuilder::try_from(config)?.with_layer(&MapFutureLayer::new(in_time)).build());
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_keepalive(Some(SILENCE));
    connector.set_keepalive_interval(Some(SILENCE));
    connector.set_keepalive_retries(Some(PROBES));
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(SILENCE * (PROBES + 1)));
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .build(config.rustls_https_connector_with_connector(connector)?);
    let service = ServiceBuilder::new()
        .layer(MapFutureLayer::new(in_time))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

async fn in_time<T, E: Into<BoxError>>(answer: impl Future<Output = Result<T, E>>) -> Result<T, BoxError> {
    timeout(ANSWER_WITHIN, answer).await?.map_err(Into::into)
}

#[cfg(test)]
mod tests;
