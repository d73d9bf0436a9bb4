//! Bodies that come in another form than plugins read: they are read for the decision, and go on as they came.

use bytes::Bytes;
use picker_proto::HeaderMap;
use picker_proto::processing_mode::BodySendMode::{Buffered, FullDuplexStreamed, None as NoBody};
use rstest::rstest;

use super::client::Picker;
use super::client::Step::{Get, Send};
use super::words::*;
use super::{Fixture, by_adapter};
use crate::exchange::BodyBudget;

const RED: &str = "10.0.0.1:8000";
const BLUE: &str = "10.0.0.2:8000";

/// Plays a chat with these headers in addition and this body, which has to go to the endpoint with the adapter `blue`, and
/// to go on byte by byte.
async fn goes_to_blue(headers: &[(&'static str, &'static str)], bytes: Bytes) {
    let fixture = Fixture::new(Some(by_adapter()), &[RED, BLUE]);
    // Room for what decompression takes.
    let fixture = fixture.limited(|limits| limits.budget = BodyBudget::new(8 << 20));
    let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    let chat = || {
        let mut all = chat();
        all.headers.extend(HeaderMap::from_iter(headers.iter().copied()).headers);
        all
    };
    let (start, rest) = (bytes.slice(..bytes.len() / 2), bytes.slice(bytes.len() / 2..));
    // What is not read goes to either of them.
    for _ in 0..8 {
        picker
            .play(vec![
                Send(first(chat(), false, FullDuplexStreamed, NoBody)),
                Send(body(start.clone(), false)),
                Send(body(rest.clone(), true)),
                Get(blue.in_headers()),
                Get(echo(bytes.clone(), true)),
            ])
            .await;
    }
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            Send(body(bytes, true)),
            Get(blue.in_body()),
        ])
        .await;
}

fn text() -> String {
    String::from_utf8(ask("blue").to_vec()).unwrap()
}

#[rstest]
#[case::utf_16_le(text().encode_utf16().flat_map(u16::to_le_bytes).collect())]
#[case::utf_16_be(text().encode_utf16().flat_map(u16::to_be_bytes).collect())]
#[case::utf_16_le_mark(format!("\u{feff}{}", text()).encode_utf16().flat_map(u16::to_le_bytes).collect())]
#[case::utf_16_be_mark(format!("\u{feff}{}", text()).encode_utf16().flat_map(u16::to_be_bytes).collect())]
#[case::utf_32_le(text().chars().flat_map(|c| u32::from(c).to_le_bytes()).collect())]
#[case::utf_32_be(text().chars().flat_map(|c| u32::from(c).to_be_bytes()).collect())]
#[case::utf_32_le_mark(format!("\u{feff}{}", text()).chars().flat_map(|c| u32::from(c).to_le_bytes()).collect())]
#[case::utf_32_be_mark(format!("\u{feff}{}", text()).chars().flat_map(|c| u32::from(c).to_be_bytes()).collect())]
#[case::utf_8_mark(format!("\u{feff}{}", text()).into_bytes())]
#[case::nan(text().replace("}]}", "}],\"temperature\":NaN,\"top_p\":-Infinity}").into_bytes())]
#[tokio::test]
async fn every_encoding_that_engines_take_is_read(#[case] bytes: Vec<u8>) {
    goes_to_blue(&[], bytes.into()).await;
}

#[tokio::test]
async fn a_long_body_in_a_wide_encoding_is_read_to_its_end() {
    let long = format!(r#"{{"messages":[{{"content":"{}"}}],"model":"blue"}}"#, "é".repeat(40_000));
    let bytes: Vec<u8> = long.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let fixture = Fixture::new(Some(by_adapter()), &[RED, BLUE]);
    let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    picker
        .play(vec![
            Send(first(chat(), false, Buffered, NoBody)),
            Get(go_on_headers()),
            Send(body(bytes, true)),
            Get(blue.in_body()),
        ])
        .await;
}

/// A frame of zstd with one block, whose bytes stand there as they are (RFC 8878, section 3.1.1).
fn stored_zstd(text: &[u8]) -> Bytes {
    let length = u8::try_from(text.len()).unwrap();
    let [low, high, ..] = (u32::from(length) << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, length, low, high, 0], text].concat().into()
}

#[tokio::test]
async fn a_compressed_body_is_read_and_goes_on_as_it_came() {
    goes_to_blue(&[("content-encoding", "gzip")], gzipped(text().as_bytes())).await;
    goes_to_blue(&[("content-encoding", "zstd")], stored_zstd(text().as_bytes())).await;
    let twice = gzipped(&gzipped(text().as_bytes()));
    goes_to_blue(&[("content-encoding", "gzip, gzip")], twice.clone()).await;
    goes_to_blue(&[("content-encoding", "gzip"), ("content-encoding", "gzip")], twice).await;
}

/// What can't be read is no reason to refuse a request.
#[rstest]
#[case::broken_json("gzip", gzipped(b"{\"model\":"))]
#[case::no_gzip("gzip", Bytes::from_static(b"{\"model\":1}"))]
#[case::unknown("compress", Bytes::from_static(b"{\"model\":1}"))]
#[tokio::test]
async fn a_compressed_body_is_never_refused(#[case] encoding: &'static str, #[case] bytes: Bytes) {
    let fixture = Fixture::new(Some(by_adapter()), &[BLUE]);
    let only = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    let mut headers = chat();
    headers.headers.extend(HeaderMap::from_iter([("content-encoding", encoding)]).headers);
    picker
        .play(vec![
            Send(first(headers, false, FullDuplexStreamed, NoBody)),
            Send(body(bytes.clone(), true)),
            Get(only.in_headers()),
            Get(echo(bytes, true)),
        ])
        .await;
}

/// A field of a message of Protocol Buffers with these bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

fn message(compressed: bool, bytes: &[u8]) -> Vec<u8> {
    [&[u8::from(compressed)][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

#[tokio::test]
async fn a_compressed_message_of_grpc_is_read_and_goes_on_as_it_came() {
    let path = "/google.cloud.aiplatform.v1beta1.PredictionService/ChatCompletions";
    let chat = field(2, &field(2, text().as_bytes()));
    let headers = [(":path", path), ("content-type", "application/grpc"), ("grpc-encoding", "gzip"), ID];
    for bytes in [message(false, &chat), message(true, &gzipped(&chat))] {
        let fixture = Fixture::new(Some(by_adapter()), &[RED, BLUE]);
        let fixture = fixture.limited(|limits| limits.budget = BodyBudget::new(8 << 20));
        let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
        let picker = Picker::start(fixture).await;
        let (start, rest) = bytes.split_at(bytes.len() / 2);
        for _ in 0..8 {
            picker
                .play(vec![
                    Send(first(HeaderMap::from_iter(headers), false, FullDuplexStreamed, NoBody)),
                    Send(body(start.to_vec(), false)),
                    // The message is there, and no more of the body is waited for.
                    Send(body(rest.to_vec(), false)),
                    Get(blue.in_headers()),
                    Get(echo(bytes.clone(), false)),
                    Send(body("another", true)),
                    Get(echo("another", true)),
                ])
                .await;
        }
    }
}

#[tokio::test]
async fn of_a_form_the_model_is_read_and_the_file_is_not_waited_for() {
    let path = "/v1/audio/transcriptions";
    let headers = [
        (":path", path),
        ("content-type", "multipart/form-data; boundary=b"),
        ("content-length", "40000000"),
        ID,
    ];
    let part = "--b\r\ncontent-disposition: form-data; name=model\r\n\r\nblue\r\n--b\r\ncontent-disposition: form-data";
    let fixture = Fixture::new(Some(by_adapter()), &[RED, BLUE]);
    // It is longer than what would be refused, if it were JSON.
    let fixture = fixture.limited(|limits| limits.refuse_longer = true);
    let blue = Routed { destination: BLUE, revision: fixture.revision(), removed: Vec::new() };
    let picker = Picker::start(fixture).await;
    for _ in 0..8 {
        picker
            .play(vec![
                Send(first(HeaderMap::from_iter(headers), false, FullDuplexStreamed, NoBody)),
                Send(body(part, false)),
                Get(blue.in_headers()),
                Get(echo(part, false)),
                Send(body("; name=file; filename=a\r\n\r\n", true)),
                Get(echo("; name=file; filename=a\r\n\r\n", true)),
            ])
            .await;
    }
}
