//! A client that means well, probes of health, and the memory of the picker, beside an attack.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use picker_proto::build::first;
use picker_proto::external_processor_client::ExternalProcessorClient;
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use picker_proto::processing_request::Request;
use picker_proto::{HeaderMap, HttpBody, ProcessingRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::running::{PATIENCE, Picker};

/// The time from one exchange, or probe, to the next.
const PACE: Duration = Duration::from_millis(10);
const PROBES: Duration = Duration::from_millis(100);
/// The same of connections that are made anew.
const ANEW: Duration = Duration::from_millis(200);

/// What was seen for a time.
#[derive(Debug)]
pub struct Seen {
    /// Of exchanges, each on the same connection.
    pub p99: Duration,
    pub exchanges: usize,
    pub failed: usize,
    /// The longest until an exchange was answered on a connection of its own.
    pub anew: Duration,
    /// The longest of probes, each on a connection of its own.
    pub probe: Duration,
    /// In KiB.
    pub memory: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p99, exchanges, failed, anew, probe, memory } = self;
        write!(
            f,
            "{exchanges} exchanges, {failed} failed, p99 {p99:.1?}, longest on a new connection {anew:.1?}, longest \
             probe {probe:.1?}, {memory} KiB"
        )
    }
}

/// Looks on for `time`.
pub async fn look(picker: &Picker, time: Duration) -> Seen {
    let (end, mut most) = (Instant::now() + time, 0);
    let exchanges = async {
        let mut client = picker.connect().await.unwrap();
        let (mut took, mut failed) = (Vec::new(), 0);
        while Instant::now() < end {
            let began = Instant::now();
            match tokio::time::timeout(PATIENCE, exchange(&mut client)).await {
                Ok(Ok(())) => took.push(began.elapsed()),
                _ => failed += 1,
            }
            tokio::time::sleep(PACE).await;
        }
        (took, failed)
    };
    let anew = async {
        let mut longest = Duration::ZERO;
        while Instant::now() < end {
            let began = Instant::now();
            let answered = async {
                loop {
                    if let Ok(mut client) = picker.connect().await
                        && exchange(&mut client).await.is_ok()
                    {
                        break;
                    }
                    // A gateway tries again.
                    tokio::time::sleep(PACE).await;
                }
            };
            tokio::time::timeout(PATIENCE, answered).await.expect("an answer on a new connection");
            longest = longest.max(began.elapsed());
            tokio::time::sleep(ANEW).await;
        }
        longest
    };
    let probes = async {
        let mut longest = Duration::ZERO;
        while Instant::now() < end {
            let began = Instant::now();
            let answered = tokio::time::timeout(PATIENCE, probe(picker.health)).await;
            answered.expect("an answer to a probe").unwrap();
            longest = longest.max(began.elapsed());
            most = most.max(picker.status("VmRSS"));
            tokio::time::sleep(PROBES).await;
        }
        longest
    };
    let ((mut took, failed), anew, probe) = tokio::join!(exchanges, anew, probes);
    took.sort();
    let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or(PATIENCE);
    Seen { p99, exchanges: took.len(), failed, anew, probe, memory: most }
}

/// A request with a body, and its answer.
pub async fn exchange(client: &mut ExternalProcessorClient<Channel>) -> Result<(), tonic::Status> {
    let (requests, rx) = mpsc::channel(4);
    let headers = [(":method", "POST"), (":path", "/v1/completions"), ("content-type", "application/json")];
    let headers = HeaderMap::from_iter(headers);
    let body = Bytes::from_static(br#"{"model": "m", "prompt": "a few words of a prompt"}"#);
    let body = Request::RequestBody(HttpBody { body, end_of_stream: true });
    let sent = [first(headers, false, FullDuplexStreamed, FullDuplexStreamed), ProcessingRequest::from(body)];
    for message in sent {
        let _ = requests.send(message).await;
    }
    let mut answers = client.process(ReceiverStream::new(rx)).await?.into_inner();
    let answer = answers.message().await?;
    let routed = answer.and_then(|answer| answer.response);
    match routed {
        Some(picker_proto::processing_response::Response::RequestHeaders(_)) => Ok(()),
        other => Err(tonic::Status::internal(format!("{other:?}"))),
    }
}

/// As the kubelet probes: on a connection of its own.
async fn probe(port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
    let mut health = HealthClient::new(endpoint.connect().await?);
    health.check(HealthCheckRequest { service: "liveness".into() }).await?;
    Ok(())
}
