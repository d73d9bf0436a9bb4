use super::*;
use crate::parse::{Formats, Parser};

fn found(formats: Formats, path: &str) -> Option<&'static str> {
    formats.format(path).map(|format| format.path)
}

#[test]
fn paths_are_claimed_by_their_last_segments() {
    let table = [
        ("/v1/chat/completions", "/chat/completions"),
        ("/tenant/openai/v1/chat/completions", "/chat/completions"),
        ("/v1/completions", "/completions"),
        ("/v1/embeddings", "/embeddings"),
        ("/v1/responses", "/responses"),
        ("/v1/messages", "/v1/messages"),
        ("/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/v1/chat/completions/render", "/chat/completions/render"),
        ("/v1/completions/render", "/completions/render"),
        ("/v1/conversations", "/conversations"),
        ("/v1/batches", "/batches"),
        ("/v1/images/generations", "/images/generations"),
        ("/v1/images/edits", "/images/edits"),
        ("/v1/images/variations", "/images/variations"),
        ("/v1/audio/transcriptions", "/audio/transcriptions"),
        ("/v1/audio/translations", "/audio/translations"),
        ("/v1/audio/speech", "/audio/speech"),
        ("/rerank", "/rerank"),
        ("/v1/rerank", "/rerank"),
        ("/v2/rerank", "/rerank"),
        ("/score", "/score"),
        ("/v1/score", "/score"),
        ("/classify", "/classify"),
        ("/pooling", "/pooling"),
        ("/tokenize", "/tokenize"),
        ("/detokenize", "/detokenize"),
        ("/inference/v1/generate", "/inference/v1/generate"),
        ("/generate", "/generate"),
        ("/vllm.grpc.engine.VllmEngine/Generate", "/vllm.grpc.engine.VllmEngine/Generate"),
        ("/vllm.grpc.engine.VllmEngine/Embed", "/vllm.grpc.engine.VllmEngine/Embed"),
        (
            "/google.cloud.aiplatform.v1beta1.PredictionService/ChatCompletions",
            ".PredictionService/ChatCompletions",
        ),
        ("/google.cloud.aiplatform.v1.PredictionService/RawPredict", ".PredictionService/RawPredict"),
        (
            "/google.cloud.aiplatform.v1.PredictionService/StreamRawPredict",
            ".PredictionService/StreamRawPredict",
        ),
        ("/v1/projects/p/locations/l/endpoints/e:rawPredict", ":rawPredict"),
        ("/v1/projects/p/locations/l/publishers/a/models/m:streamRawPredict", ":streamRawPredict"),
        ("/v1beta1/projects/p/locations/l/endpoints/openapi/chat/completions", "/chat/completions"),
    ];
    assert_eq!(table.map(|(path, _)| (path, found(Formats::ALL, path).unwrap())), table);
    let others = [
        "/v1/threads/t/messages",
        "/v1/responses/resp_1",
        "/v1/chatcompletions",
        "/v1/models",
        "/v1/realtime",
        "/mine/generate",
        "/vllm.grpc.engine.VllmEngine/Abort",
        "/google.cloud.aiplatform.v1.PredictionService/StreamDirectRawPredict",
        "completions",
        "",
    ];
    assert_eq!(others.map(|path| found(Formats::ALL, path)), [Some(""); 10]);
}

/// That a path is looked through in its order is the same as that the longest counts.
#[test]
fn no_path_hides_a_longer_one() {
    for (i, format) in FORMATS.iter().enumerate() {
        let hidden = FORMATS[i + 1..].iter().find(|later| format.is_for(later.path));
        assert!(hidden.is_none(), "{} hides {hidden:?}", format.path);
    }
}

#[test]
fn a_strategy_reads_what_its_parsers_have() {
    let paths = [
        "/v1/completions",
        "/v1/messages",
        "/v1/rerank",
        "/generate",
        "/vllm.grpc.engine.VllmEngine/Embed",
        "/e:rawPredict",
        "/other",
    ];
    let read = |formats: Formats| paths.map(|path| found(formats, path).is_some());
    let all = Parser::ALL.map(|parser| read(Formats::of([parser])));
    let only = |at: usize| std::array::from_fn::<_, 7, _>(|i| i == at);
    assert_eq!(all, [only(0), only(1), only(2), only(3), only(4), only(5), [false; 7]]);
    assert_eq!(read(Formats::ALL), [true; 7]);
    let two = Formats::of([Parser::Anthropic, Parser::Passthrough, Parser::OpenAi]);
    assert_eq!(read(two), [true, true, false, false, false, false, false]);
    assert_eq!(
        [Formats::of([Parser::Passthrough]).is_nothing(), Formats::of([]).is_nothing(), two.is_nothing()],
        [true, true, false]
    );
}
