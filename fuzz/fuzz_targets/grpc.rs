//! Whatever bytes are given for messages of gRPC: what is read of them lies in them, tokens are whole, and of the first message
//! a body that has more behind it says the same.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use picker_core::parse::grpc::frames;
use picker_core::parse::{Formats, media::media};
use picker_core::request::{Headers, ModelPlace, Request, Text};

const PATHS: [&str; 5] = [
    "/vllm.grpc.engine.VllmEngine/Generate",
    "/vllm.grpc.engine.VllmEngine/Embed",
    "/google.cloud.aiplatform.v1beta1.PredictionService/ChatCompletions",
    "/google.cloud.aiplatform.v1.PredictionService/RawPredict",
    "/google.cloud.aiplatform.v1.PredictionService/StreamRawPredict",
];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, body)) = input.split_first() else { return };
    let path = PATHS[usize::from(choice) % PATHS.len()];
    let headers = [(":path", path), ("content-type", "application/grpc")];
    let headers = Headers(headers.map(|(name, value)| (Bytes::from(name), Bytes::from(value))).into());

    let content = Formats::ALL.parse(&headers, body).expect("messages are never refused");
    assert_eq!(content, Formats::ALL.parse_beginning(&headers, body));
    assert_eq!(content.model_place, ModelPlace::Fixed);
    assert!(content.packed_tokens <= content.prompt.len() && content.prompt.len() <= 64 * 2);
    for (i, part) in content.prompt.iter().enumerate() {
        let part = &body[part.clone()];
        assert!(!part.is_empty());
        if i < content.packed_tokens {
            assert!(part.last().is_some_and(|last| *last < 0x80));
        }
    }
    for text in [&content.model, &content.cache_salt].into_iter().flatten() {
        if let Text::Plain(range) = text {
            assert!(range.end <= body.len());
        }
    }

    let mut at = 0;
    for frame in frames(body) {
        assert_eq!(frame.message.start, at + 5);
        at = frame.message.end;
    }
    assert!(at <= body.len());
    if let Some(first) = frames(body).next().filter(|first| first.is_whole) {
        assert!(Formats::ALL.is_enough(&headers, &body[..first.message.end]));
        assert!(
            first.message.is_empty() || !Formats::ALL.is_enough(&headers, &body[..first.message.end - 1])
        );
    }

    let request = Request { headers, body: Bytes::copy_from_slice(body), content, ..Request::default() };
    for item in media(&request) {
        assert!(item.part.end <= body.len() && item.content.end <= body.len());
    }
    assert!(request.model().is_none_or(|model| model.len() <= body.len()));
});
