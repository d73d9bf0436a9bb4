use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

#[test]
fn half_streamed_is_every_other() {
    let load = Load::new("http://x").streamed(0.5);
    let streamed: Vec<bool> = (0..6).map(|number| load.ask(number).stream).collect();
    assert_eq!(streamed, [false, true, false, true, false, true]);
    assert!((0..100).all(|number| !Load::new("").ask(number).stream));
    assert!((0..100).all(|number| Load::new("").streamed(1.0).ask(number).stream));
}

/// A model server that answers every fifth request with 503, and cuts every seventh answer short.
async fn server() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let serve = async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let count = count.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                async move {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let asked: Value = serde_json::from_slice(&body).unwrap();
                    Ok::<_, Infallible>(answer(&asked, number))
                }
            });
            connections.spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    };
    (address, tokio::spawn(serve))
}

fn answer(asked: &Value, number: u64) -> Response<Full<Bytes>> {
    let usage =
        json!({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 25}, "completion_tokens": 2});
    let whole = json!({"choices": [{"message": {"content": "yes"}}], "usage": usage}).to_string();
    let events = format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [], "usage": usage}));
    let text = if asked["stream"] == true { events } else { whole };
    let (status, text) = match number {
        n if n % 5 == 0 => (503, "busy".to_owned()),
        n if n % 7 == 0 => (200, text[..text.len() / 2].to_owned()),
        _ => (200, text),
    };
    Response::builder().status(status).header("x-sim-pod", "pod-a").body(Full::from(text)).unwrap()
}

#[tokio::test]
async fn every_request_is_accounted_for() {
    let (address, server) = server().await;
    let running = Load::new(&format!("http://{address}")).at_once(4).streamed(0.5).start();
    while running.total() < 70 {
        tokio::task::yield_now().await;
    }
    let report = running.stop().await;
    server.abort();

    let total = report.total();
    let (refused, cut) = (total / 5, total / 7 - total / 35);
    let by_status = report.by_status();
    assert_eq!(by_status["503"], refused);
    assert_eq!(by_status["broken"], cut);
    assert_eq!(report.by_pod()["pod-a"], total - refused - cut);
    assert_eq!(report.failures().count(), refused + cut);
    assert_eq!(report.hit_ratio(), 0.25);
    let streamed = report.samples.iter().filter(|sample| sample.streamed).count();
    assert!(streamed.abs_diff(total - streamed) <= 1, "{streamed} of {total} streamed");
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_a_failure_with_its_cause() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Ask::new("hello").send(&Client::new(), &format!("http://{gone}")).await.unwrap_err();
    assert!(format!("{error:#}").contains("Connection refused"), "{error:#}");
}
