//! The HTTP/1.1 server of the pages. Anybody in the cluster may connect, so nobody may hold a connection for
//! long, nor many of them.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use picker_serve::accept::{ConnectionLimits, accept};
use picker_serve::peer_limits::ConnectionPermit;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The longest that a request's headers may take, and the longest pause between two requests.
const HEADERS: Duration = Duration::from_secs(10);
/// After this time a connection takes no further request.
const AGE: Duration = Duration::from_secs(60);
/// The longest that its last answer may take then.
const LAST: Duration = Duration::from_secs(10);
/// How many connections there may be.
const LIMITS: ConnectionLimits = ConnectionLimits { connections: 256, per_peer: 32 };

/// Serves `router`. Never ends by itself.
pub async fn run(listener: TcpListener, router: Router) {
    let never = CancellationToken::new();
    accept(listener, LIMITS, never, |io, _, permit| connection(io, router.clone(), permit)).await;
}

async fn connection(io: TcpStream, router: Router, _permit: ConnectionPermit) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let ended = timeout(AGE, connection.as_mut()).await;
    if ended.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST, connection).await;
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    async fn start() -> (std::net::SocketAddr, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/healthz", get(|| async { "ok\n" }));
        (address, AbortOnDropHandle::new(tokio::spawn(run(listener, router))))
    }

    #[tokio::test(start_paused = true)]
    async fn headers_that_do_not_come_are_not_waited_for() {
        let (address, _served) = start().await;
        let (began, mut slow) = (Instant::now(), TcpStream::connect(address).await.unwrap());
        slow.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
        let _ = timeout(10 * HEADERS, slow.read_to_end(&mut Vec::new())).await.expect("it is closed");
        assert_eq!(began.elapsed().as_secs(), HEADERS.as_secs());
    }

    #[tokio::test]
    async fn one_peer_cannot_take_all_places() {
        let (address, _served) = start().await;
        let mut held = Vec::new();
        for _ in 0..LIMITS.per_peer {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        let mut over = TcpStream::connect(address).await.unwrap();
        let closed = timeout(HEADERS / 2, over.read(&mut [0])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
        // The others are served.
        held[0].write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        held[0].read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
}
