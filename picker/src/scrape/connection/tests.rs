use picker_core::view::Signals;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that answers each connection's requests with these bytes in turn, and closes it after them.
/// Returns the requests, by connection.
async fn server(listener: TcpListener, connections: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let mut seen = Vec::new();
    for answers in connections {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut requests = Vec::new();
        for answer in answers {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            requests.push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen.push(requests);
    }
    seen
}

fn plain(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
}

async fn local() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn waiting(count: f32) -> Signals {
    Signals { waiting: Some(count), ..Signals::default() }
}

#[tokio::test]
async fn one_connection_serves_many_scrapes_and_is_made_again() {
    let (listener, address) = local().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1a\r\nvllm:num_requests_waiting \r\n2\r\n2\n\r\n0\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nvllm:num_requests_waiting 4\n".to_owned();
    let answers = vec![
        vec![plain("vllm:num_requests_waiting 1\n"), chunked.to_owned()],
        vec![plain("vllm:num_requests_waiting 3\n")],
        vec![last],
    ];
    let scrapes = async {
        let mut connection = Connection::new(address);
        let mut scanner = Scanner::default();
        for expected in [1.0, 2.0, 3.0, 4.0] {
            connection.scrape(&mut scanner).await.unwrap();
            assert_eq!(scanner.finish(None), waiting(expected));
        }
    };
    let (seen, ()) = tokio::join!(server(listener, answers), scrapes);
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {address}\r\naccept: text/plain;version=0.0.4\r\nuser-agent: waypost-picker\r\n\r\n"
    );
    assert_eq!(seen, [vec![request.clone(); 2], vec![request.clone()], vec![request]]);
}

async fn failure(answer: String) -> &'static str {
    let (listener, address) = local().await;
    let scrape = async { Connection::new(address).scrape(&mut Scanner::default()).await.unwrap_err().name() };
    tokio::join!(server(listener, vec![vec![answer]]), scrape).1
}

#[tokio::test]
async fn failures_have_names() {
    assert_eq!(failure("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()).await, "status");
    assert_eq!(failure("nonsense\r\n\r\n".to_owned()).await, "broken");
    assert_eq!(failure("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort".to_owned()).await, "broken");
    let endless = plain(&"#".repeat(BODY_CAP + 1));
    assert_eq!(failure(endless).await, "too-large");
    let (listener, address) = local().await;
    drop(listener);
    assert_eq!(Connection::new(address).scrape(&mut Scanner::default()).await.unwrap_err().name(), "connect");
}
