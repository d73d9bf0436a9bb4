//! Requests whose bodies still come in when they are refused. A gateway is told by a frame that nothing more
//! is wanted, and what it sent until it read that frame must do no harm, so the test writes frames itself.

use bytes::{Buf, BufMut, BytesMut};
use picker_proto::processing_mode::BodySendMode::{FullDuplexStreamed, None as NoBody};
use picker_proto::processing_response::Response;
use picker_proto::{ProcessingRequest, ProcessingResponse};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Fixture;
use super::client::Picker;
use super::words::*;

/// `h2` forgives 50 streams of late frames, and 1024 late frames of other streams, on one connection.
const REFUSED: u32 = 1200;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

struct Gateway {
    io: TcpStream,
    out: BytesMut,
    frames: BytesMut,
}

impl Gateway {
    async fn connect(picker: &Picker) -> Self {
        let io = TcpStream::connect(picker.address).await.unwrap();
        let mut gateway = Self { io, out: BytesMut::new(), frames: BytesMut::new() };
        gateway.out.put_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        gateway.frame(SETTINGS, 0, 0, &[]);
        // All answers fit, so that none comes in two frames.
        gateway.frame(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes());
        gateway
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.put_uint(payload.len() as u64, 3);
        self.out.put_slice(&[kind, flags]);
        self.out.put_u32(stream);
        self.out.put_slice(payload);
    }

    fn message(&mut self, stream: u32, message: &ProcessingRequest, flags: u8) {
        let mut framed = BytesMut::from(&[0][..]);
        framed.put_u32(message.encoded_len() as u32);
        message.encode(&mut framed).unwrap();
        self.frame(DATA, flags, stream, &framed);
    }

    fn open(&mut self, stream: u32, message: &ProcessingRequest) {
        // POST and http by their places in the static table, the others as literals with names from it.
        let mut block = BytesMut::from(&[0x83, 0x86][..]);
        for (name, value) in [
            (4, "/envoy.service.ext_proc.v3.ExternalProcessor/Process"),
            (1, "picker"),
            (15 + 16, "application/grpc"),
        ] {
            if name < 15 {
                block.put_u8(name)
            } else {
                block.put_slice(&[15, name - 15])
            }
            block.put_u8(value.len() as u8);
            block.put_slice(value.as_bytes());
        }
        self.frame(HEADERS, END_HEADERS, stream, &block);
        self.message(stream, message, 0);
    }

    /// Sends what was written, and reads messages until `count` have come.
    async fn answers(&mut self, count: usize) -> Vec<(u32, ProcessingResponse)> {
        let mut answers = Vec::new();
        while answers.len() < count {
            if !self.out.is_empty() {
                self.io.write_all_buf(&mut self.out).await.unwrap();
            }
            assert_ne!(self.io.read_buf(&mut self.frames).await.unwrap(), 0, "the connection is closed");
            while let Some((kind, flags, stream, payload)) = self.next_frame() {
                match kind {
                    SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]),
                    GOAWAY => panic!("GOAWAY: {}", String::from_utf8_lossy(&payload[8..])),
                    DATA if !payload.is_empty() => {
                        answers.push((stream, ProcessingResponse::decode(&payload[5..]).unwrap()));
                    }
                    _ => {}
                }
            }
        }
        answers
    }

    fn next_frame(&mut self) -> Option<(u8, u8, u32, BytesMut)> {
        let mut head = self.frames.get(..9)?;
        let (length, kind, flags, stream) =
            (head.get_uint(3) as usize, head.get_u8(), head.get_u8(), head.get_u32());
        if self.frames.len() < 9 + length {
            return None;
        }
        let mut frame = self.frames.split_to(9 + length);
        frame.advance(9);
        Some((kind, flags, stream, frame))
    }
}

#[tokio::test]
async fn refusals_within_bodies_leave_the_connection_to_the_others() {
    // Without a strategy every request is refused, and the stream that was there before lives on.
    let picker = Picker::start(Fixture::new(None, &["10.0.0.1:8000"])).await;
    let mut gateway = Gateway::connect(&picker).await;
    let living = 1;
    gateway.open(living, &response_headers("text/plain", false));
    assert_eq!(gateway.answers(1).await, [(living, go_on_response_headers())]);

    let streams = || (1..=REFUSED).map(|n| 2 * n + 1);
    for stream in streams() {
        gateway.open(stream, &first(chat(), false, FullDuplexStreamed, NoBody));
    }
    for (stream, answer) in gateway.answers(REFUSED as usize).await {
        assert!(matches!(answer.response, Some(Response::ImmediateResponse(_))), "{stream}: {answer:?}");
    }
    for end in [0, END_STREAM] {
        streams().for_each(|stream| gateway.message(stream, &body("more", end == END_STREAM), end));
    }
    gateway.message(living, &response_body("token", true), END_STREAM);
    assert_eq!(gateway.answers(1).await, [(living, echo_response("token", true))]);
}
