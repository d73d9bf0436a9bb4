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
mod tests;
