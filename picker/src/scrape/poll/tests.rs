use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec};
use picker_core::hot::Outcome;
use picker_core::scrape::{MetricsSource, ScrapePlan, ServerShare, SourcePlan};
use picker_core::view::Signals;
use picker_core::{Cx, Hot, Request, Strategy, View};
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::scrape::job::{Defaults, Jobs};
use crate::scrape::pace::Limits;
use crate::scrape::place::Place;
use crate::watch::PageHosts;
use crate::watch::endpoint_set::EndpointSet;

fn targets(address: SocketAddr) -> Arc<[Target]> {
    let spec = EndpointSpec {
        id: EndpointId { pod_uid: "u".into(), port: address.port(), rank: 0 },
        pod: "a".to_owned(),
        namespace: "default".to_owned(),
        address,
        labels: Default::default(),
    };
    let mut endpoint_set = EndpointSet::default();
    endpoint_set.apply([spec]);
    endpoint_set.targets().cloned().collect()
}

struct Stage {
    targets: watch::Sender<Arc<[Target]>>,
    jobs: Jobs,
    resting: watch::Sender<bool>,
    replicas: watch::Sender<u32>,
    scraped: Arc<Notify>,
    scraping: Scraping,
    _task: AbortOnDropHandle<()>,
}

fn stage() -> Stage {
    let limits = Limits { interval: Duration::from_millis(1), rest: Duration::from_secs(3600), share: None };
    let defaults = Defaults { place: Place::default(), limits, stale_after: Duration::from_secs(2) };
    let mut jobs = Jobs::new(defaults);
    jobs.install(Some(&Arc::new(ScrapePlan::of(&[]))));
    let targets = watch::Sender::default();
    let (scraped, scraping) = (Arc::new(Notify::new()), Scraping::default());
    let (resting, replicas) = (watch::Sender::default(), watch::Sender::new(1));
    let poll = Poll {
        jobs: jobs.subscribe(),
        resting: resting.subscribe(),
        replicas: replicas.subscribe(),
        deadline: Duration::from_secs(5),
        origin: Instant::now(),
        scraping: scraping.clone(),
        scraped: scraped.clone(),
    };
    let task = AbortOnDropHandle::new(tokio::spawn(poll.run(targets.subscribe())));
    Stage { targets, jobs, resting, replicas, scraped, scraping, _task: task }
}

/// Answers a connection's requests with 1, 2, 3 … waiting requests. Returns how many there were when the
/// other side closed it.
async fn count_up(listener: TcpListener) -> usize {
    count_up_with(listener, String::new()).await
}

/// The same with more on the page.
async fn count_up_with(listener: TcpListener, more: String) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut requests = 0;
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return requests,
            }
        }
        requests += 1;
        let text = format!("vllm:num_requests_waiting {requests}\n{more}");
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return requests;
        }
    }
}

#[tokio::test]
async fn readings_come_again_and_again_until_nobody_needs_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets = targets(listener.local_addr().unwrap());
    let server = tokio::spawn(count_up(listener));
    let mut stage = stage();
    stage.targets.send_replace(targets.clone());
    let mut seen = Vec::new();
    while seen.len() < 3 {
        stage.scraped.notified().await;
        seen.push(targets[0].readout.reading().signals);
    }
    assert!(targets[0].readout.attempted());
    let waiting: Vec<_> = seen.iter().map(|signals| signals.waiting.unwrap()).collect();
    assert!(waiting.is_sorted() && waiting[0] >= 1.0 && waiting[2] >= 3.0, "{waiting:?}");
    assert_eq!(seen[0], Signals { waiting: seen[0].waiting, ..Signals::default() });

    // The server sees its connection closed when no strategy needs the figures.
    stage.jobs.install(None);
    assert!(server.await.unwrap() >= 3);
}

/// One that began a little late stays with the others; what a page costs its server stays within the share.
#[rstest]
#[case(2000, 2000)]
#[case(2001, 2000)]
#[case(2020, 2000)]
#[case(2021, 2500)]
#[case(2499, 2500)]
#[case(0, 0)]
fn endpoints_at_rest_are_scraped_together(#[case] due: u64, #[case] moment: u64) {
    let origin = Instant::now();
    let after = |milliseconds| origin + Duration::from_millis(milliseconds);
    assert_eq!(together(origin, after(due)), after(moment));
}

#[tokio::test]
async fn a_pool_at_rest_is_scraped_seldom_until_it_wakes_and_what_was_read_counts_meanwhile() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets = targets(listener.local_addr().unwrap());
    let _server = AbortOnDropHandle::new(tokio::spawn(count_up(listener)));
    let stage = stage();
    stage.resting.send_replace(true);
    stage.targets.send_replace(targets.clone());
    let readout = &targets[0].readout;
    stage.scraped.notified().await;
    // The second scrape comes soon after the first of all endpoints, and then none for an hour.
    stage.scraped.notified().await;
    let rested = timeout(Duration::from_millis(300), stage.scraped.notified()).await;
    assert!(rested.is_err());
    let at = readout.reading().at.unwrap();
    let (reading, _) = readout.reading_for(Duration::from_secs(2), at);
    assert!(reading.at.unwrap() > at + Duration::from_secs(3500));

    stage.resting.send_replace(false);
    for _ in 0..3 {
        stage.scraped.notified().await;
    }
    assert!(readout.reading().signals.waiting.unwrap() >= 4.0);
}

/// A server whose page takes `time` to write.
async fn slow(listener: TcpListener, time: Duration) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut requests = [0; 1024];
    while stream.read(&mut requests).await.is_ok_and(|read| read > 0) {
        tokio::time::sleep(time).await;
        let text = "vllm:num_requests_waiting 1\n";
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A server that spends 30 ms on each page, of which scraping may cost it 2 % of its time.
async fn costly() -> (Stage, Arc<[Target]>, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets = targets(listener.local_addr().unwrap());
    let server = AbortOnDropHandle::new(tokio::spawn(slow(listener, Duration::from_millis(30))));
    let mut stage = stage();
    let source = MetricsSource { server_share: ServerShare::new(0.02), ..MetricsSource::default() };
    stage.jobs.install(Some(&Arc::new(SourcePlan::at(source, &[]).into())));
    (stage, targets, server)
}

#[tokio::test(start_paused = true)]
async fn pages_that_cost_a_server_much_are_read_seldom() {
    let (stage, targets, _server) = costly().await;
    stage.targets.send_replace(targets.clone());
    let mut times = Vec::new();
    for _ in 0..4 {
        stage.scraped.notified().await;
        times.push(Instant::now());
    }
    let between: Vec<_> = times.windows(2).map(|times| times[1] - times[0]).collect();
    assert!(between.iter().all(|time| *time >= Duration::from_millis(1490)), "{between:?}");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_replicas_counts_while_it_changes() {
    let (stage, targets, _server) = costly().await;
    stage.replicas.send_replace(3);
    stage.targets.send_replace(targets.clone());
    stage.scraped.notified().await;
    let mut last = Instant::now();
    let mut between = Vec::new();
    // One of three; then one of two, as is said in the middle of the wait; then the only one, as is said too late to be
    // waited for; then one of four.
    for (later, replicas) in [(0, 3), (1, 2), (2, 1), (0, 4)] {
        tokio::time::sleep(Duration::from_secs(later)).await;
        stage.replicas.send_replace(replicas);
        stage.scraped.notified().await;
        between.push(last.elapsed().as_millis());
        last = Instant::now();
    }
    stage.scraped.notified().await;
    between.push(last.elapsed().as_millis());
    let expected = [4500, 3000, 2000, 1500, 6000];
    let near = |(time, expected): (&u128, u128)| (expected..expected + 250).contains(time);
    assert!(between.iter().zip(expected).all(near), "{between:?}");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_scraped_was_attempted_and_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets = targets(listener.local_addr().unwrap());
    drop(listener);
    let stage = stage();
    stage.targets.send_replace(targets.clone());
    stage.scraped.notified().await;
    assert!(targets[0].readout.attempted());
    assert_eq!(targets[0].readout.reading().at, None);
    let refused = crate::metrics::Failure { source: "metrics-data-source", reason: "connect" };
    assert!(stage.scraping.errors.get_or_create(&refused).get() >= 1);
}

#[test]
fn an_endpoint_is_in_the_log_once_a_minute_at_most() {
    let (start, mut told) = (Instant::now(), Told::default());
    // Twenty scrapes a second, of which every other one fails.
    let times = (0..2401).map(|n| (n % 2 == 1, Duration::from_millis(50 * n)));
    let lines: Vec<_> = times.filter(|(failing, at)| told.is_news(*failing, start + *at)).collect();
    let seconds = Duration::from_secs_f64;
    assert_eq!(lines, [(true, seconds(0.05)), (false, seconds(60.1))]);
    // What stays as it is comes into it in the end.
    let later = [(false, 120.0), (true, 120.1), (true, 150.0), (true, 180.0)];
    let later = later.map(|(failing, at)| told.is_news(failing, start + seconds(at)));
    assert_eq!(later, [false, true, false, false]);
}

#[test]
fn many_that_come_at_once_are_given_time_for_their_first_scrapes() {
    let millis = Duration::from_millis;
    let rounds = [0, 1, 100, 1000, 5000].map(|new| round(new, millis(50)));
    assert_eq!(rounds, [50, 50, 50, 500, 1000].map(millis));
    assert_eq!(round(usize::MAX, millis(2000)), millis(2000));
}

#[test]
fn first_pauses_differ_and_are_half_an_interval_at_least() {
    let interval = Duration::from_millis(50);
    let pauses: Vec<_> = (1..=100).map(|key| spread(key, interval)).collect();
    assert!(pauses.iter().all(|pause| (interval / 2..=interval).contains(pause)));
    let mut distinct = pauses.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 100);
}

/// Two endpoints whose pages tell different depths of a queue of their own; a filter over it comes by an edit, live.
#[tokio::test]
async fn a_metric_that_an_edit_asks_for_is_read_at_the_next_scrape_on_the_same_connections() {
    let mut endpoint_set = EndpointSet::default();
    let (mut specs, mut servers) = (Vec::new(), Vec::new());
    for (pod, depth) in [("deep", 30), ("shallow", 3)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        specs.push(EndpointSpec {
            id: EndpointId { pod_uid: pod.into(), port: address.port(), rank: 0 },
            pod: pod.to_owned(),
            namespace: "default".to_owned(),
            address,
            labels: Default::default(),
        });
        servers.push(tokio::spawn(count_up_with(listener, format!("own_depth{{tier=\"gold\"}} {depth}\n"))));
    }
    endpoint_set.apply(specs);
    let targets: Arc<[Target]> = endpoint_set.targets().cloned().collect();
    let mut stage = stage();
    stage.targets.send_replace(targets.clone());
    let readings = || targets.iter().map(|target| target.readout.reading()).collect::<Vec<_>>();
    let all = |fits: &dyn Fn(&Signals) -> bool| readings().iter().all(|reading| fits(&reading.signals));
    while !all(&|signals| signals.waiting.is_some()) {
        stage.scraped.notified().await;
    }
    assert!(all(&|signals| signals.others.is_empty()));

    let hot = Hot::default();
    let filter = |operator: &str| {
        let routing = json!({"plugins": [
            {"type": "core-metrics-extractor", "parameters": {"engineConfigs": [{
                "name": "vllm", "queuedRequestsSpec": "vllm:num_requests_waiting",
                "customMetrics": [{"attributeKey": "depth", "metricSpec": "own_depth{tier=gold}"}],
            }]}},
            {"type": "endpoint-attribute-filter", "parameters": {
                "attribute": "depth",
                "onMissing": "Fail",
                "algorithm": {"type": "threshold", "threshold": {"operator": operator, "value": 10}},
            }},
        ]});
        let outcome = hot.offer(&routing, Scope::Resource);
        assert!(matches!(outcome, Outcome::Swapped { .. }), "{outcome:?}");
        hot.current().unwrap()
    };
    let strategy = filter("LessThan");
    stage.jobs.install(strategy.scrape.as_ref());
    while !all(&|signals| signals.others.len() == 1) {
        stage.scraped.notified().await;
    }
    let decide = |strategy: &Strategy| {
        let rows = targets.iter().map(|target| (target.endpoint.clone(), target.readout.reading()));
        let now = std::time::Instant::now();
        let view = View::build(rows.collect(), now, Duration::from_secs(60));
        let flight = strategy.route(&Request::default(), &view, None, &mut Cx::new(now, 1));
        flight.unwrap().endpoint().pod.clone()
    };
    assert_eq!(decide(&strategy), "shallow");
    // Another rule over the same metrics scrapes the same.
    let follow = stage.jobs.subscribe();
    let strategy = filter("GreaterThan");
    stage.jobs.install(strategy.scrape.as_ref());
    assert!(!follow.has_changed().unwrap());
    assert_eq!(decide(&strategy), "deep");

    // Each server takes one connection, so none was made anew.
    stage.jobs.install(None);
    for server in servers {
        assert!(server.await.unwrap() >= 2);
    }
}

/// What a server has at a path; `None` is no answer at all.
type Pages = Box<dyn Fn(&str) -> Option<String> + Send>;

/// A server that answers each request for a path with what `page` says, for any number of connections.
fn serve(
    listener: TcpListener,
    page: impl Fn(&str) -> Option<String> + Clone + Send + 'static,
) -> AbortOnDropHandle<()> {
    let one = |mut stream: tokio::net::TcpStream, page: Pages| async move {
        loop {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                request.push(byte);
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap_or_default();
            // Without a page there is no answer at all.
            let Some(text) = page(path) else { std::future::pending().await };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(one(stream, Box::new(page.clone())));
        }
    }))
}

async fn listen(ip: [u8; 4]) -> TcpListener {
    TcpListener::bind((std::net::Ipv4Addr::from(ip), 0)).await.unwrap()
}

/// A strategy that reads the load, the accelerators on this port and the models of servers; `more` are parameters of the
/// source of accelerators.
fn of_three_sources(dcgm: u16, more: &serde_json::Value) -> Strategy {
    let mut dcgm = json!({"port": dcgm, "interval": "1ms"});
    dcgm.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let routing = json!({"plugins": [
        {"type": "dcgm-data-source", "parameters": dcgm}, {"type": "dcgm-extractor"},
        {"type": "models-data-source", "parameters": {"interval": "1ms"}},
        {"type": "queue-scorer"},
        {"type": "cel-filter", "parameters": {
            "expression": "endpoint.attributes['GPUUtilization'] < 0.9 && request.model in endpoint.models", "onError": "Keep",
        }},
    ]});
    let store = picker_core::store::StateStore::default();
    picker_core::compile::compile(&routing, Scope::Resource, &store)
        .unwrap_or_else(|e| panic!("{e}"))
        .strategy
}

const LOAD: &str = "vllm:num_requests_waiting 3\n";
const MODELS: &str = r#"{"data": [{"id": "base"}, {"id": "lora", "parent": "base"}]}"#;
/// Two accelerators of our pod, one of another, one of a pod of the same name elsewhere, and one that is not known.
const GPUS: &str = "\
DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",namespace=\"default\",pod=\"a\"} 40
DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",namespace=\"default\",pod=\"a\"} 55
DCGM_FI_DEV_GPU_UTIL{gpu=\"2\",namespace=\"default\",pod=\"b\"} 99
DCGM_FI_DEV_GPU_UTIL{gpu=\"3\",namespace=\"other\",pod=\"a\"} 98
DCGM_FI_DEV_GPU_UTIL{gpu=\"4\",namespace=\"\",pod=\"\"} 20
DCGM_FI_DEV_GPU_UTIL{gpu=\"5\"} 9223372036854775794
";

fn failures(stage: &Stage, source: &'static str, reason: &'static str) -> u64 {
    stage.scraping.errors.get_or_create(&crate::metrics::Failure { source, reason }).get()
}

async fn until(stage: &Stage, reached: impl Fn() -> bool) {
    while !reached() {
        stage.scraped.notified().await;
    }
}

#[tokio::test]
async fn what_several_sources_tell_of_an_endpoint_comes_together() {
    let (server, exporter) = (listen([127, 0, 0, 1]).await, listen([127, 0, 0, 1]).await);
    let dcgm = exporter.local_addr().unwrap().port();
    let targets = targets(server.local_addr().unwrap());
    let _server = serve(server, |path| Some(if path == "/v1/models" { MODELS } else { LOAD }.to_owned()));
    let _exporter = serve(exporter, |_| Some(GPUS.to_owned()));
    let mut stage = stage();
    let strategy = of_three_sources(dcgm, &json!({}));
    stage.jobs.install(strategy.scrape.as_ref());
    stage.targets.send_replace(targets.clone());
    let readout = &targets[0].readout;
    until(&stage, || readout.attempted()).await;
    let Signals { waiting, others, models, .. } = readout.reading().signals;
    assert_eq!(
        (waiting, others.iter().map(|(_, value)| *value).collect::<Vec<_>>()),
        (Some(3.0), vec![0.55])
    );
    let models: Vec<_> = models.iter().flat_map(|models| models.iter()).map(|model| &*model.id).collect();
    assert_eq!(models, ["base", "lora"]);
    // Without the others, what they said is forgotten, and the load is read on.
    stage.jobs.install(Some(&Arc::new(ScrapePlan::of(&[]))));
    until(&stage, || readout.reading().signals.others.is_empty()).await;
    let signals = readout.reading().signals;
    assert_eq!((signals.waiting, signals.models), (Some(3.0), None));
}

/// Whatever becomes of one source, the others tell what they know, and it is counted for it alone.
#[rstest]
#[case::hangs(None, "timeout", None, "timeout")]
#[case::says_nothing_of_it(Some("up 1\n"), "", Some("{}"), "format")]
#[case::is_another(Some("<html>"), "", Some("<html>"), "format")]
#[tokio::test(start_paused = true)]
async fn a_source_that_fails_takes_nothing_from_the_others(
    #[case] gpus: Option<&'static str>,
    #[case] of_gpus: &'static str,
    #[case] models: Option<&'static str>,
    #[case] of_models: &'static str,
) {
    let (server, exporter) = (listen([127, 0, 0, 1]).await, listen([127, 0, 0, 1]).await);
    let dcgm = exporter.local_addr().unwrap().port();
    let targets = targets(server.local_addr().unwrap());
    let page = move |path: &str| if path == "/v1/models" { models } else { Some(LOAD) }.map(str::to_owned);
    let _server = serve(server, page);
    let _exporter = serve(exporter, move |_| gpus.map(str::to_owned));
    let mut stage = stage();
    stage.jobs.install(of_three_sources(dcgm, &json!({})).scrape.as_ref());
    stage.targets.send_replace(targets.clone());
    let readout = &targets[0].readout;
    until(&stage, || readout.attempted() && readout.reading().signals.waiting.is_some()).await;
    let reading = readout.reading();
    assert_eq!(reading.signals, Signals { waiting: Some(3.0), ..Signals::default() });
    assert_eq!(failures(&stage, "dcgm-data-source", of_gpus) > 0, !of_gpus.is_empty());
    assert!(failures(&stage, "models-data-source", of_models) > 0);
    assert_eq!(failures(&stage, "metrics-data-source", "timeout"), 0);
}

/// Pages without an end are read up to their caps, and a list that is too long is none.
#[tokio::test]
async fn huge_pages_are_read_in_part() {
    let (server, exporter) = (listen([127, 0, 0, 1]).await, listen([127, 0, 0, 1]).await);
    let dcgm = exporter.local_addr().unwrap().port();
    let targets = targets(server.local_addr().unwrap());
    let long = format!("{{\"data\": [{}]}}", " ".repeat(2 << 20));
    let _server =
        serve(server, move |path| Some(if path == "/v1/models" { long.clone() } else { LOAD.to_owned() }));
    let gpus = format!("{GPUS}{}", "#\n".repeat(3 << 20));
    let _exporter = serve(exporter, move |_| Some(gpus.clone()));
    let mut stage = stage();
    stage.jobs.install(of_three_sources(dcgm, &json!({})).scrape.as_ref());
    stage.targets.send_replace(targets.clone());
    let readout = &targets[0].readout;
    until(&stage, || readout.attempted()).await;
    let Signals { waiting, others, models, .. } = readout.reading().signals;
    assert_eq!((waiting, others[0].1, models), (Some(3.0), 0.55, None));
    for source in ["dcgm-data-source", "models-data-source"] {
        assert!(failures(&stage, source, "too-large") > 0, "{source}");
    }
}

/// Of a DaemonSet, the exporter is asked at the address of the node; where that is not known, nobody is asked.
#[tokio::test]
async fn an_exporter_may_be_at_the_node_of_a_pod() {
    let (server, exporter) = (listen([127, 0, 0, 1]).await, listen([127, 0, 0, 2]).await);
    let dcgm = exporter.local_addr().unwrap();
    let plain = targets(server.local_addr().unwrap());
    let _server = serve(server, |path| Some(if path == "/v1/models" { MODELS } else { LOAD }.to_owned()));
    let _exporter = serve(exporter, |_| Some(GPUS.to_owned()));
    let mut stage = stage();
    stage.jobs.install(of_three_sources(dcgm.port(), &json!({"useNodeAddress": true})).scrape.as_ref());
    stage.targets.send_replace(plain.clone());
    until(&stage, || plain[0].readout.attempted()).await;
    let reading = plain[0].readout.reading().signals;
    assert_eq!((reading.waiting, reading.others), (Some(3.0), vec![]));
    assert!(failures(&stage, "dcgm-data-source", "no-address") > 0);
    // The node comes to be known.
    let pages = PageHosts { node: Some(dcgm.ip()), ..PageHosts::default() };
    let known: Arc<[Target]> = Arc::from([Target { pages, ..plain[0].clone() }]);
    stage.targets.send_replace(known.clone());
    until(&stage, || !known[0].readout.reading().signals.others.is_empty()).await;
    assert_eq!(known[0].readout.reading().signals.others[0].1, 0.55);
}

/// While nothing is scraped but the load, there is one task for each endpoint, as ever.
#[tokio::test]
async fn tasks_are_as_many_as_sources_of_endpoints() {
    let server = listen([127, 0, 0, 1]).await;
    let address = server.local_addr().unwrap();
    let targets = targets(address);
    let _server = serve(server, |_| Some(LOAD.to_owned()));
    let mut stage = stage();
    stage.targets.send_replace(targets.clone());
    until(&stage, || targets[0].readout.attempted()).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let one = tasks();
    stage.jobs.install(of_three_sources(1, &json!({})).scrape.as_ref());
    until(&stage, || targets[0].readout.attempted() && failures(&stage, "dcgm-data-source", "connect") > 0)
        .await;
    // One for accelerators, one for models, and that of the server for the connection of the second.
    assert_eq!(tasks(), one + 3);
    stage.jobs.install(Some(&Arc::new(ScrapePlan::of(&[]))));
    while tasks() > one {
        tokio::task::yield_now().await;
    }
}
