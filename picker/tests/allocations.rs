//! What an exchange takes from the heap in the whole picker, from its connection to its answers. Unlike times, the
//! same on every machine; a tenth more or less fails.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use picker::connection_budget::ConnectionBudget;
use picker::exchange::BodyBudget;
use picker::extproc::Service;
use picker::metrics::Metrics;
use picker::policies::Policies;
use picker::pool::{Limits, Pool};
use picker::view;
use picker_core::compile::default_routing;
use picker_core::config::Scope;
use picker_core::endpoint::{EndpointId, EndpointSpec, Labels, Slots};
use picker_core::view::{Reading, Signals};
use picker_core::{Hot, View};
use picker_proto::body_mutation::Mutation;
use picker_proto::build::first;
use picker_proto::external_processor_client::ExternalProcessorClient;
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use picker_proto::processing_request::Request;
use picker_proto::processing_response::Response;
use picker_proto::{HeaderMap, HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse};
use picker_serve::Server;
use rstest::rstest;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Channel;

/// Exchanges before the first that is counted: buffers have their size then.
const WARM: usize = 100;
const COUNTED: usize = 100;
/// What Envoy reads of a body at a time.
const CHUNK: usize = 16 << 10;

/// A picker with eight endpoints on a thread of its own, which counts.
struct Picker {
    address: SocketAddr,
    begin: oneshot::Sender<()>,
    begun: oneshot::Receiver<()>,
    end: oneshot::Sender<()>,
    thread: JoinHandle<AllocationInfo>,
}

impl Picker {
    fn start() -> Self {
        let (begin, wait_begin) = oneshot::channel();
        let (say_begun, begun) = oneshot::channel();
        let (end, wait_end) = oneshot::channel();
        let (say_address, address) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            say_address.send(listener.local_addr().unwrap()).unwrap();
            let pool = pool();
            let memory = ConnectionBudget::new(pool.limits.clone(), 16 << 20);
            let server = Server { memory: Some(Arc::new(memory)), ..Server::default() };
            let service = Service::new(pool, Routes::default());
            let each = move |meter: &_| service.of_connection(meter);
            runtime.spawn(server.run_each(listener, each, CancellationToken::new()));
            runtime.block_on(wait_begin).unwrap();
            allocation_counter::measure(|| {
                runtime.block_on(async {
                    say_begun.send(()).unwrap();
                    wait_end.await.unwrap();
                });
            })
        });
        Self { address: address.recv().unwrap(), begin, begun, end, thread }
    }
}

fn pool() -> Arc<Pool> {
    let (now, mut slots) = (Instant::now(), Slots::default());
    let rows = (0..8).map(|n| {
        let endpoint = slots.admit(EndpointSpec {
            id: EndpointId { pod_uid: format!("uid-{n}").into(), port: 8000, rank: 0 },
            pod: format!("pod-{n}"),
            namespace: "default".to_owned(),
            address: ([10, 0, 0, n], 8000).into(),
            labels: Labels::new(),
        });
        let signals = Signals {
            waiting: Some(f32::from(n)),
            kv_usage: Some(0.5),
            block_size: Some(16),
            num_blocks: Some(10_000),
            cache_tokens: None,
            ..Signals::default()
        };
        (Arc::new(endpoint), Reading { signals, at: Some(now) })
    });
    let shared = view::empty();
    shared.store(Arc::new(View::build(rows.collect(), now, Duration::from_secs(3600))));
    let hot = Hot::default();
    hot.offer(&default_routing(), Scope::Resource);
    let limits = Limits {
        max_body: 1 << 20,
        refuse_longer: false,
        body_timeout: Duration::from_secs(30),
        subset_filter: true,
        endpoint_scores: false,
        budget: BodyBudget::new(16 << 20),
    };
    let traffic = Metrics::new(shared.clone()).traffic;
    let (policies, limits) = (Policies::default(), Arc::new(limits));
    Arc::new(Pool {
        hot: Arc::new(hot),
        traffic,
        view: shared,
        decisions: Default::default(),
        http: Arc::new(picker_core::http::NoClient),
        activity: Default::default(),
        policies,
        limits,
    })
}

/// The messages of an exchange, as Envoy sends them.
struct Exchange {
    request: Vec<ProcessingRequest>,
    response: Vec<ProcessingRequest>,
}

impl Exchange {
    fn new(prompt: usize, pieces: usize) -> Self {
        let body = format!(
            r#"{{"model": "m", "messages": [{{"role": "user", "content": "{}"}}], "stream": true}}"#,
            "word ".repeat(prompt / 5)
        );
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "models.example.com"),
            (":path", "/v1/chat/completions"),
            ("content-type", "application/json"),
            ("x-request-id", "5d0f1f2e-1f5c-4a53-9e7c-0a5d6a3b7c11"),
        ];
        let first = first(HeaderMap::from_iter(headers), false, FullDuplexStreamed, FullDuplexStreamed);
        let chunks = body.as_bytes().chunks(CHUNK);
        let last = chunks.len() - 1;
        let chunks = chunks.enumerate().map(|(at, chunk)| {
            let body = Bytes::copy_from_slice(chunk);
            Request::RequestBody(HttpBody { body, end_of_stream: at == last }).into()
        });
        let headers = Some(HeaderMap::from_iter([(":status", "200"), ("content-type", "text/event-stream")]));
        let head = Request::ResponseHeaders(HttpHeaders { headers, end_of_stream: false }).into();
        let pieces = (1..=pieces).map(|at| {
            let body = Bytes::from("data: {\"choices\": [{\"delta\": {\"content\": \" word\"}}]}\n\n");
            Request::ResponseBody(HttpBody { body, end_of_stream: at == pieces }).into()
        });
        Self {
            request: std::iter::once(first).chain(chunks).collect(),
            response: std::iter::once(head).chain(pieces).collect(),
        }
    }

    /// Goes through it. Pieces of the answer come one by one, as tokens do.
    async fn play(&self, client: &mut ExternalProcessorClient<Channel>) {
        let (requests, rx) = mpsc::channel(16);
        let mut answers = client.process(ReceiverStream::new(rx)).await.unwrap().into_inner();
        for message in &self.request {
            requests.send(message.clone()).await.unwrap();
        }
        while !ends_a_body(&answers.message().await.unwrap().unwrap()) {}
        for message in &self.response {
            requests.send(message.clone()).await.unwrap();
            assert!(answers.message().await.unwrap().is_some());
        }
        drop(requests);
        assert!(answers.message().await.unwrap().is_none());
    }
}

fn ends_a_body(answer: &ProcessingResponse) -> bool {
    let (Some(Response::RequestBody(body)) | Some(Response::ResponseBody(body))) = &answer.response else {
        return false;
    };
    let mutation = body.response.as_ref().and_then(|common| common.body_mutation.as_ref());
    matches!(mutation.and_then(|m| m.mutation.as_ref()), Some(Mutation::StreamedResponse(part)) if part.end_of_stream)
}

/// Allocations and their bytes for each exchange.
fn counted(exchange: &Exchange) -> [f64; 2] {
    let picker = Picker::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let address = format!("http://{}", picker.address);
        let mut client = ExternalProcessorClient::connect(address).await.unwrap();
        for _ in 0..WARM {
            exchange.play(&mut client).await;
        }
        picker.begin.send(()).unwrap();
        picker.begun.await.unwrap();
        for _ in 0..COUNTED {
            exchange.play(&mut client).await;
        }
        picker.end.send(()).unwrap();
    });
    let counted = picker.thread.join().unwrap();
    [counted.count_total, counted.bytes_total].map(|total| total as f64 / COUNTED as f64)
}

#[rstest]
#[case::short(4_200, 1, [31.0, 11_726.0])]
// A stream keeps the times between its pieces until they are counted.
#[case::stream(4_200, 100, [35.0, 12_639.0])]
#[case::long(60_000, 1, [46.0, 258_000.0])]
fn an_exchange_takes_no_more_than_it_did(
    #[case] prompt: usize,
    #[case] pieces: usize,
    #[case] recorded: [f64; 2],
) {
    let counted = counted(&Exchange::new(prompt, pieces));
    let ratios = [counted[0] / recorded[0], counted[1] / recorded[1]];
    assert!(ratios.iter().all(|ratio| *ratio <= 1.1), "{counted:?} instead of {recorded:?}");
    assert!(ratios.iter().all(|ratio| *ratio >= 0.9), "{counted:?} instead of {recorded:?}: record it here");
}
