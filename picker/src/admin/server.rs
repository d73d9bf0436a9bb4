//! The HTTP/1.1 server of the pages. Anybody in the cluster may connect, so nobody may hold a connection for
//! long, nor many of them.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use picker_serve::accept::{Accepted, ConnectionLimits, accept};
use picker_serve::pace::Paces;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::write_deadline::WriteDeadline;

/// The longest that a request's headers may take, and the longest pause between two requests.
const HEADERS: Duration = Duration::from_secs(10);
/// After this time a connection takes no further request.
const AGE: Duration = Duration::from_secs(60);
/// The longest that its last answer may take then.
const LAST: Duration = Duration::from_secs(10);
/// The longest that a client may not read while there is something for it.
const UNREAD: Duration = Duration::from_secs(5);
/// The most bytes of requests that are read ahead of their answers.
const AHEAD: usize = 16 << 10;
/// How many connections there may be.
const LIMITS: ConnectionLimits = ConnectionLimits { connections: 256, per_peer: 32, per_peer_and_second: 64 };
/// The most pages that a client may get at once, and in each second after that.
const PAGES: usize = 200;
const PAGES_PER_SECOND: usize = 100;
/// The paths of probes, which cost nothing.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The pace at which each client may get pages.
type Pages = Arc<Mutex<Paces>>;

/// Serves `router`. Never ends by itself.
pub async fn run(listener: TcpListener, router: Router) {
    let never = CancellationToken::new();
    let pages = Pages::new(Mutex::new(Paces::new(PAGES, PAGES_PER_SECOND)));
    accept(listener, LIMITS, never, |accepted| connection(accepted, router.clone(), pages.clone())).await;
}

/// The answer to a client that asks too often. It has to connect anew.
fn too_often(pages: &Pages, peer: IpAddr, path: &str) -> Option<Response> {
    if PROBES.contains(&path) {
        return None;
    }
    let may = pages.lock().unwrap_or_else(PoisonError::into_inner).take(peer, Instant::now());
    let refused = || {
        let often = format!("more than {PAGES_PER_SECOND} pages a second; try again later\n");
        (StatusCode::TOO_MANY_REQUESTS, [(header::CONNECTION, "close")], often).into_response()
    };
    (!may).then(refused)
}

async fn connection(accepted: Accepted, router: Router, pages: Pages) {
    let Accepted { io, peer, permit: _permit, meter } = accepted;
    let service = service_fn(move |request: Request<Incoming>| {
        meter.worked();
        let answer = match too_often(&pages, peer.ip(), request.uri().path()) {
            Some(refused) => Err(refused),
            None => Ok(router.clone().oneshot(request.map(Body::new))),
        };
        async move {
            Ok::<_, Infallible>(match answer {
                Err(refused) => refused,
                Ok(answer) => answer.await.unwrap_or_else(|never| match never {}),
            })
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(AHEAD);
    let io = TokioIo::new(WriteDeadline::new(io, UNREAD));
    let mut connection = pin!(builder.serve_connection(io, service));
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
    use tokio::net::TcpStream;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    async fn start() -> (std::net::SocketAddr, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let large = Router::new().route("/metrics", get(|| async { vec![b'x'; 1 << 20] }));
        let router = large.route("/debug/strategy", get(|| async { "{}" }));
        let router = router.route("/healthz", get(|| async { "ok\n" }));
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

    #[tokio::test]
    async fn one_that_asks_for_page_after_page_is_refused_and_probes_are_not() {
        let (address, _served) = start().await;
        let mut statuses = Vec::new();
        for (path, count) in [("/debug/strategy", 2 * PAGES), ("/healthz", 10)] {
            let mut io = TcpStream::connect(address).await.unwrap();
            let last = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(count - 1) + &last;
            let (mut read, mut write) = io.split();
            let mut answers = Vec::new();
            // It is closed with the first refusal.
            let (_, _) = tokio::join!(write.write_all(ask.as_bytes()), read.read_to_end(&mut answers));
            let answers = String::from_utf8(answers).unwrap();
            let count = |status: &str| answers.matches(&format!("HTTP/1.1 {status}")).count();
            statuses.push((count("200"), count("429")));
        }
        assert!((PAGES..2 * PAGES).contains(&statuses[0].0) && statuses[0].1 == 1, "{statuses:?}");
        assert_eq!(statuses[1], (10, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_read_is_not_waited_for() {
        let (address, _served) = start().await;
        let (began, mut slow) = (Instant::now(), TcpStream::connect(address).await.unwrap());
        let ask = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(PAGES);
        slow.write_all(ask.as_bytes()).await.unwrap();
        // What the kernel holds for it comes, and no further page.
        tokio::time::sleep(2 * UNREAD).await;
        let mut read = Vec::new();
        let _ = timeout(AGE, slow.read_to_end(&mut read)).await.expect("it is closed");
        assert!(read.len() < PAGES << 20 && began.elapsed() < AGE, "{} bytes", read.len());
    }
}
