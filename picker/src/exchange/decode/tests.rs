use std::io::Write;

use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures::FutureExt;
use proptest::prelude::*;
use rstest::rstest;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::text::{AMPLE, RATIO, STEP};
use super::*;
use crate::exchange::BodyBudget;

mod memory;

const MAX_BODY: usize = 3 << 19;

pub(super) fn limits(budget: usize) -> Limits {
    Limits {
        max_body: MAX_BODY,
        refuse_longer: false,
        body_timeout: std::time::Duration::from_secs(1),
        subset_filter: true,
        endpoint_scores: false,
        budget: BodyBudget::new(budget),
    }
}

fn headers(encoding: &str) -> Headers {
    let pairs = [("content-type", "application/json"), ("content-encoding", encoding)];
    Headers(pairs.map(|(name, value)| (Bytes::from(name.to_owned()), Bytes::from(value.to_owned()))).into())
}

/// `text` with one more coding.
pub(super) fn packed(name: &str, text: &[u8]) -> Vec<u8> {
    match name {
        "gzip" => {
            let mut out = GzEncoder::new(Vec::new(), Compression::default());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        "deflate" => {
            let mut out = ZlibEncoder::new(Vec::new(), Compression::default());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        "raw" => {
            let mut out = DeflateEncoder::new(Vec::new(), Compression::default());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        "br" => {
            let mut out = Vec::new();
            let params = BrotliEncoderParams { quality: 5, lgwin: 20, ..Default::default() };
            brotli::BrotliCompress(&mut &text[..], &mut out, &params).unwrap();
            out
        }
        "zstd" => compress_to_vec(text, CompressionLevel::Fastest),
        other => panic!("{other}"),
    }
}

/// A frame of zstd with `text` in blocks as they are, as encoders make of what they can't compress: with these fields of its
/// head (RFC 8878, section 3.1.1.1).
fn frame(head: &[u8], text: &[u8]) -> Vec<u8> {
    let mut frame = [&[0x28, 0xb5, 0x2f, 0xfd][..], head].concat();
    let blocks = text.len().div_ceil(zstd::BLOCK).max(1);
    for at in 0..blocks {
        let block = &text[at * zstd::BLOCK..text.len().min((at + 1) * zstd::BLOCK)];
        let last = usize::from(at + 1 == blocks);
        frame.extend(&(block.len() << 3 | last).to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// A frame as it is made of a text whose length is known before: one segment.
fn one_segment(text: &[u8]) -> Vec<u8> {
    frame(&[&[0xa0][..], &(text.len() as u32).to_le_bytes()].concat(), text)
}

/// A frame with a window of 8 MiB.
fn streamed(text: &[u8]) -> Vec<u8> {
    frame(&[0, 0x68], text)
}

/// A frame that has nothing to do with the text.
const SKIPPED: &[u8] = &[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];

/// What is made of `body`, and how many bytes of the budget it takes then.
async fn decoded(encoding: &str, body: &[u8], budget: usize) -> (Decoded, usize) {
    let limits = limits(budget);
    let mut held = limits.budget.share();
    let (headers, body) = (headers(encoding), Bytes::copy_from_slice(body));
    assert!(is_needed(&headers, &body));
    let decoded = decode(&headers, &body, &limits, &mut held).await;
    (decoded, held.taken())
}

pub(super) const BUDGET: usize = 128 << 20;

fn chat(length: usize) -> Vec<u8> {
    let words: String = (0..length / 8).map(|n| format!("w{:06} ", n * 7919 % 999_983)).collect();
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{words}"}}]}}"#).into_bytes()
}

fn whole(text: &[u8]) -> Decoded {
    Decoded { text: Bytes::copy_from_slice(text), partial: false }
}

#[rstest]
#[tokio::test]
async fn every_coding_is_undone(
    #[values("gzip", "deflate", "br", "zstd")] name: &str,
    #[values(0, 100, 100_000, 1_200_000)] length: usize,
) {
    let text = chat(length);
    let (decoded, taken) = decoded(name, &packed(name, &text), BUDGET).await;
    assert_eq!(decoded, whole(&text));
    assert!((text.len()..=2 * text.len() + STEP).contains(&taken), "{taken} for {}", text.len());
}

#[tokio::test]
async fn deflate_may_come_without_the_format_of_zlib() {
    let text = chat(50_000);
    assert_eq!(decoded("deflate", &packed("raw", &text), BUDGET).await.0, whole(&text));
}

#[tokio::test]
async fn several_codings_are_undone_from_the_last_to_the_first() {
    let text = chat(200_000);
    let body = packed("br", &packed("gzip", &text));
    assert_eq!(decoded("gzip, br", &body, BUDGET).await.0, whole(&text));
    assert_eq!(decoded("gzip, identity, br", &body, BUDGET).await.0, whole(&text));
    assert_eq!(decoded("br, gzip", &body, BUDGET).await.0, Decoded { text: Bytes::new(), partial: true });
    let body = packed("zstd", &packed("deflate", &packed("gzip", &text)));
    assert_eq!(decoded("gzip, deflate, zstd", &body, BUDGET).await.0, whole(&text));
}

#[tokio::test]
async fn members_of_a_gzip_file_are_one_text() {
    let text = chat(10_000);
    let (start, rest) = text.split_at(4000);
    let body = [packed("gzip", start), packed("gzip", b""), packed("gzip", rest)].concat();
    assert_eq!(decoded("gzip", &body, BUDGET).await.0, whole(&text));
    // No text is worth so many.
    let many = packed("gzip", b"").repeat(100_000);
    assert_eq!(decoded("gzip", &many, BUDGET).await.0, Decoded { text: Bytes::new(), partial: true });
}

#[rstest]
#[tokio::test]
async fn of_the_beginning_of_a_body_the_beginning_of_its_text_is_made(
    #[values("gzip", "deflate", "br", "zstd")] name: &str,
) {
    let text = chat(1_000_000);
    let body = packed(name, &text);
    let (decoded, _) = decoded(name, &body[..body.len() / 2], BUDGET).await;
    assert!(decoded.partial);
    assert!(text.starts_with(&decoded.text));
    assert!(decoded.text.len() > text.len() / 4, "{} of {}", decoded.text.len(), text.len());
}

#[rstest]
#[tokio::test]
async fn a_text_that_is_too_long_is_read_to_the_limit(#[values("gzip", "deflate", "br", "zstd")] name: &str) {
    // By the limit of bodies.
    let text = chat(2 << 20);
    let (made, taken) = decoded(name, &packed(name, &text), BUDGET).await;
    assert_eq!(made, Decoded { text: Bytes::copy_from_slice(&text[..MAX_BODY]), partial: true });
    assert_eq!(taken, MAX_BODY);
    // By the ratio.
    let bomb = packed(name, &vec![b' '; 4 << 20]);
    let most = MAX_BODY.min((bomb.len() * RATIO).max(AMPLE));
    let (made, taken) = decoded(name, &bomb, BUDGET).await;
    assert_eq!((made.text.len(), made.partial, taken), (most, true, most));
    // A text of just that length is whole.
    let text = vec![b' '; AMPLE];
    assert_eq!(decoded(name, &packed(name, &text), BUDGET).await.0, whole(&text));
}

#[rstest]
#[case("gzip", 2 << 20)]
#[case("deflate", 2 << 20)]
#[case("br", 7 << 20)]
#[case("zstd", 7 << 20)]
#[tokio::test]
async fn a_text_takes_no_more_than_the_budget_has(#[case] name: &str, #[case] budget: usize) {
    let text = chat(1_500_000);
    let (made, taken) = decoded(name, &packed(name, &text), budget).await;
    assert!(made.partial || made.text.len() == text.len());
    assert!(made.text.len() > 1 << 16 && text.starts_with(&made.text));
    assert!((made.text.len()..budget).contains(&taken), "{taken}");
    let (made, taken) = decoded(name, &packed(name, &text), 1000).await;
    assert_eq!((made, taken), (Decoded { text: Bytes::new(), partial: true }, 0));
}

#[rstest]
#[tokio::test]
async fn what_zstd_keeps_until_the_end_of_a_frame_is_read(
    #[values(one_segment, streamed)] framed: fn(&[u8]) -> Vec<u8>,
) {
    let text = chat(1_200_000);
    let body = framed(&text);
    assert_eq!(decoded("zstd", &body, BUDGET).await.0, whole(&text));
    assert_eq!(decoded("zstd, gzip", &packed("gzip", &body), BUDGET).await.0, whole(&text));
    assert_eq!(decoded("zstd, zstd", &framed(&body), BUDGET).await.0, whole(&text));
    // One that breaks off, by its end or by a block of no kind, gives the blocks before.
    let at = text.len() / 2;
    let blocks = at / zstd::BLOCK * zstd::BLOCK;
    let beginning = Decoded { text: Bytes::copy_from_slice(&text[..blocks]), partial: true };
    assert_eq!(decoded("zstd", &body[..at], BUDGET).await.0, beginning);
    let head = body.len() - text.len() - 3 * text.len().div_ceil(zstd::BLOCK);
    let broken = [&body[..head + blocks + 3 * blocks / zstd::BLOCK], &[7; 100]].concat();
    assert_eq!(decoded("zstd", &broken, BUDGET).await.0, beginning);
}

#[tokio::test]
async fn frames_of_zstd_are_one_text() {
    let text = chat(300_000);
    let (start, rest) = text.split_at(200_000);
    let parts: [&[u8]; 5] = [SKIPPED, &streamed(start), SKIPPED, &one_segment(b""), &one_segment(rest)];
    assert_eq!(decoded("zstd", &parts.concat(), BUDGET).await.0, whole(&text));
    // What follows is no frame, or its window is longer than that of the first.
    let beginning = |text: &[u8]| Decoded { text: Bytes::copy_from_slice(text), partial: true };
    let body = [&one_segment(&text)[..], b"more of it"].concat();
    assert_eq!(decoded("zstd", &body, BUDGET).await.0, beginning(&text));
    let body = [one_segment(b"short"), streamed(&text)].concat();
    assert_eq!(decoded("zstd", &body, BUDGET).await.0, beginning(b"short"));
    // No text is worth so many.
    let many = one_segment(b"").repeat(1000);
    assert_eq!(decoded("zstd", &many, BUDGET).await.0, beginning(b""));
}

#[tokio::test]
async fn others_have_their_turn_while_nothing_comes_out() {
    // Blocks of one byte, repeated: few bytes that fill the window.
    let block = |last: usize| (zstd::BLOCK << 3 | 2 | last).to_le_bytes()[..3].to_vec();
    let blocks = [block(0), vec![b' ']].concat().repeat(64);
    let body = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x68][..], &blocks, &block(1), b" "].concat();
    let turns = turns("zstd", body).await;
    assert!(turns >= 32 + AMPLE / STEP, "{turns}");
}

#[tokio::test]
async fn others_have_their_turn_while_blocks_without_content_are_read() {
    let turns = turns("deflate", [0, 0, 0, 0xff, 0xff].repeat(400_000)).await;
    assert!(turns >= 4, "{turns}");
}

/// How often others have their turn while a text is made.
async fn turns(encoding: &str, body: Vec<u8>) -> usize {
    let (limits, body) = (limits(BUDGET), Bytes::from(body));
    let (mut held, headers) = (limits.budget.share(), headers(encoding));
    let mut decoding = Box::pin(decode(&headers, &body, &limits, &mut held));
    let mut turns = 0;
    while decoding.as_mut().now_or_never().is_none() {
        turns += 1;
        tokio::task::yield_now().await;
    }
    turns
}

#[tokio::test]
async fn blocks_without_content_are_not_read_for_long() {
    // Stored blocks of no bytes.
    let empty = [0, 0, 0, 0xff, 0xff].repeat(400_000);
    let (made, _) = decoded("deflate", &empty, BUDGET).await;
    assert_eq!(made, Decoded { text: Bytes::new(), partial: true });
    // The same behind another coding, where few bytes of the body are many of them.
    let (made, _) = decoded("deflate, gzip", &packed("gzip", &empty), BUDGET).await;
    assert_eq!(made, Decoded { text: Bytes::new(), partial: true });
}

#[rstest]
#[case::no_gzip("gzip", b"{\"model\":\"m\"}")]
#[case::no_zstd("zstd", b"{\"model\":\"m\"}")]
#[case::no_brotli("br", b"{\"model\":\"m\"}")]
#[case::large_brotli_window("br", b"\x11\x1e\x00")]
#[case::large_zstd_window("zstd", b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00")]
#[case::skippable_frame("zstd", b"\x50\x2a\x4d\x18\x00\x00\x00\x00")]
#[tokio::test]
async fn of_what_is_none_nothing_is_made(#[case] name: &str, #[case] body: &[u8]) {
    assert_eq!(decoded(name, body, BUDGET).await.0, Decoded { text: Bytes::new(), partial: true });
}

#[tokio::test]
async fn others_have_their_turn_while_a_long_text_is_made() {
    let turns = turns("gzip", packed("gzip", &chat(1_000_000))).await;
    assert!(turns >= 1_000_000 / STEP, "{turns}");
}

#[tokio::test]
async fn a_compressed_body_may_be_in_another_encoding_too() {
    let text = chat(1000);
    let wide: Vec<u8> =
        std::str::from_utf8(&text).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(decoded("zstd", &packed("zstd", &wide), BUDGET).await.0, whole(&text));
}

#[test]
fn only_what_may_be_json_is_decoded() {
    let of = |kind: Option<&'static str>, encoding: &'static str| {
        let kind = kind.map(|kind| ("content-type", kind));
        let pairs = kind.into_iter().chain([("content-encoding", encoding)]);
        Headers(pairs.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).collect())
    };
    let needed = |kind, encoding| is_needed(&of(kind, encoding), b"\x1f\x8b");
    assert!(
        [Some("application/json; charset=utf-8"), Some("text/plain"), None]
            .map(|k| needed(k, "gzip"))
            .iter()
            .all(|n| *n)
    );
    assert!(needed(Some("multipart/form-data; boundary=x"), "gzip"));
    assert!(!needed(Some("multipart/mixed; boundary=x"), "gzip"));
    assert!(!needed(Some("application/octet-stream"), "br"));
    assert!(!needed(Some("application/json"), "identity"));
    assert!(!needed(Some("application/json"), "compress"));
    assert!(!is_needed(&of(None, "gzip"), b""));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_take_more_than_they_may(
        name in prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "br, gzip"]),
        text in prop::collection::vec(any::<u8>(), 0..3000),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise: bool,
    ) {
        let last = name.rsplit(", ").next().unwrap();
        let mut body = if noise { text } else { packed(last, &text) };
        for (at, byte) in flips {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        if !body.is_empty() {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (made, taken) = runtime.block_on(decoded(name, &body, BUDGET));
            prop_assert!(made.text.len() <= AMPLE);
            prop_assert!(taken <= 4 * AMPLE);
        }
    }
}
