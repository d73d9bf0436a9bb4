use rstest::rstest;

use super::super::tests::{BUDGET, limits, packed};
use super::super::{decode, is_needed};
use super::*;

fn headers(encoding: &'static str) -> Headers {
    let pairs = [("content-type", "application/grpc"), ("grpc-encoding", encoding)];
    Headers(pairs.map(|(name, value)| (name.into(), value.into())).into())
}

fn frame(compressed: bool, message: &[u8]) -> Vec<u8> {
    [&[u8::from(compressed)][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

fn zipped(encoding: &str, message: &[u8]) -> Vec<u8> {
    frame(true, &packed(encoding, message))
}

async fn decoded(encoding: &'static str, body: Vec<u8>) -> (Decoded, usize) {
    let (headers, body, limits) = (headers(encoding), Bytes::from(body), limits(BUDGET));
    assert!(is_needed(&headers, &body));
    let mut held = limits.budget.share();
    let decoded = decode(&headers, &body, &limits, &mut held).await;
    (decoded, held.taken())
}

fn whole(text: Vec<u8>) -> Decoded {
    Decoded { text: text.into(), partial: false }
}

fn beginning(text: Vec<u8>) -> Decoded {
    Decoded { text: text.into(), partial: true }
}

#[rstest]
#[tokio::test]
async fn messages_are_undone_one_by_one(
    #[values("gzip", "deflate", "br", "zstd")] name: &'static str,
    #[values(1, 100, 300_000)] length: usize,
) {
    let message: Vec<u8> = (0..length).map(|n| (n * 7919 % 251) as u8).collect();
    let body = [zipped(name, &message), frame(false, b"as it is"), zipped(name, b"more")].concat();
    let plain = [frame(false, &message), frame(false, b"as it is"), frame(false, b"more")].concat();
    let (decoded, taken) = decoded(name, body).await;
    assert_eq!(decoded, whole(plain.clone()));
    assert!((plain.len()..=3 * plain.len() + (128 << 10)).contains(&taken), "{taken} for {}", plain.len());
}

#[tokio::test]
async fn what_cannot_be_undone_ends_it() {
    let (first, packed) = (frame(false, b"first"), packed("gzip", &b"second ".repeat(1000)));
    let broken = [first.clone(), frame(true, b"no gzip"), frame(false, b"third")].concat();
    assert_eq!(decoded("gzip", broken).await.0, beginning([first.clone(), frame(false, b"")].concat()));
    // What comes before a cut is read, and a cut within a head is the end.
    let cut = [first.clone(), zipped("gzip", b"second"), vec![1, 0]].concat();
    assert_eq!(decoded("gzip", cut).await.0, whole([first.clone(), frame(false, b"second")].concat()));
    let mut cut = [first.clone(), frame(true, &packed)].concat();
    cut.truncate(first.len() + HEAD + packed.len() - 10);
    let (cut, _) = decoded("gzip", cut).await;
    assert!(
        cut.partial && cut.text.starts_with(&first) && cut.text[first.len() + HEAD..].starts_with(b"second ")
    );
}

#[tokio::test]
async fn a_bomb_makes_no_more_than_other_bodies_may() {
    let bomb = zipped("gzip", &vec![0; 64 << 20]);
    let most = limits(BUDGET).max_body;
    let (text, taken) = decoded("gzip", [bomb.clone(), bomb].concat()).await;
    assert!(text.partial && text.text.len() <= most && taken <= most + (128 << 10), "{taken}");
    // Nor do very many messages, which cost time.
    let (many, _) = decoded("gzip", zipped("gzip", b"").repeat(100_000)).await;
    assert_eq!(many, beginning(frame(false, b"").repeat(MESSAGES)));
    let limits = limits(1 << 10);
    let mut held = limits.budget.share();
    let body = Bytes::from(zipped("gzip", &b"long ".repeat(1000)));
    let nothing = decode(&headers("gzip"), &body, &limits, &mut held).await;
    assert!(nothing.partial && nothing.text.len() <= HEAD);
}

#[test]
fn only_compressed_messages_of_a_known_coding_are_undone() {
    let body = [frame(false, b"a"), frame(true, b"b")].concat();
    let needed = |headers: &Headers, body: &[u8]| is_needed(headers, body);
    assert!(needed(&headers("gzip"), &body));
    assert!(!needed(&headers("gzip"), &frame(false, b"a")));
    assert!(!needed(&headers("identity"), &body) && !needed(&headers("snappy"), &body));
    assert!(!needed(&headers("gzip"), b"") && !needed(&headers("gzip"), b"\x01\0\0"));
    let json = Headers(vec![
        ("content-type".into(), "application/json".into()),
        ("grpc-encoding".into(), "gzip".into()),
    ]);
    assert_eq!(coding(&json, &body), None);
}
