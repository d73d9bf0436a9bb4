//! Bodies that a decision doesn't wait for, bodies of which it reads the beginning, and what is told of those that it waits
//! for.

use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, poll, stream};
use picker_proto::processing_mode::BodySendMode::{self, *};
use picker_proto::{HeaderMap, ProcessingMode, ProcessingRequest, ProcessingResponse, ProtocolConfiguration};
use rstest::rstest;
use tokio::time::advance;
use tonic::Status;

use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;
use super::{Fixture, MAX_BODY, by_adapter};
use crate::extproc::grpc::process;
use crate::extproc::stream::exchange;
use crate::extproc::wire::{Outbox, Wire};

const RED: &str = "10.0.0.1:8000";
const BLUE: &str = "10.0.0.2:8000";

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let usual = [(":method", "POST"), (":path", "/v1/responses"), ("content-type", "application/json"), ID];
    let usual = usual.into_iter().filter(|(name, _)| pairs.iter().all(|(other, _)| other != name));
    HeaderMap::from_iter(usual.chain(pairs.iter().copied()))
}

/// In each mode, with a response that comes before the body.
#[rstest]
#[case::websocket(&[(":method", "GET"), ("connection", "Upgrade"), ("upgrade", "websocket")])]
#[case::upgrade_with_a_body(&[("connection", "upgrade"), ("upgrade", "SPDY/3.1")])]
#[case::extended_connect(&[(":method", "CONNECT"), (":protocol", "websocket")])]
#[case::connect(&[(":method", "CONNECT"), ("content-type", "")])]
#[case::expect(&[("expect", "100-continue"), ("content-length", "2000000")])]
#[case::grpc(&[("content-type", "application/grpc"), (":path", "/inference.GRPCInferenceService/ModelStreamInfer")])]
#[case::lines_of_json(&[("content-type", "application/x-ndjson")])]
#[case::upload(&[("content-type", "multipart/form-data; boundary=x"), ("content-length", "20000000")])]
#[case::bytes(&[("content-type", "application/octet-stream")])]
#[case::packed(&[("content-encoding", "x-unknown"), ("content-length", "20000000")])]
#[case::get(&[(":method", "GET")])]
#[tokio::test]
async fn a_body_that_may_follow_the_answer_or_cannot_be_read_is_not_waited_for(
    #[case] pairs: &[(&'static str, &'static str)],
) {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    picker
        .play(vec![
            Send(first(headers(pairs), false, FullDuplexStreamed, FullDuplexStreamed)),
            Get(only.in_headers()),
            Send(response_headers("application/grpc", false)),
            Get(go_on_response_headers()),
            Send(body("first", false)),
            Get(echo("first", false)),
            Send(response_body("one", false)),
            Get(echo_response("one", false)),
            Send(body("second", true)),
            Get(echo("second", true)),
            Send(response_body("two", true)),
            Get(echo_response("two", true)),
        ])
        .await;
    for mode in [Buffered, BufferedPartial] {
        picker
            .play(vec![
                Send(first(headers(pairs), false, mode, Buffered)),
                Get(only.letting_go()),
                // An override for the response must not have the rest of the request held.
                Send(response_headers("text/event-stream", false)),
                Get(ProcessingResponse {
                    mode_override: Some(ProcessingMode {
                        request_body_mode: BodySendMode::None.into(),
                        response_body_mode: Streamed.into(),
                        ..ProcessingMode::default()
                    }),
                    ..go_on_response_headers()
                }),
                Send(response_body("one", true)),
                Get(go_on_response_body()),
            ])
            .await;
    }
    for waits in [false, true] {
        let message = first(headers(pairs), false, Streamed, Streamed);
        let config = message.protocol_config.unwrap();
        let config = ProtocolConfiguration { send_body_without_waiting_for_header_response: waits, ..config };
        picker
            .play(vec![
                Send(ProcessingRequest { protocol_config: Some(config), ..message }),
                Get(only.in_headers()),
                Send(response_headers("application/grpc", false)),
                Get(go_on_response_headers()),
                Send(body("first", true)),
                Get(go_on_body()),
            ])
            .await;
    }
    assert_eq!(picker.fixture.lines("waypost_picker_cut_bodies_total"), [""; 0]);
}

/// A file that comes slowly is not the fault of who sends it: its request goes by load, and the rest streams through.
#[tokio::test(start_paused = true)]
async fn a_form_that_comes_slowly_goes_on() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let (tx, rx) = futures::channel::mpsc::unbounded();
    let path = (":path", "/v1/audio/transcriptions");
    let kind = ("content-type", "multipart/form-data; boundary=b");
    let headers = headers(&[path, kind, ("content-length", "20000000")]);
    tx.unbounded_send(Ok(first(headers, false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
    tx.unbounded_send(Ok(body("--b\r\n", false))).unwrap();
    let mut answers = process(fixture.pool.clone(), rx);
    assert_eq!(answers.next().await.unwrap().unwrap(), only.in_headers());
    assert_eq!(answers.next().await.unwrap().unwrap(), echo("--b\r\n", false));
    tx.unbounded_send(Ok(body("more", true))).unwrap();
    assert_eq!(answers.next().await.unwrap().unwrap(), echo("more", true));
}

/// A gateway that has to hold a form would refuse a long one, though its file is not read.
#[tokio::test]
async fn a_long_form_is_not_held_for_its_model() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]).limited(|limits| limits.max_body = 32 << 20);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    let form = |length: &'static str| {
        let path = (":path", "/v1/audio/transcriptions");
        headers(&[path, ("content-type", "multipart/form-data; boundary=b"), ("content-length", length)])
    };
    picker
        .play(vec![Send(first(form("1048577"), false, Buffered, BodySendMode::None)), Get(only.letting_go())])
        .await;
    for (length, mode) in [("1048576", Buffered), ("20000000", BufferedPartial)] {
        picker
            .play(vec![
                Send(first(form(length), false, mode, BodySendMode::None)),
                Get(go_on_headers()),
                Send(body("--b\r\n", true)),
                Get(only.in_body()),
            ])
            .await;
    }
}

/// What goes on of `sent` in full duplex, cut into `chunks`: the destination, and the pieces.
async fn gone_on(
    fixture: &Fixture,
    headers: HeaderMap,
    chunks: &[Bytes],
) -> (ProcessingResponse, Vec<(Bytes, bool)>) {
    let last = chunks.len() - 1;
    let chunks = chunks.iter().cloned().enumerate().map(|(n, chunk)| body(chunk, n == last));
    let messages =
        std::iter::once(first(headers, false, FullDuplexStreamed, FullDuplexStreamed)).chain(chunks);
    let answers = process(fixture.pool.clone(), stream::iter(messages.map(Ok).collect::<Vec<_>>()));
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    (answers[0].clone(), answers[1..].iter().map(echoed).collect())
}

#[rstest]
#[case::announced(true)]
#[case::not_announced(false)]
#[tokio::test]
async fn a_body_over_the_limit_is_read_up_to_there_and_goes_on(#[case] announced: bool) {
    let fixture = Fixture::new(Some(by_adapter()), &[RED, BLUE]);
    let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    let text = "word ".repeat(MAX_BODY / 4);
    let sent = Bytes::from(format!(r#"{{"model":"blue","messages":[{{"content":"{text}"}}],"n":1}}"#));
    let headers =
        if announced { with_header(chat(), "content-length", &sent.len().to_string()) } else { chat() };
    for size in [sent.len(), 150_000, 100_000, MAX_BODY, 16 << 10] {
        let chunks: Vec<_> =
            (0..sent.len()).step_by(size).map(|at| sent.slice(at..sent.len().min(at + size))).collect();
        let (answer, pieces) = gone_on(&fixture, headers.clone(), &chunks).await;
        assert_eq!(answer, blue.in_headers(), "{size}");
        let ends: Vec<_> = pieces.iter().map(|(_, end)| *end).collect();
        assert_eq!(ends.iter().rposition(|end| !end), Some(ends.len() - 2), "{size}");
        assert!(pieces.iter().all(|(piece, _)| piece.len() <= 62_000));
        let whole: Vec<u8> = pieces.into_iter().flat_map(|(piece, _)| piece).collect();
        assert!(whole == sent, "{size}");
    }
    assert_eq!(
        fixture.lines("waypost_picker_cut_bodies_total"),
        [r#"waypost_picker_cut_bodies_total{reason="too-long"} 5"#]
    );
    // A gateway that buffers shows what it holds.
    let picker = Picker::start(fixture).await;
    if !announced {
        picker
            .play(vec![
                Send(first(headers, false, Buffered, BodySendMode::None)),
                Get(go_on_headers()),
                Send(body(sent, true)),
                Get(blue.in_body()),
            ])
            .await;
        return;
    }
    // One that is too long to be held is not asked to.
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let only = Routed { destination: RED, revision: fixture.revision(), removed: Vec::new() };
    let steps = vec![Send(first(headers, false, Buffered, BodySendMode::None)), Get(only.letting_go())];
    Picker::start(fixture).await.play(steps).await;
}

#[tokio::test]
async fn a_long_body_may_end_with_trailers() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let (tx, rx) = futures::channel::mpsc::unbounded();
    for message in [
        first(chat(), false, FullDuplexStreamed, FullDuplexStreamed),
        body(vec![b' '; MAX_BODY + 1], false),
        body("more", false),
        trailers(),
    ] {
        tx.unbounded_send(Ok(message)).unwrap();
    }
    drop(tx);
    let answers: Vec<_> = process(fixture.pool.clone(), rx).map(Result::unwrap).collect().await;
    let (last, pieces) = answers[1..].split_last().unwrap();
    assert_eq!(last, &go_on_trailers());
    let pieces: Vec<_> = pieces.iter().map(echoed).map(|(piece, end)| (piece.len(), end)).collect();
    assert_eq!(
        pieces,
        [(62_000, false), (62_000, false), (62_000, false), (14_000, false), (1, false), (4, false)]
    );
}

/// A log that a test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_their_bodies_are_seen() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let seen = || {
        let figure = |name| fixture.lines(name).first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        [figure("waypost_picker_body_waits "), figure("waypost_picker_body_wait_age_seconds ")]
            .map(|figure: Option<f64>| figure.unwrap())
    };
    assert_eq!(seen(), [0.0, 0.0]);
    let (tx, rx) = futures::channel::mpsc::unbounded();
    let mut headers = with_header(chat(), "content-length", "1000");
    headers = with_header(headers, ":path", "/v1/chat/completions?key=secret");
    headers.headers.rotate_right(1);
    tx.unbounded_send(Ok(first(headers, false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
    tx.unbounded_send(Ok(body("{\"model\":", false))).unwrap();
    let mut answers = process(fixture.pool.clone(), rx);
    assert!(poll!(answers.next()).is_pending());
    advance(Duration::from_secs(4)).await;
    assert!(poll!(answers.next()).is_pending());
    assert_eq!((seen(), log.lines()), ([1.0, 4.0], Vec::new()));
    advance(Duration::from_secs(2)).await;
    assert!(poll!(answers.next()).is_pending());
    let line = "WARN a request has waited for 5 seconds for the rest of its body method=\"POST\" \
        path=\"/v1/chat/completions\" content_type=\"application/json\" request_id=\"id-0\" announced=1000 came=9 \
        seconds_left=24";
    let lines: Vec<_> = log.lines().iter().map(|line| line.trim().to_owned()).collect();
    assert_eq!((seen(), lines), ([1.0, 6.0], vec![line.to_owned()]));
    // Once.
    advance(Duration::from_secs(10)).await;
    assert!(poll!(answers.next()).is_pending());
    assert_eq!((seen(), log.lines().len()), ([1.0, 16.0], 1));
    tx.unbounded_send(Ok(body("\"red\"}", true))).unwrap();
    assert!(matches!(poll!(answers.next()), Poll::Ready(Some(Ok(_)))));
    assert_eq!(seen(), [0.0, 0.0]);
    // One that has its body at once never waits.
    let (tx, rx) = futures::channel::mpsc::unbounded();
    tx.unbounded_send(Ok(first(chat(), false, FullDuplexStreamed, FullDuplexStreamed))).unwrap();
    tx.unbounded_send(Ok(body(ask("red"), true))).unwrap();
    let mut answers = process(fixture.pool.clone(), rx);
    assert!(matches!(poll!(answers.next()), Poll::Ready(Some(Ok(_)))));
    assert_eq!(seen(), [0.0, 0.0]);
}

/// As many of them wait as clients like.
#[test]
fn an_exchange_that_waits_is_small() {
    let fixture = Fixture::new(Some(by_adapter()), &[RED]);
    let wire = Wire::new(stream::empty::<Result<ProcessingRequest, Status>>(), Outbox::default());
    let size = size_of_val(&exchange(fixture.pool, wire));
    assert!(size <= 2048, "{size} bytes");
}
