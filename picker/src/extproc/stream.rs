//! One exchange, told from its beginning to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::Stream;
use picker_core::request::{Content, Headers, Request};
use picker_core::{Cx, Refusal, RefusalKind, parse};
use picker_proto::ProcessingRequest;
use picker_proto::processing_request::Request as Part;
use tokio::time::timeout;
use tonic::Status;

use super::abort::Abort;
use super::account::Account;
use super::body::{self, Body, End, Shown, Unread};
use super::gate::Gate;
use super::head::Head;
use super::mode::Modes;
use super::reply::{self, Route, Side};
use super::tail::Tail;
use super::wire::Wire;

/// How long what is left of a refused request is read.
const REST: Duration = Duration::from_secs(5);

/// Answers every message of one exchange. One strategy decides, whatever takes its place meanwhile, and the
/// request is booked on its endpoint until the response has ended or this future is dropped.
pub(super) async fn exchange<S>(gate: Arc<Gate>, mut wire: Wire<S>) -> Result<(), Status>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    let mut account = Account::open(&gate.traffic);
    let Some(first) = wire.next().await? else {
        account.nothing();
        return Ok(());
    };
    let modes = Modes::of(&first);
    if first.observability_mode {
        account.nothing();
        while wire.next().await?.is_some() {}
        return Ok(());
    }
    let mut head = match first {
        ProcessingRequest { request: Some(Part::RequestHeaders(headers)), metadata_context, .. } => {
            Head::new(headers, metadata_context.as_ref())
        }
        // The gateway shows no request headers, so there is nothing to decide.
        other => {
            account.nothing();
            return Tail::new(modes, None, End::Open).run(&mut wire, Some(other), &mut account).await;
        }
    };

    let Some(strategy) = gate.hot.current() else {
        drop(head);
        return refuse(&mut wire, &mut account, None, &RefusalKind::NoStrategy.into()).await;
    };
    let wait = modes.wait(strategy.needs);
    let body = match body::read(&mut wire, &mut head, wait, &gate).await {
        Ok(body) => body,
        Err(unread) => {
            // Nothing that is not counted any more may stay while the rest of the request is read.
            drop((strategy, head));
            let abort = match unread {
                Unread::TooLarge => Abort::too_large(gate.max_body),
                Unread::Overloaded => RefusalKind::Overloaded.into(),
                Unread::TooSlow => RefusalKind::TooSlow.into(),
                Unread::Answered(message) => {
                    let tail = Tail::new(modes, None, End::Body);
                    return tail.run(&mut wire, Some(*message), &mut account).await;
                }
                Unread::Gone => return Ok(()),
                Unread::Failed(status) => return Err(status),
            };
            return refuse(&mut wire, &mut account, None, &abort).await;
        }
    };

    let asked = Instant::now();
    let request = match understand(head.headers, &body) {
        Ok(request) => request,
        Err(abort) => {
            drop((strategy, body));
            return refuse(&mut wire, &mut account, None, &abort).await;
        }
    };
    let began = Instant::now();
    let view = gate.view.load_full();
    let subset = head.subset.as_deref().filter(|_| gate.subset_filter);
    let flight = match strategy.route(&request, &view, subset, &mut Cx::live()) {
        Ok(flight) => flight,
        Err(refusal) => {
            drop((strategy, view, body));
            return refuse(&mut wire, &mut account, Some(request), &refusal.into()).await;
        }
    };
    let model = account.routed(request.model(), asked, began);
    drop((strategy, view));

    let route = Route::new(&flight, &request.headers);
    drop(request);
    let end = body.end;
    answer(&mut wire, route, body).await;
    Tail::new(modes, Some((flight, model)), end).run(&mut wire, None, &mut account).await
}

/// What the request says. The beginning of a body may be broken off anywhere; such a request is routed by
/// load.
fn understand(headers: Headers, body: &Body<'_>) -> Result<Request, Abort> {
    let content = match parse::parse(&headers, &body.bytes) {
        Ok(content) => content,
        Err(_) if body.partial => Content::default(),
        Err(bad) => return Err(Refusal::with(RefusalKind::BadBody, bad.to_string()).into()),
    };
    Ok(Request { headers, body: body.bytes.clone(), content })
}

/// Sends the route, and answers for what was read of the body.
async fn answer<S>(wire: &mut Wire<S>, route: Route, body: Body<'_>)
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    // The bytes' place in the budget is free again when the last of them has gone on.
    let Body { bytes, held: _held, end, shown, .. } = body;
    let trailers = end == End::Trailers;
    match shown {
        Shown::Nothing => wire.send(route.in_headers()).await,
        Shown::Message => return wire.send(route.in_body()).await,
        // There is no message left that could change a header; metadata alone may do. What the client sent
        // of the kind is gone since the answer to the headers.
        Shown::TrailersOnly => return wire.send(route.in_trailers()).await,
        Shown::Chunks(count) => {
            wire.send(route.in_headers()).await;
            for _ in 0..count {
                wire.send(reply::body(Side::Request)).await;
            }
        }
        Shown::Duplex => {
            wire.send(route.in_headers()).await;
            if !(trailers && bytes.is_empty()) {
                for piece in body::pieces(bytes, !trailers) {
                    wire.send(reply::piece(Side::Request, piece)).await;
                }
            }
        }
    }
    if trailers {
        wire.send(reply::trailers(Side::Request)).await;
    }
}

/// Lets the gateway answer, and reads on until it has no more to say: a stream that ends while its request
/// still comes in is reset, and the frames that are on their way count against the whole connection.
async fn refuse<S>(
    wire: &mut Wire<S>,
    account: &mut Account<'_>,
    request: Option<Request>,
    abort: &Abort,
) -> Result<(), Status>
where
    S: Stream<Item = Result<ProcessingRequest, Status>> + Unpin,
{
    account.refused(request.as_ref().and_then(Request::model), abort);
    drop(request);
    wire.send(abort.response()).await;
    let rest = async { while let Ok(Some(_)) = wire.next().await {} };
    // A gateway that never ends its side is not waited for.
    let _ = timeout(REST, rest).await;
    Ok(())
}
