//! Hand-made connections read by `h2`, whose HPACK decoder and URI parser are the ones that matter.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::encoder::{Coding, Field, Frame, Kind, Name, block, data, frames, literal, settings};
use crate::authority::AuthorityRepair;
use crate::authority::frames::PREFACE;

const ISTIO: &[u8] = b"outbound|9002||picker.ns.svc.cluster.local";

/// What `h2` makes of a client's bytes: authority and headers of the first `count` requests, in order.
async fn served(bytes: Vec<u8>, count: usize, pipe: usize) -> Vec<(String, HeaderMap)> {
    let (mut client, server) = tokio::io::duplex(pipe);
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let sends = async {
        // The server hangs up when it has what it wants.
        if writer.write_all(&bytes).await.is_ok() {
            let _ = reader.read_to_end(&mut Vec::new()).await;
        }
    };
    let serves = async {
        let mut connection = h2::server::handshake(AuthorityRepair::new(server)).await.unwrap();
        let mut requests = Vec::new();
        while requests.len() < count {
            let Some(Ok((request, _))) = connection.accept().await else { break };
            let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            requests.push((authority, request.headers().clone()));
        }
        requests
    };
    let serves = tokio::time::timeout(Duration::from_secs(20), serves);
    tokio::join!(sends, serves).1.expect("every request is accepted")
}

/// The fields of a request before its own headers: POST, http, / and this authority.
fn request(authority: Field, headers: impl IntoIterator<Item = Field>) -> Vec<Field> {
    [Field::Static(3), Field::Static(6), Field::Static(4), authority].into_iter().chain(headers).collect()
}

fn connection(requests: &[(Vec<Field>, Frame)]) -> Vec<u8> {
    let mut bytes = [PREFACE, &settings()].concat();
    for (n, (fields, layout)) in requests.iter().enumerate() {
        bytes.extend(frames(1 + 2 * n as u32, &block(fields), layout));
        bytes.extend(data(1 + 2 * n as u32, b"|"));
    }
    bytes
}

#[tokio::test]
async fn h2_refuses_the_authority_without_the_adapter() {
    let bytes = connection(&[(request(literal(":authority", ISTIO, Coding::Huffman), []), Frame::default())]);
    let (mut client, server) = tokio::io::duplex(1 << 16);
    client.write_all(&bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let mut connection = h2::server::handshake(server).await.unwrap();
    assert!(!matches!(connection.accept().await, Some(Ok(_))));
}

#[tokio::test]
async fn two_hundred_traced_streams_of_one_istio_connection() {
    // A table of 4,096 bytes holds 39 traceparents: after so many, a client must send its authority anew.
    let mut requests = Vec::new();
    let mut in_table = None;
    for n in 0..200u32 {
        let authority = match in_table {
            Some(index) if index < 62 + 39 => Field::Static(index),
            _ => {
                in_table = Some(61);
                literal(":authority", ISTIO, Coding::Huffman)
            }
        };
        let trace = format!("00-{n:032x}-00f067aa0ba902b7-01");
        let pipes = Field::Literal(
            Kind::Never,
            Name::Spelled("x".into(), Coding::Plain),
            b"a|b".into(),
            Coding::Plain,
        );
        requests.push((
            request(authority, [literal("traceparent", trace.as_bytes(), Coding::Huffman), pipes]),
            Frame::default(),
        ));
        in_table = in_table.map(|index| index + 1 + usize::from(index == 61));
    }
    let seen = served(connection(&requests), 200, 700).await;
    assert_eq!(seen.len(), 200);
    for (n, (authority, headers)) in seen.iter().enumerate() {
        assert_eq!(authority, "outbound+9002++picker.ns.svc.cluster.local", "stream {n}");
        assert_eq!(headers["traceparent"], format!("00-{n:032x}-00f067aa0ba902b7-01"));
        assert_eq!(headers["x"], "a|b");
    }
}

#[test]
fn h2_reads_every_encoding_of_every_value() {
    let name = prop::sample::select(&b"abc.-:09|+_~"[..]);
    // No userinfo or port: `h2` has rules of its own for what is around `@` and `:`.
    let name = name.prop_filter("no colon", |octet| *octet != b':');
    let authority = prop::collection::vec(name, 1..40).prop_map(|name| [b"a", &name[..]].concat());
    let value = prop::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff], 1..60)
        .prop_map(|value| [b"<", &value[..], b">"].concat());
    let coding = || prop_oneof![Just(Coding::Plain), Just(Coding::Huffman)];
    let requests =
        prop::collection::vec((authority, coding(), value, coding(), super::encoder::any_frame()), 1..8);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
    runner
        .run(&(requests, 64usize..4096), |(requests, pipe)| {
            let bytes = connection(
                &requests
                    .iter()
                    .map(|(name, name_coding, value, coding, frame)| {
                        let fields = [literal("x-any", value, *coding)];
                        (request(literal(":authority", name, *name_coding), fields), frame.clone())
                    })
                    .collect::<Vec<_>>(),
            );
            let expected: Vec<(String, HeaderMap)> = requests
                .iter()
                .map(|(name, _, value, _, _)| {
                    let mut headers = HeaderMap::new();
                    headers.insert("x-any", HeaderValue::from_bytes(value).unwrap());
                    (String::from_utf8(name.clone()).unwrap().replace('|', "+"), headers)
                })
                .collect();
            prop_assert_eq!(runtime.block_on(served(bytes, requests.len(), pipe)), expected);
            Ok(())
        })
        .unwrap();
}
