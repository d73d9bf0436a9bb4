use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use picker_core::column::Column;
use picker_core::scrape::{MetricsSource, SourcePlan, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::scrape::scan::Scanner;
use crate::scrape::table::Table;

/// A scanner for what every strategy scrapes.
fn scanner() -> Scanner {
    Scanner::new(Arc::new(Table::new(SourcePlan::of(&[]))))
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
            assert_eq!(
                connection.scrape(&mut scanner, &Hint::new()).await.unwrap().signals,
                waiting(expected)
            );
        }
    };
    let (seen, ()) = tokio::join!(server(listener, answers), scrapes);
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {address}\r\naccept: text/plain;version=0.0.4\r\naccept-encoding: identity\r\nuser-agent: waypost-picker\r\n\r\n"
    );
    assert_eq!(seen, [vec![request.clone(); 2], vec![request.clone()], vec![request]]);
}

async fn scrape(address: SocketAddr, place: Place) -> Result<Signals, Failure> {
    let page = Connection::new(address, place).scrape(&mut scanner(), &Hint::new()).await?;
    assert!(!page.cut);
    Ok(page.signals)
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
    let gzip = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x0f";
    assert_eq!(failure(gzip.to_owned()).await, "encoding");
    let away = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/metrics\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(failure(away.to_owned()).await, "redirect");
    let (listener, address) = local().await;
    drop(listener);
    assert_eq!(scrape(address, Place::default()).await.unwrap_err().name(), "connect");
}

/// What a server has at which path, changeable, and the paths that it was asked for.
#[derive(Clone, Default)]
struct Pages(Arc<Mutex<(Vec<Served>, Vec<String>)>>);

/// A path, and what stands there.
type Served = (&'static str, &'static str);

impl Pages {
    fn show(&self, pages: &[Served]) {
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
    let mut next = async || {
        connection
            .scrape(&mut scanner, &Hint::new())
            .await
            .map(|page| page.signals)
            .map_err(|failure| failure.name())
    };

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

#[tokio::test]
async fn of_a_page_that_is_too_long_what_comes_first_counts() {
    let (listener, address) = local().await;
    // The last line that is read is cut within its number.
    let start = "vllm:num_requests_waiting 1\n";
    let cut = "vllm:num_requests_running 12";
    let filler = "#".repeat((4 << 20) - start.len() - cut.len() - 1);
    let exact = format!("{start}{filler}\n{cut}");
    assert_eq!(exact.len(), (4 << 20));
    let answers = [exact.clone() + "3\n", exact].map(|page| vec![plain(&page)]);
    let next = async || {
        Connection::new(address, Place::default()).scrape(&mut scanner(), &Hint::new()).await.unwrap()
    };
    let serve = async {
        let (mut one, _) = listener.accept().await.unwrap();
        let mut requests = [0; 1024];
        let _ = one.read(&mut requests).await;
        // The picker hangs up in the midst of it.
        let _ = one.write_all(answers[0][0].as_bytes()).await;
        drop(one);
        server(listener, vec![answers[1].clone()]).await
    };
    let (_, found) = tokio::join!(serve, async { [next().await, next().await] });
    let whole = Signals { running: Some(12.0), ..waiting(1.0) };
    assert_eq!(found, [Page { signals: waiting(1.0), cut: true }, Page { signals: whole, cut: false }]);
}

/// A server that ends each connection as `end` says, without a word, after one answer.
async fn hangs_up(listener: TcpListener, end: impl Fn(TcpStream)) {
    for count in 1.. {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let page = format!("vllm:num_requests_waiting {count}\n");
        stream.write_all(plain(&page).as_bytes()).await.unwrap();
        end(stream);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_server_closed_is_noticed_at_once() {
    for reset in [false, true] {
        let (listener, address) = local().await;
        let end = move |stream: TcpStream| {
            if reset {
                stream.set_zero_linger().unwrap();
            }
        };
        let _server = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(hangs_up(listener, end)));
        let (mut connection, mut scanner) = (Connection::new(address, Place::default()), scanner());
        let mut pages = Vec::new();
        for _ in 0..20 {
            // Whoever waited for the clock would come too late.
            let hint = Hint::new();
            let page = tokio::time::timeout(
                std::time::Duration::from_secs(1),
                connection.scrape(&mut scanner, &hint),
            );
            pages.push(page.await.expect("in time").unwrap().signals);
        }
        let expected: Vec<_> = (1..=20).map(|count| waiting(count as f32)).collect();
        assert_eq!(pages, expected, "reset: {reset}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_on_a_connection_that_was_used_before() {
    let (listener, address) = local().await;
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_owned();
    let scrapes = async {
        let (mut connection, mut scanner) = (Connection::new(address, Place::default()), scanner());
        let mut next = async || connection.scrape(&mut scanner, &Hint::new()).await;
        assert_eq!(next().await.unwrap().signals, waiting(1.0));
        next().await.unwrap_err().cause()
    };
    let answers = vec![vec![plain(VLLM), short]];
    assert_eq!(tokio::join!(server(listener, answers), scrapes).1, "answer broke off");
}

#[tokio::test]
async fn a_redirect_on_the_same_server_is_followed_once_and_remembered() {
    let (listener, address) = local().await;
    let to = |location: &str| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 5\r\n\r\nthere")
    };
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
    let answers = vec![
        vec![
            to(&format!("http://{address}/metrics/")),
            plain("vllm:num_requests_waiting 1\n"),
            plain("vllm:num_requests_waiting 2\n"),
            gone,
        ],
        vec![plain("vllm:num_requests_waiting 3\n"), to("/a"), to("/b")],
    ];
    let scrapes = async {
        let place = Place::new(Some(PathAndQuery::from_static("/metrics")), None);
        let (mut connection, mut scanner) = (Connection::new(address, place), scanner());
        let mut next = async || connection.scrape(&mut scanner, &Hint::new()).await;
        for count in [1.0, 2.0, 3.0] {
            assert_eq!(next().await.unwrap().signals, waiting(count));
        }
        assert_eq!(next().await.unwrap_err().cause(), "http 307 to /b, which is not followed");
    };
    let (seen, ()) = tokio::join!(server(listener, answers), scrapes);
    let paths: Vec<Vec<_>> =
        seen.iter().map(|requests| requests.iter().map(|r| r.split(' ').nth(1).unwrap()).collect()).collect();
    assert_eq!(
        paths,
        [vec!["/metrics", "/metrics/", "/metrics/", "/metrics/"], vec!["/metrics", "/metrics", "/a"]]
    );
}

/// A page of vLLM's that is as long as theirs are.
fn long_page() -> String {
    let mut page =
        "vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"10\"} 1\nvllm:num_requests_waiting 1\n"
            .to_owned();
    (0..500).for_each(|n| page += &format!("vllm:e2e_request_latency_seconds_bucket{{le=\"{n}\"}} 1.0\n"));
    page
}

const NAMES: &str = "/metrics/?name[]=vllm:num_requests_waiting&name[]=vllm:num_requests_running&name[]=vllm:kv_cache_usage_perc\
                     &name[]=vllm:gpu_cache_usage_perc&name[]=vllm:cache_config_info\
                     &name[]=vllm:kv_offload_cpu_capacity_tokens&name[]=vllm:kv_offload_config_info";

/// The paths that a server of a long page is asked for, which answers a question for metrics of these names with `narrow`, and
/// what the scrapes said.
async fn asked_of(narrow: &[String]) -> (Vec<String>, Vec<Signals>) {
    let (listener, address) = local().await;
    let mut narrow = narrow.iter();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let paths = seen.clone();
    let serve = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            loop {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    request.push(byte);
                }
                if request.is_empty() {
                    break;
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let page =
                    if path == "/metrics" { plain(&long_page()) } else { narrow.next().unwrap().clone() };
                paths.lock().unwrap().push(path);
                stream.write_all(page.as_bytes()).await.unwrap();
            }
        }
    };
    let scrapes = async {
        let plan = SourcePlan::of(&[Column::CACHE_CONFIG]);
        let mut scanner = Scanner::new(Arc::new(Table::new(plan)));
        let mut connection = Connection::new(address, Place::default());
        let mut pages = Vec::new();
        for _ in 0..4 {
            pages.push(connection.scrape(&mut scanner, &Hint::new()).await.unwrap().signals);
        }
        pages
    };
    let pages = tokio::select! {
        () = serve => unreachable!(),
        pages = scrapes => pages,
    };
    let seen = seen.lock().unwrap().clone();
    (seen, pages)
}

#[tokio::test]
async fn of_a_long_page_only_what_is_wanted_is_asked_for_where_that_tells_as_much() {
    let info = "vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"10\"} 1\n";
    let of = |waiting: u32| plain(&format!("vllm:num_requests_waiting {waiting}\n{info}"));
    let page = |count: f32| Signals { block_size: Some(16), num_blocks: Some(10), ..waiting(count) };
    let whole = "/metrics";
    let works = asked_of(&[of(2), of(3), of(4)]).await;
    assert_eq!(
        works,
        ([whole, NAMES, NAMES, NAMES].map(str::to_owned).into(), [1.0, 2.0, 3.0, 4.0].map(page).into())
    );
    // Several API servers answer nothing; others have no such page, write all of it, or less than the whole one says.
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
    let less = plain("vllm:num_requests_waiting 7\n");
    for other in [plain(""), gone, plain(&long_page()), less.clone()] {
        let falls_back = asked_of(std::slice::from_ref(&other)).await;
        let expected = [whole, NAMES, whole, whole, whole].map(str::to_owned).into();
        assert_eq!(falls_back, (expected, [1.0; 4].map(page).into()), "{other:.100}");
    }
    // What once worked may work no longer.
    let worked = asked_of(&[of(2), less]).await;
    assert_eq!(worked.0, [whole, NAMES, NAMES, whole, whole].map(str::to_owned));
}

/// A server of one connection by TLS, of a certificate of its own that also certifies whoever may ask. Its files, in PEM:
/// certificate and key.
async fn secure(dir: &std::path::Path) -> (SocketAddr, tokio_util::task::AbortOnDropHandle<()>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1", "pool.example"].map(str::to_owned)).unwrap();
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
    let checked_again = checked.clone();
    let shown = Tls { client: Some((file("tls.crt"), file("tls.key"))), ..checked };
    assert_eq!(scrape(address, place(&shown)).await.unwrap(), waiting(2.0));
    // By the name that its certificate is for, wherever that is.
    let called = async |name: &str| {
        let mut connection = Connection::new(address, place(&checked_again)).called(Some(name.into()));
        connection.scrape(&mut scanner(), &Hint::new()).await.map(|page| page.signals)
    };
    assert_eq!(called("pool.example").await.unwrap(), waiting(1.0));
    assert_eq!(called("other.example").await.unwrap_err().name(), "tls");
    assert_eq!(called("no name").await.unwrap_err().name(), "tls");
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

#[tokio::test]
async fn informational_answers_without_end_are_not_read() {
    let (listener, address) = local().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n".repeat(1000);
    let endless = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = 0;
        while stream.write_all(hints.as_bytes()).await.is_ok() {
            sent += hints.len();
        }
        sent
    };
    let (sent, scraped) =
        tokio::join!(endless, scrape(address, Place::new(Some("/m".parse().unwrap()), None)));
    assert_eq!(scraped.unwrap_err().name(), "broken");
    // What lies in the buffers of the kernel, too.
    assert!(sent < 16 << 20, "{sent}");
    // A few are no matter.
    let few = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n".repeat(3);
    let (listener, address) = local().await;
    let answers = vec![vec![few + &plain("vllm:num_requests_waiting 1\n")]];
    let (_, scraped) = tokio::join!(server(listener, answers), scrape(address, Place::default()));
    assert_eq!(scraped.unwrap(), waiting(1.0));
}
