use std::sync::Mutex;

use axum::Router;
use axum::routing::get;
use picker_core::scrape::{ScrapePlan, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::scrape::table::Table;

/// A scanner for what every strategy scrapes.
fn scanner() -> Scanner {
    Scanner::new(Arc::new(Table::new(Arc::new(ScrapePlan::of(&[])))))
}

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
        let mut connection = Connection::new(address, Place::default());
        let mut scanner = scanner();
        for expected in [1.0, 2.0, 3.0, 4.0] {
            assert_eq!(connection.scrape(&mut scanner, &Hint::new()).await.unwrap(), waiting(expected));
        }
    };
    let (seen, ()) = tokio::join!(server(listener, answers), scrapes);
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {address}\r\naccept: text/plain;version=0.0.4\r\nuser-agent: waypost-picker\r\n\r\n"
    );
    assert_eq!(seen, [vec![request.clone(); 2], vec![request.clone()], vec![request]]);
}

async fn scrape(address: SocketAddr, place: Place) -> Result<Signals, Failure> {
    Connection::new(address, place).scrape(&mut scanner(), &Hint::new()).await
}

async fn failure(answer: String) -> &'static str {
    let (listener, address) = local().await;
    let scrape = async { scrape(address, Place::default()).await.unwrap_err().name() };
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
    assert_eq!(scrape(address, Place::default()).await.unwrap_err().name(), "connect");
}

/// What a server has at which path, changeable, and the paths that it was asked for.
#[derive(Clone, Default)]
struct Pages(Arc<Mutex<(Vec<Page>, Vec<String>)>>);

/// A path, and what stands there.
type Page = (&'static str, &'static str);

impl Pages {
    fn show(&self, pages: &[Page]) {
        self.0.lock().unwrap().0 = pages.to_vec();
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    async fn serve(&self) -> (SocketAddr, tokio_util::task::AbortOnDropHandle<()>) {
        let (listener, address) = local().await;
        let pages = self.0.clone();
        let answer = move |uri: http::Uri| async move {
            let mut pages = pages.lock().unwrap();
            pages.1.push(uri.path().to_owned());
            let page = pages.0.iter().find(|(path, _)| *path == uri.path());
            page.map(|(_, text)| *text).ok_or(StatusCode::NOT_FOUND)
        };
        let router = Router::new().fallback(get(answer));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (address, tokio_util::task::AbortOnDropHandle::new(task))
    }
}

const VLLM: &str = "vllm:num_requests_waiting 1\n";
const TRTLLM: &str = "trtllm_num_requests_waiting 2\n";
const TRITON: &str = "nv_trt_llm_request_metrics{model=\"m\",request_type=\"waiting\",version=\"1\"} 3\n";
const ITERATIONS: &str = "[]";

#[tokio::test]
async fn every_engine_has_its_metrics_somewhere() {
    let pages = Pages::default();
    let (address, _server) = pages.serve().await;
    let (others, _absent) = Pages::default().serve().await;
    let at = |path| Place::new(Some(PathAndQuery::from_static(path)), None);
    for (engine, serves, address, place, expected) in [
        ("vllm", ("/metrics", VLLM), address, Place::default(), waiting(1.0)),
        ("trtllm-serve", ("/prometheus/metrics", TRTLLM), address, Place::default(), waiting(2.0)),
        // Its metrics have a port of their own, beside that for requests.
        ("triton", ("/metrics", TRITON), others, Place::new(None, Some(address.port())), waiting(3.0)),
        ("behind a proxy", ("/engine/metrics", VLLM), address, at("/engine/metrics"), waiting(1.0)),
    ] {
        pages.show(&[serves]);
        assert_eq!(scrape(address, place).await.unwrap(), expected, "{engine}");
    }
}

#[tokio::test]
async fn the_path_that_says_something_is_kept_until_it_says_no_more() {
    let pages = Pages::default();
    let (address, _server) = pages.serve().await;
    let (mut connection, mut scanner) = (Connection::new(address, Place::default()), scanner());
    let mut next =
        async || connection.scrape(&mut scanner, &Hint::new()).await.map_err(|failure| failure.name());

    pages.show(&[("/metrics", ITERATIONS), ("/prometheus/metrics", TRTLLM)]);
    assert_eq!((next().await, next().await), (Ok(waiting(2.0)), Ok(waiting(2.0))));
    assert_eq!(pages.asked(), ["/metrics", "/prometheus/metrics", "/prometheus/metrics"]);

    pages.show(&[("/metrics", VLLM)]);
    assert_eq!((next().await, next().await), (Ok(waiting(1.0)), Ok(waiting(1.0))));
    assert_eq!(pages.asked(), ["/prometheus/metrics", "/metrics", "/metrics"]);

    // Of a server that says nothing the other path is tried now and then.
    pages.show(&[("/metrics", ITERATIONS)]);
    for _ in 0..=PROBE {
        assert_eq!(next().await, Ok(Signals::default()));
    }
    let other = pages.asked().iter().filter(|path| *path == "/prometheus/metrics").count();
    assert_eq!(other, 2);

    pages.show(&[]);
    assert_eq!(next().await, Err("status"));
}

/// A server of one connection by TLS, of a certificate of its own that also certifies whoever may ask. Its files, in PEM:
/// certificate and key.
async fn secure(dir: &std::path::Path) -> (SocketAddr, tokio_util::task::AbortOnDropHandle<()>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = crate::tls::provider();
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, address) = local().await;
    let serve = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let known = stream.get_ref().1.peer_certificates().is_some();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                request.push(byte);
            }
            let text = format!("vllm:num_requests_waiting {}\n", if known { 2 } else { 1 });
            let _ = stream.write_all(plain(&text).as_bytes()).await;
        }
    };
    (address, tokio_util::task::AbortOnDropHandle::new(tokio::spawn(serve)))
}

#[tokio::test]
async fn pages_may_be_fetched_by_tls() {
    use crate::scrape::tls::Files;
    let dir = tempfile::tempdir().unwrap();
    let (address, _server) = secure(dir.path()).await;
    let file = |name: &str| dir.path().join(name).display().to_string();
    let place = |tls: &Tls| {
        let config = Files::read(tls).unwrap().config(tls).unwrap();
        Place::default().with(&MetricsSource::default(), Wire::Tls(config))
    };
    let unchecked = Tls { verify: false, ca: None, client: None };
    assert_eq!(scrape(address, place(&unchecked)).await.unwrap(), waiting(1.0));
    let checked = Tls { verify: true, ca: Some(file("tls.crt")), client: None };
    assert_eq!(scrape(address, place(&checked)).await.unwrap(), waiting(1.0));
    let shown = Tls { client: Some((file("tls.crt"), file("tls.key"))), ..checked };
    assert_eq!(scrape(address, place(&shown)).await.unwrap(), waiting(2.0));
    // Of another authority.
    let other = tempfile::tempdir().unwrap();
    let _other = secure(other.path()).await;
    let ca = Some(other.path().join("tls.crt").display().to_string());
    let stranger = Tls { verify: true, ca, client: None };
    assert_eq!(scrape(address, place(&stranger)).await.unwrap_err().name(), "tls");
    // Never in plaintext instead.
    let broken = Place::default().with(&MetricsSource::default(), Wire::Broken);
    assert_eq!(scrape(address, broken).await.unwrap_err().name(), "tls");
}

#[test]
fn what_a_strategy_says_of_the_place_goes_before_the_flags() {
    let path = |path| Some(PathAndQuery::from_static(path));
    let flags = Place::new(path("/flag"), Some(1));
    let source = |path: Option<&str>, port| MetricsSource {
        path: path.map(str::to_owned),
        port,
        ..MetricsSource::default()
    };
    assert_eq!(flags.with(&source(None, None), Wire::Plain), flags);
    assert_eq!(flags.with(&source(Some("/own"), Some(2)), Wire::Plain), Place::new(path("/own"), Some(2)));
    assert_eq!(flags.with(&source(Some("/own"), None), Wire::Plain), Place::new(path("/own"), Some(1)));
}
