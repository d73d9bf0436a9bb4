//! The same exchanges with each kind of [`StreamTasks`].

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, FuturesOrdered};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// One exchange as its client sees it: the pieces of a request, or all of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exchange {
    path: String,
    body: Vec<Bytes>,
    trailers: HeaderMap,
}

fn exchanges(random: &mut StdRng) -> Vec<Exchange> {
    let exchange = |n: usize| {
        let body = (0..random.random_range(0..6)).map(|_| {
            let length = if random.random_bool(0.1) { 100_000 } else { random.random_range(1..9_000) };
            std::iter::repeat_with(|| random.random::<u8>()).take(length).collect::<Vec<_>>().into()
        });
        let body = body.collect();
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("n"), HeaderValue::from(n))]);
        Exchange { path: format!("/{n}"), body, trailers }
    };
    (0..300).map(exchange).collect()
}

/// A server that sends everything back.
async fn start_echo(stream_tasks: StreamTasks) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = tower::service_fn(|request: Request<Incoming>| async move {
        let path = HeaderValue::from_str(request.uri().path()).unwrap();
        let mut response = Response::new(request.into_body());
        response.headers_mut().insert("path", path);
        Ok(response)
    });
    let server = Server { stream_tasks, ..Server::default() };
    let served = tokio::spawn(server.run(listener, echo, CancellationToken::new()));
    (address, AbortOnDropHandle::new(served))
}

/// What is answered to `exchanges`, all of which are open at once on one connection.
async fn answers(address: SocketAddr, exchanges: &[Exchange]) -> Vec<Exchange> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _driven = AbortOnDropHandle::new(tokio::spawn(connection));
    let asked = exchanges.iter().cloned().map(|exchange| {
        let mut client = client.clone();
        async move {
            let last = Frame::trailers(exchange.trailers);
            let frames = exchange.body.into_iter().map(Frame::data).chain([last]);
            let body = StreamBody::new(stream::iter(frames).map(Ok::<_, Infallible>));
            let request = Request::post(format!("http://picker{}", exchange.path)).body(body).unwrap();
            let response = client.send_request(request).await.unwrap();
            let path = response.headers()["path"].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap();
            let trailers = body.trailers().cloned().unwrap_or_default();
            Exchange { path, body: vec![body.to_bytes()], trailers }
        }
    });
    asked.collect::<FuturesOrdered<_>>().collect().await
}

#[tokio::test]
async fn both_kinds_of_tasks_give_the_same_answers() {
    let exchanges = exchanges(&mut StdRng::seed_from_u64(7));
    let whole = |exchange: &Exchange| {
        let body = vec![exchange.body.concat().into()];
        Exchange { body, ..exchange.clone() }
    };
    let sent: Vec<_> = exchanges.iter().map(whole).collect();
    for stream_tasks in [Joined, Spawned] {
        let (address, _served) = start_echo(stream_tasks).await;
        let answers = answers(address, &exchanges).await;
        assert!(answers == sent, "{stream_tasks:?}");
    }
}
