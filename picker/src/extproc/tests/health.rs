//! What the responses that a gateway shows say about the health of endpoints.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use picker_core::health::{Phase, Reason};
use picker_proto::build::string;
use picker_proto::processing_mode::BodySendMode::{FullDuplexStreamed, None as NoBody};
use picker_proto::processing_request::Request;
use picker_proto::{HeaderMap, HttpHeaders, ProcessingRequest};
use rstest::rstest;
use serde_json::json;

use super::words::*;
use super::{Fixture, at_random};
use crate::extproc::grpc::process;

const ONE: &str = "10.0.0.1:8000";
const OTHER: &str = "10.0.0.2:8000";

/// How Envoy answers for a server that it can't connect to.
const REFUSED: &str = "upstream connect error or disconnect/reset before headers. reset reason: remote connection \
                       failure, transport failure reason: delayed connect error: Connection refused";

fn head(headers: &[(&'static str, &'static str)], end: bool) -> ProcessingRequest {
    let headers = Some(headers.iter().copied().collect::<HeaderMap>());
    Request::ResponseHeaders(HttpHeaders { headers, end_of_stream: end }).into()
}

/// A picker of one endpoint, after an exchange with this response.
async fn after(response: Vec<ProcessingRequest>) -> Fixture {
    let fixture = Fixture::new(Some(at_random()), &[ONE]);
    let request = first(chat(), true, FullDuplexStreamed, FullDuplexStreamed);
    let messages = std::iter::once(request).chain(response).map(Ok);
    process(fixture.pool.clone(), stream::iter(messages))
        .for_each(|answer| async move { drop(answer.unwrap()) })
        .await;
    fixture
}

/// What is said against the endpoints that are not healthy.
fn failing(fixture: &Fixture) -> Vec<(String, Phase, Reason)> {
    let view = fixture.pool.view.load();
    let status = view.endpoints.iter().map(|e| (e.destination.clone(), e.health().status(Instant::now())));
    let failing = status.filter(|(_, status)| status.phase != Phase::Healthy);
    failing.map(|(endpoint, status)| (endpoint, status.phase, status.reason)).collect()
}

const EJECTED: Option<Reason> = Some(Reason::ServerError);

#[rstest]
#[case::good(&[(":status", "200")], false, None)]
#[case::of_the_client(&[(":status", "400")], false, None)]
#[case::too_many(&[(":status", "429")], false, None)]
#[case::an_error(&[(":status", "500")], false, EJECTED)]
#[case::an_error_without_a_body(&[(":status", "500")], true, EJECTED)]
#[case::not_implemented(&[(":status", "501")], false, None)]
#[case::refused(&[(":status", "503"), ("content-type", "text/plain")], false, EJECTED)]
#[case::a_timeout(&[(":status", "504")], false, None)]
#[case::another_version(&[(":status", "505")], false, None)]
#[case::limits_of_the_gateway(&[(":status", "503"), ("x-envoy-overloaded", "true")], false, None)]
#[case::limits_of_the_server(&[(":status", "503"), ("retry-after", "1")], false, None)]
#[case::an_error_that_passes(&[(":status", "500"), ("retry-after", "1")], false, EJECTED)]
#[case::grpc(&[(":status", "200"), ("grpc-status", "0")], true, None)]
#[case::grpc_unavailable(&[(":status", "200"), ("grpc-status", "14")], true, EJECTED)]
#[case::grpc_limits_of_the_server(
    &[(":status", "200"), ("grpc-status", "14"), ("grpc-retry-pushback-ms", "100")], true, None
)]
#[case::grpc_overloaded(
    &[(":status", "200"), ("grpc-status", "14"), ("x-envoy-overloaded", "true")], true, None
)]
#[case::no_status(&[], false, None)]
#[tokio::test]
async fn a_fast_error_of_the_server_ejects_it(
    #[case] headers: &[(&'static str, &'static str)],
    #[case] end: bool,
    #[case] ejected: Option<Reason>,
) {
    let fixture = after(vec![head(headers, end)]).await;
    let wanted = ejected.map(|reason| (ONE.to_owned(), Phase::Ejected, reason));
    assert_eq!(failing(&fixture), Vec::from_iter(wanted));
    assert_eq!(
        fixture.lines("waypost_picker_ejections_total{reason=\"server-error\"}"),
        [format!(
            "waypost_picker_ejections_total{{reason=\"server-error\"}} {}",
            u8::from(ejected.is_some())
        )]
    );
    let gauge = if ejected.is_some() { "0.0" } else { "1.0" };
    assert_eq!(
        fixture.lines("waypost_picker_endpoint_health{"),
        [format!("waypost_picker_endpoint_health{{endpoint=\"pod-0-rank-0\",address=\"{ONE}\"}} {gauge}")]
    );
}

#[tokio::test]
async fn a_client_that_gives_up_says_nothing() {
    assert!(failing(&after(vec![]).await).is_empty());
    assert!(failing(&after(vec![response_headers("text/event-stream", false)]).await).is_empty());
}

/// The routing in which 10 ms are slow.
fn impatient() -> serde_json::Value {
    let mut routing = at_random();
    routing["health"] = json!({"fastFailure": "10ms"});
    routing
}

#[rstest]
#[case::the_servers("{\"error\": \"overloaded\"}", None)]
#[case::the_gateways(REFUSED, Some(Reason::Unreachable))]
#[tokio::test]
async fn a_slow_error_counts_only_when_the_gateway_says_that_it_found_no_connection(
    #[case] body: &'static str,
    #[case] ejected: Option<Reason>,
) {
    let fixture = Fixture::new(Some(impatient()), &[ONE]);
    let (tx, rx) = futures::channel::mpsc::unbounded();
    let mut answers = process(fixture.pool.clone(), rx);
    tx.unbounded_send(Ok(first(chat(), true, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
    answers.next().await.unwrap().unwrap();
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_millis(10) {
        tokio::task::yield_now().await;
    }
    tx.unbounded_send(Ok(head(&[(":status", "503")], false))).unwrap();
    answers.next().await.unwrap().unwrap();
    assert!(failing(&fixture).is_empty());
    tx.unbounded_send(Ok(response_body(body, true))).unwrap();
    answers.next().await.unwrap().unwrap();
    let wanted = ejected.map(|reason| (ONE.to_owned(), Phase::Ejected, reason));
    assert_eq!(failing(&fixture), Vec::from_iter(wanted));
}

#[rstest]
#[case::another_one_failed(&[(":status", "503")], "10.9.9.9:1", None)]
#[case::the_very_one_failed(&[(":status", "503")], ONE, EJECTED)]
#[case::another_one_served(&[(":status", "200")], "10.9.9.9:1", None)]
#[case::after_it_was_tried(&[(":status", "200"), ("x-envoy-attempt-count", "2")], "10.9.9.9:1", None)]
#[tokio::test]
async fn an_answer_of_another_endpoint_says_nothing(
    #[case] headers: &[(&'static str, &'static str)],
    #[case] served: &'static str,
    #[case] ejected: Option<Reason>,
) {
    let key = "x-gateway-destination-endpoint-served";
    let fixture = after(vec![with_metadata(head(headers, true), "envoy.lb", key, string(served))]).await;
    let wanted = ejected.map(|reason| (ONE.to_owned(), Phase::Ejected, reason));
    assert_eq!(failing(&fixture), Vec::from_iter(wanted));
}

#[tokio::test]
async fn a_gateway_that_went_on_to_the_next_of_a_list_found_the_first_unreachable() {
    let routing = json!({"plugins": [{"type": "random-picker", "parameters": {"maxNumOfEndpoints": 2}}]});
    let fixture = Fixture::new(Some(routing), &[ONE, OTHER]);
    let (tx, rx) = futures::channel::mpsc::unbounded();
    let mut answers = process(fixture.pool.clone(), rx);
    tx.unbounded_send(Ok(first(chat(), true, FullDuplexStreamed, NoBody))).unwrap();
    let answer = answers.next().await.unwrap().unwrap();
    let said = format!("{answer:?}");
    let (picked, served) = if said.contains(&format!("{ONE},{OTHER}")) { (ONE, OTHER) } else { (OTHER, ONE) };
    let response = head(&[(":status", "200"), ("x-envoy-attempt-count", "2")], true);
    let key = "x-gateway-destination-endpoint-served";
    tx.unbounded_send(Ok(with_metadata(response, "envoy.lb", key, string(served)))).unwrap();
    answers.next().await.unwrap().unwrap();
    assert_eq!(failing(&fixture), [(picked.to_owned(), Phase::Ejected, Reason::Unreachable)]);
}
