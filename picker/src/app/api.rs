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
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::Api;
    use kube::api::ListParams;
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    async fn pods() -> (TcpListener, Api<Pod>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        (listener, Api::namespaced(client(Config::new(server.parse().unwrap())).unwrap(), "llm"))
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_never_answers_is_given_up() {
        // Connections are made, and nobody takes them.
        let (_listener, api) = pods().await;
        let (began, all) = (Instant::now(), ListParams::default());
        let failed =
            timeout(Duration::from_secs(3600), api.list(&all)).await.expect("it gives up").unwrap_err();
        assert!(matches!(failed, kube::Error::Service(_)), "{failed:?}");
        assert_eq!(began.elapsed().as_secs(), ANSWER_WITHIN.as_secs());
    }

    /// Timer of the connection to `port`, as Linux tells it: 2 is the one of keepalive. And when it ends, in
    /// hundredths of a second.
    #[cfg(target_os = "linux")]
    fn timer(port: u16) -> (u8, u64) {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let remote = format!("0100007F:{port:04X}");
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let fields = fields.into_iter().find(|fields| fields[2] == remote).expect("the connection");
        let (kind, when) = fields[5].split_once(':').unwrap();
        (kind.parse().unwrap(), u64::from_str_radix(when, 16).unwrap())
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_silent_connection_is_probed() {
        let (listener, api) = pods().await;
        let port = listener.local_addr().unwrap().port();
        let all = ListParams::default();
        let list = api.list(&all);
        let look = async {
            let _accepted = listener.accept().await.unwrap();
            // Until the request is acknowledged there is another timer.
            for _ in 0..10_000 {
                if let (2, when) = timer(port) {
                    return when;
                }
                tokio::task::yield_now().await;
            }
            panic!("nobody asks: {:?}", timer(port));
        };
        let when = tokio::select! {
            biased;
            when = look => when,
            answer = list => panic!("{answer:?}"),
        };
        assert!(when <= SILENCE.as_millis() as u64 / 10, "{when}");
    }
}
