use std::future::poll_fn;

use futures::{StreamExt, stream};
use picker_proto::StreamedBodyResponse;
use picker_serve::memory::Meter;

use super::*;
use crate::extproc::reply::{Side, piece, trailers};

fn body(length: usize) -> Bytes {
    vec![7; length].into()
}

fn of(body: Bytes) -> ProcessingResponse {
    piece(Side::Request, StreamedBodyResponse { body, end_of_stream: true }).into()
}

/// The frames of data, and the trailers.
async fn sent(answers: Vec<Result<ProcessingResponse, Status>>) -> (Vec<Bytes>, HeaderMap) {
    let (mut outgoing, mut data) =
        (Outgoing::new(stream::iter(answers), Meter::default().open().unwrap()), Vec::new());
    let mut next = async || poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await;
    loop {
        let frame = next().await.expect("trailers come last").unwrap();
        match frame.into_data() {
            Ok(bytes) => data.push(bytes),
            Err(frame) => {
                assert!(next().await.is_none());
                return (data, frame.into_trailers().unwrap());
            }
        }
    }
}

fn told<'a>(trailers: &'a HeaderMap, name: &str) -> &'a str {
    trailers.get(name).unwrap().to_str().unwrap()
}

fn decoded(data: &[Bytes]) -> Vec<ProcessingResponse> {
    let (mut wire, mut all) = (&data.concat()[..], Vec::new());
    while let Some((head, rest)) = wire.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let (message, rest) = rest.split_at(length);
        assert_eq!(head[0], 0);
        all.push(ProcessingResponse::decode(message).unwrap());
        wire = rest;
    }
    all
}

#[tokio::test]
async fn answers_that_are_ready_go_together_and_long_pieces_uncopied() {
    let long = body(LONG);
    let answers = vec![trailers(Side::Response).into(), of(body(LONG - 1)), of(long.clone()), of(body(1))];
    let (data, end) = sent(answers.iter().cloned().map(Ok).collect()).await;
    assert!(decoded(&data) == answers);
    assert_eq!((data.len(), data[1].as_ptr()), (3, long.as_ptr()));
    assert_eq!(told(&end, "grpc-status"), "0");
}

#[tokio::test]
async fn many_are_handed_on_before_the_last_one_is_made() {
    let answers: Vec<_> = (0..20).map(|_| of(body(LONG - 1))).collect();
    let (data, _) = sent(answers.iter().cloned().map(Ok).collect()).await;
    assert!(decoded(&data) == answers);
    assert!(data.iter().all(|frame| (ENOUGH..ENOUGH + LONG + 50).contains(&frame.len())), "{:?}", data.len());
}

#[tokio::test]
async fn a_failure_comes_after_what_was_answered() {
    let answer: ProcessingResponse = trailers(Side::Request).into();
    let (data, end) = sent(vec![Ok(answer.clone()), Err(Status::invalid_argument("why"))]).await;
    assert_eq!(decoded(&data), [answer]);
    assert_eq!((told(&end, "grpc-status"), told(&end, "grpc-message")), ("3", "why"));
    let (data, end) = sent(vec![]).await;
    assert_eq!((data.len(), told(&end, "grpc-status")), (0, "0"));
}

#[tokio::test]
async fn a_stream_waits_for_its_peer_from_each_frame_to_the_next_look() {
    let meter = Meter::default();
    let answers = stream::iter([Ok(of(body(LONG))), Ok(of(body(LONG)))]).chain(stream::pending());
    let mut outgoing = Outgoing::new(answers, meter.open().unwrap());
    let next = |outgoing: &mut Outgoing<_>| {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        Pin::new(outgoing).poll_frame(cx).is_ready()
    };
    // Each answer is a head and a piece.
    let seen = [(); 5].map(|()| (next(&mut outgoing), meter.stuck_streams()));
    assert_eq!(seen, [(true, 1), (true, 1), (true, 1), (true, 1), (false, 0)]);
}

#[tokio::test]
async fn what_is_handed_on_counts_until_it_was_sent() {
    let meter = Meter::default();
    let mut outgoing = Outgoing::new(stream::iter([Ok(of(body(LONG)))]), meter.open().unwrap());
    let open = meter.held();
    let mut next = async || poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await.unwrap().unwrap();
    let (_head, piece, _trailers) = (next().await, next().await, next().await);
    assert_eq!(meter.held(), open + LONG);
    drop(piece);
    assert_eq!(meter.held(), open);
    // A short one until the stream has ended and it was sent.
    let mut outgoing = Outgoing::new(stream::iter([Ok(of(body(1)))]), meter.open().unwrap());
    let sent = poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await;
    drop(outgoing);
    assert_eq!(meter.held(), 2 * open);
    drop(sent);
    let mut outgoing = Outgoing::new(stream::iter([Ok(of(body(1)))]), meter.open().unwrap());
    drop(poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await);
    drop(outgoing);
    assert_eq!(meter.held(), 2 * open);
}
