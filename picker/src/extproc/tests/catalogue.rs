//! Plugins whose work shows only in an exchange: those that tell what gateways say, and those that wait.

use picker_proto::ProcessingResponse;
use picker_proto::build::string;
use picker_proto::processing_mode::BodySendMode::{FullDuplexStreamed, None as NoBody};
use picker_proto::processing_response::Response;
use rstest::rstest;
use serde_json::json;

use super::Fixture;
use super::client::{Picker, Stream};
use super::words::*;

/// The value that an answer to headers sets the header `name` to.
fn set(answer: &ProcessingResponse, name: &str) -> Option<String> {
    let common = match answer.response.as_ref()? {
        Response::RequestHeaders(headers) | Response::ResponseHeaders(headers) => {
            headers.response.as_ref()?
        }
        _ => return None,
    };
    let set = common.header_mutation.as_ref()?.set_headers.iter().filter_map(|option| option.header.as_ref());
    let header = set.into_iter().find(|header| header.key == name.as_bytes())?;
    Some(String::from_utf8_lossy(&header.raw_value).into_owned())
}

/// Sends a request, and returns where it goes.
async fn destination(stream: &mut Stream, prompt: &str) -> String {
    stream.send(first(chat(), false, FullDuplexStreamed, NoBody)).await;
    stream.send(body(ask(prompt), true)).await;
    set(&stream.get().await.unwrap().unwrap(), "x-gateway-destination-endpoint").unwrap()
}

#[rstest]
#[case::an_address(Some("10.0.0.9:8000"), "10.0.0.9:8000")]
#[case::no_address(Some("evil.example.com\r\nx: y"), "fail: the gateway does not say which endpoint served")]
#[case::nothing(None, "fail: the gateway does not say which endpoint served")]
#[tokio::test]
async fn the_conformance_tests_are_told_who_served(#[case] served: Option<&str>, #[case] told: &str) {
    let routing = json!({"plugins": [{"type": "destination-endpoint-served-verifier"}]});
    let picker = Picker::start(Fixture::new(Some(routing), &["10.0.0.1:8000"])).await;
    let mut stream = picker.open().await;
    assert_eq!(destination(&mut stream, "a").await, "10.0.0.1:8000");
    stream.get().await.unwrap();
    let mut head = response_headers("text/plain", true);
    if let Some(served) = served {
        head = with_metadata(head, "envoy.lb", "x-gateway-destination-endpoint-served", string(served));
    }
    stream.send(head).await;
    let answer = stream.get().await.unwrap().unwrap();
    assert_eq!(set(&answer, "x-conformance-test-served-endpoint").as_deref(), Some(told));
}

#[tokio::test]
async fn requests_of_a_window_go_to_one_endpoint_together() {
    let routing = json!({
        "plugins": [
            {"type": "burst-prefix-cache-producer", "parameters": {"windowDurationMs": 10_000, "maxBatchSize": 12}},
            {"type": "prefix-cache-scorer", "parameters": {"prefixMatchInfoProducerName": "burst-prefix-cache-producer"}},
        ],
    });
    let addresses = ["10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000", "10.0.0.4:8000"];
    let picker = Picker::start(Fixture::new(Some(routing), &addresses)).await;
    // With the twelfth the window is full, and all go on at once.
    let requests = (0..12).map(|n| {
        let picker = &picker;
        async move { destination(&mut picker.open().await, ["a", "b", "c"][n % 3]).await }
    });
    let destinations = futures::future::join_all(requests).await;
    assert!(destinations.chunks(3).all(|chunk| chunk == &destinations[..3]), "{destinations:?}");
    let mut different = destinations[..3].to_vec();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 3, "{destinations:?}");
}
