//! However a body arrives, it goes on as it was, to where it asks for.

use bytes::Bytes;
use futures::{StreamExt, stream};
use picker_proto::processing_mode::BodySendMode::FullDuplexStreamed;
use proptest::prelude::*;

use super::words::*;
use super::{Fixture, by_adapter};
use crate::extproc::grpc::process;

/// Cuts `bytes` at these places.
fn cut(bytes: &Bytes, places: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| bytes.slice(pair[0]..pair[1])).collect()
}

proptest! {
    #[test]
    fn any_chunking_gives_one_echo_and_one_pick(
        padding in prop_oneof![0usize..100, 61_000usize..190_000],
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ending in 0..3,
        blue in any::<bool>(),
    ) {
        let (model, destination) = if blue { ("blue", "10.0.0.2:8000") } else { ("red", "10.0.0.1:8000") };
        let content = " ".repeat(padding);
        let sent: Bytes =
            format!(r#"{{"messages":[{{"role":"user","content":"{content}"}}],"model":"{model}"}}"#).into();
        let fixture = Fixture::new(Some(by_adapter()), &["10.0.0.1:8000", "10.0.0.2:8000"]);
        let chunks = cut(&sent, &places);
        let last = chunks.len() - 1;
        let mut messages = vec![first(chat(), false, FullDuplexStreamed, FullDuplexStreamed)];
        messages.extend(chunks.into_iter().enumerate().map(|(n, chunk)| body(chunk, ending == 0 && n == last)));
        match ending {
            0 => {}
            1 => messages.push(body("", true)),
            _ => messages.push(trailers()),
        }
        let answers = process(fixture.pool.clone(), stream::iter(messages.into_iter().map(Ok)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answers: Vec<_> = runtime.block_on(answers.map(Result::unwrap).collect());

        let routed = Routed { destination, revision: fixture.revision(), removed: Vec::new() };
        prop_assert_eq!(&answers[0], &routed.in_headers());
        let by_trailers = ending == 2;
        let end = answers.len() - usize::from(by_trailers);
        if by_trailers {
            prop_assert_eq!(&answers[end], &go_on_trailers());
        }
        let mut seen = Vec::new();
        for (n, answer) in answers[1..end].iter().enumerate() {
            let (piece, ends) = echoed(answer);
            prop_assert!(piece.len() <= 62_000);
            prop_assert_eq!(ends, !by_trailers && n + 2 == end);
            seen.extend_from_slice(&piece);
        }
        prop_assert_eq!(Bytes::from(seen), sent);
        prop_assert_eq!(fixture.in_flight(), [0, 0]);
    }
}
