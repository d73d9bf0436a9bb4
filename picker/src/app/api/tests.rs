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
    let failed = timeout(Duration::from_secs(3600), api.list(&all)).await.expect("it gives up").unwrap_err();
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
