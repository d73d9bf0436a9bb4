//! Every way in which a gateway sends bodies.

use bytes::Bytes;
use picker_proto::build::string;
use picker_proto::processing_mode::BodySendMode::{self, None as NoBody, *};
use picker_proto::{HeaderMap, ProcessingMode, ProcessingRequest, ProcessingResponse, ProtocolConfiguration};

use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;
use super::{Fixture, at_random, by_adapter};

const RED: &str = "10.0.0.1:8000";
const BLUE: &str = "10.0.0.2:8000";

/// A picker of two endpoints, the second of which has the adapter `blue`.
async fn two() -> (Picker, Routed) {
    let fixture = Fixture::new(Some(by_adapter()), &[RED, BLUE]);
    let revision = fixture.revision();
    (Picker::start(fixture).await, Routed { destination: BLUE, revision, removed: Vec::new() })
}

/// A picker of one endpoint that reads no bodies.
async fn one(address: &'static str) -> (Picker, Routed) {
    let fixture = Fixture::new(Some(at_random()), &[address]);
    let revision = fixture.revision();
    (Picker::start(fixture).await, Routed { destination: address, revision, removed: Vec::new() })
}

#[tokio::test]
async fn full_duplex_holds_the_headers_and_sends_every_byte_back() {
    let (picker, blue) = two().await;
    let ask = ask("blue");
    let (start, rest) = (ask.slice(..10), ask.slice(10..));
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Send(body(start, false)),
            Send(body(rest, false)),
            Send(body("", true)),
            // A repetition of the end, as Envoy sends after large bodies.
            Send(body("", true)),
            Get(blue.in_headers()),
            Get(echo(ask, true)),
            Send(response_headers("text/event-stream", false)),
            Get(go_on_response_headers()),
            Send(response_body("data: 1\n\n", false)),
            Get(echo_response("data: 1\n\n", false)),
            Send(response_body("data: [DONE]\n\n", true)),
            Get(echo_response("data: [DONE]\n\n", true)),
        ])
        .await;
}

#[tokio::test]
async fn full_duplex_with_trailers_in_both_directions() {
    let (picker, blue) = two().await;
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Send(body(ask("blue"), false)),
            Send(trailers()),
            Get(blue.in_headers()),
            Get(echo(ask("blue"), false)),
            Get(go_on_trailers()),
            Send(response_headers("application/json", false)),
            Get(go_on_response_headers()),
            Send(response_body("{}", false)),
            Get(echo_response("{}", false)),
            Send(response_trailers()),
            Get(go_on_response_trailers()),
        ])
        .await;
}

#[tokio::test]
async fn full_duplex_with_trailers_and_no_body() {
    let (picker, ipv6) = one("[fd00::1]:8000").await;
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Get(ipv6.in_headers()),
            Send(trailers()),
            Get(go_on_trailers()),
        ])
        .await;
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    Picker::start(fixture)
        .await
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Send(trailers()),
            Get(only.in_headers()),
            Get(go_on_trailers()),
        ])
        .await;
}

#[tokio::test]
async fn a_gateway_that_says_nothing_of_modes_means_full_duplex() {
    let (picker, blue) = two().await;
    picker
        .play(vec![
            Send(ProcessingRequest {
                protocol_config: Option::None,
                ..first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)
            }),
            Send(body(ask("blue"), true)),
            Get(blue.in_headers()),
            Get(echo(ask("blue"), true)),
            Send(response_headers("application/json", false)),
            Get(go_on_response_headers()),
            Send(response_body("{}", true)),
            Get(echo_response("{}", true)),
        ])
        .await;
}

#[tokio::test]
async fn full_duplex_goes_on_at_once_when_no_plugin_reads_bodies() {
    let (picker, only) = one(RED).await;
    let large = Bytes::from(vec![b'x'; 62_001]);
    picker
        .play(vec![
            Send(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)),
            Get(only.in_headers()),
            Send(body("not", false)),
            Get(echo("not", false)),
            // Beyond the size that every gateway takes.
            Send(body(large.clone(), false)),
            Get(echo(large.slice(..62_000), false)),
            Get(echo("x", false)),
            Send(body("", true)),
            Get(echo("", true)),
            Send(body("", true)),
            Send(response_headers("text/plain", true)),
            Get(go_on_response_headers()),
        ])
        .await;
}

#[tokio::test]
async fn buffered_routes_in_the_reply_to_the_body() {
    let (picker, blue) = two().await;
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, Buffered)),
            Get(go_on_headers()),
            Send(body(ask("blue"), true)),
            Get(blue.in_body()),
            Send(response_headers("application/json", false)),
            Get(go_on_response_headers()),
            Send(response_body("{}", true)),
            Get(go_on_response_body()),
        ])
        .await;
    // With trailers in both directions.
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, Buffered)),
            Get(go_on_headers()),
            Send(body(ask("blue"), false)),
            Get(blue.in_body()),
            Send(trailers()),
            Get(go_on_trailers()),
            Send(response_headers("application/json", false)),
            Get(go_on_response_headers()),
            Send(response_body("{}", false)),
            Get(go_on_response_body()),
            Send(response_trailers()),
            Get(go_on_response_trailers()),
        ])
        .await;
}

#[tokio::test]
async fn buffered_routes_in_the_reply_to_the_headers_when_no_plugin_reads_bodies() {
    let (picker, only) = one(RED).await;
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(only.letting_go()),
            // Envoy doesn't send any of it then.
            Send(body("{", true)),
            Get(go_on_body()),
        ])
        .await;
}

#[tokio::test]
async fn buffered_asks_for_the_chunks_of_an_event_stream() {
    let (picker, blue) = two().await;
    let chunks = ProcessingResponse {
        mode_override: Some(ProcessingMode {
            request_body_mode: Buffered.into(),
            response_body_mode: Streamed.into(),
            ..ProcessingMode::default()
        }),
        ..go_on_response_headers()
    };
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, Buffered)),
            Get(go_on_headers()),
            Send(body(ask("blue"), true)),
            Get(blue.in_body()),
            Send(response_headers("text/event-stream; charset=utf-8", false)),
            Get(chunks),
            Send(response_body("data: 1\n\n", false)),
            Get(go_on_response_body()),
            Send(response_body("", true)),
            Get(go_on_response_body()),
        ])
        .await;
}

#[tokio::test]
async fn of_a_partial_body_what_is_there_counts() {
    let (picker, blue) = two().await;
    for cut in [20, 40] {
        picker
            .play(vec![
                Send(first(chat(), false, BufferedPartial, NoBody)),
                Get(go_on_headers()),
                Send(body(ask("blue").slice(..cut), false)),
                Get(blue.in_body()),
            ])
            .await;
    }
    // Nothing is refused for what is missing.
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    for beginning in ["{\"model\":\"bl", "{\"model\":7,\"a", "[", "\u{e9}"] {
        Picker::start(Fixture::new(Some(by_adapter()), &[RED]))
            .await
            .play(vec![
                Send(first(chat(), false, BufferedPartial, NoBody)),
                Get(go_on_headers()),
                Send(body(beginning, false)),
                Get(only.in_body()),
            ])
            .await;
    }
    picker
        .play(vec![
            Send(first(chat(), false, BufferedPartial, NoBody)),
            Get(go_on_headers()),
            Send(body(ask("blue"), true)),
            Get(blue.in_body()),
        ])
        .await;
}

#[tokio::test]
async fn streamed_routes_in_the_reply_to_the_headers_and_waves_chunks_through() {
    let (picker, only) = one(RED).await;
    picker
        .play(vec![
            Send(first(chat(), false, Streamed, Streamed)),
            Get(only.in_headers()),
            Send(body("{", false)),
            Get(go_on_body()),
            Send(body("}", true)),
            Get(go_on_body()),
            Send(response_headers("text/event-stream", false)),
            Get(go_on_response_headers()),
            Send(response_body("data", false)),
            Get(go_on_response_body()),
            Send(response_body("", true)),
            Get(go_on_response_body()),
        ])
        .await;
}

#[tokio::test]
async fn streamed_does_not_wait_for_a_body_that_waits_for_it() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    picker
        .play(vec![
            Send(first(chat(), false, Streamed, NoBody)),
            Get(only.in_headers()),
            Send(body(ask("blue"), true)),
            Get(go_on_body()),
        ])
        .await;
}

#[tokio::test]
async fn streamed_early_reads_the_body_first() {
    let (picker, blue) = two().await;
    let ask = ask("blue");
    picker
        .play(vec![
            Send(early(first(chat(), false, Streamed, NoBody))),
            Send(body(ask.slice(..10), false)),
            Send(body(ask.slice(10..), true)),
            Get(blue.in_headers()),
            Get(go_on_body()),
            Get(go_on_body()),
        ])
        .await;
}

#[tokio::test]
async fn streamed_early_waits_for_no_more_than_gateways_buffer() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    let chunk = Bytes::from(vec![b' '; 8 << 10]);
    picker
        .play(vec![
            Send(early(first(chat(), false, Streamed, NoBody))),
            Send(body(chunk.clone(), false)),
            Send(body(chunk.clone(), false)),
            Get(only.in_headers()),
            Get(go_on_body()),
            Get(go_on_body()),
            Send(body(chunk, false)),
            Get(go_on_body()),
            Send(trailers()),
            Get(go_on_trailers()),
        ])
        .await;
}

#[tokio::test]
async fn headers_alone_are_enough() {
    let get = || HeaderMap::from_iter([(":method", "GET"), (":path", "/v1/models"), ID]);
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    for mode in [NoBody, Streamed, Buffered, BufferedPartial, FullDuplexStreamed] {
        picker
            .play(vec![
                Send(first(get(), true, mode, mode)),
                Get(only.in_headers()),
                Send(response_headers("application/json", true)),
                Get(go_on_response_headers()),
            ])
            .await;
    }
    // No body is sent at all.
    picker.play(vec![Send(first(chat(), false, NoBody, NoBody)), Get(only.in_headers())]).await;
}

#[tokio::test]
async fn trailers_in_the_place_of_a_buffered_body() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            Send(trailers()),
            Get(only.in_trailers()),
        ])
        .await;
}

#[tokio::test]
async fn a_body_of_a_megabyte_comes_back_whole() {
    let fixture = Fixture::new(Some(at_random()), &[RED]);
    let picker = Picker::start(fixture).await;
    let mut stream = picker.open().await;
    stream.send(first(chat(), false, FullDuplexStreamed, NoBody)).await;
    stream.get().await.unwrap().unwrap();
    let sent: Bytes = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect::<Vec<_>>().into();
    let mut seen = Vec::new();
    for at in (0..sent.len()).step_by(1 << 16) {
        stream.send(body(sent.slice(at..at + (1 << 16)), at + (1 << 16) == sent.len())).await;
        for (size, last) in [(62_000, false), (3536, at + (1 << 16) == sent.len())] {
            let (piece, end) = echoed(&stream.get().await.unwrap().unwrap());
            assert_eq!((piece.len(), end), (size, last));
            seen.extend_from_slice(&piece);
        }
    }
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn what_a_client_may_not_say_is_taken_out() {
    let (picker, blue) = two().await;
    let mut headers = chat();
    headers.headers.extend(
        HeaderMap::from_iter([
            ("x-gateway-destination-endpoint", "169.254.169.254:80"),
            ("x-gateway-destination-endpoint-subset", "10.0.0.1:8000"),
            ("x-prefiller-host-port", "169.254.169.254:80"),
            ("x-prefiller-url", "http://169.254.169.254"),
            ("x-data-parallel-rank", "1"),
        ])
        .headers,
    );
    let removed = [
        "x-gateway-destination-endpoint-subset",
        "x-prefiller-host-port",
        "x-prefiller-url",
        "x-data-parallel-rank",
    ];
    let blue = Routed { removed: removed.map(str::to_owned).to_vec(), ..blue };
    // In each mode, and ahead of the decision where the gateway could go on without it.
    for mode in [Buffered, BufferedPartial] {
        picker
            .play(vec![
                Send(first(headers.clone(), false, mode, NoBody)),
                Get(go_on_without(&removed)),
                Send(body(ask("blue"), true)),
                Get(blue.in_body()),
            ])
            .await;
    }
    picker
        .play(vec![
            Send(first(headers, false, FullDuplexStreamed, NoBody)),
            Send(body(ask("blue"), true)),
            Get(blue.in_headers()),
            Get(echo(ask("blue"), true)),
        ])
        .await;
}

#[tokio::test]
async fn a_gateway_that_shows_no_request_headers_is_waved_through() {
    let (picker, _) = two().await;
    let response = |mode: BodySendMode| ProcessingRequest {
        protocol_config: Some(ProtocolConfiguration {
            response_body_mode: mode.into(),
            ..Default::default()
        }),
        ..response_headers("text/plain", false)
    };
    picker
        .play(vec![
            Send(response(FullDuplexStreamed)),
            Get(go_on_response_headers()),
            Send(response_body("a", true)),
            Get(echo_response("a", true)),
        ])
        .await;
    assert_eq!(
        picker.fixture.lines("waypost_picker_requests_total"),
        [r#"waypost_picker_requests_total{model="unknown",status="200",reason="nothing-to-route"} 1"#]
    );
}

#[tokio::test]
async fn a_gateway_that_only_shows_is_not_answered() {
    let (picker, _) = two().await;
    let mut stream = picker.open().await;
    stream.send(ProcessingRequest { observability_mode: true, ..first(chat(), true, NoBody, NoBody) }).await;
    stream.send(ProcessingRequest { observability_mode: true, ..response_headers("text/plain", true) }).await;
    stream.requests = Option::None;
    assert_eq!(stream.get().await.unwrap(), Option::None);
}

#[tokio::test]
async fn a_subset_may_come_with_any_message_of_the_request() {
    let fixture = Fixture::new(Some(at_random()), &[RED, BLUE]);
    let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    let hint = |message| {
        with_metadata(message, "envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset", string(BLUE))
    };
    for _ in 0..8 {
        let headers = hint(first(chat(), true, NoBody, NoBody));
        picker.play(vec![Send(headers), Get(blue.in_headers())]).await;
    }
    let (picker, _) = two().await;
    let red = Routed { destination: BLUE, revision: picker.fixture.revision(), removed: Vec::new() };
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            Send(hint(body(ask("red"), true))),
            Get(red.in_body()),
        ])
        .await;
}
