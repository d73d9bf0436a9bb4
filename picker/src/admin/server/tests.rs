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
