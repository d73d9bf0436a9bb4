//! The table of formats.
//!
//! The longest path that fits counts. Paths are looked through in their order, so the longer of two of which one ends with
//! the other comes first; else the more frequent ones do.

use super::shape::{Body, Field, Format, Message, Refused, Rewrite};
use crate::parse::parser::Parser;

/// A request with a prompt under the APIs that most engines have.
const fn json(parser: Parser, path: &'static str, prompt: &'static [Field]) -> Format {
    Format {
        path,
        exact: false,
        parser,
        body: Body::Json,
        refused: Refused::NoJsonOrModel,
        prompt,
        limits: &[],
        salt: Field::CacheSalt,
        anthropic: false,
        rewrite: Rewrite::Anywhere,
    }
}

/// The same, with the fields that limit the output.
const fn limited(
    parser: Parser,
    path: &'static str,
    prompt: &'static [Field],
    limits: &'static [Field],
) -> Format {
    Format { limits, ..json(parser, path, prompt) }
}

/// A request to endpoints of which some engines read no `model`.
const fn lenient(parser: Parser, path: &'static str, prompt: &'static [Field]) -> Format {
    Format { refused: Refused::NoJson, ..json(parser, path, prompt) }
}

/// A request of OpenAI's API that has no `model`.
const fn without_model(path: &'static str, prompt: &'static [Field]) -> Format {
    Format { rewrite: Rewrite::Never, ..lenient(Parser::OpenAi, path, prompt) }
}

/// A request of an API that is not known, which may have any prompt.
const fn any(parser: Parser, path: &'static str) -> Format {
    Format {
        refused: Refused::Nothing,
        rewrite: Rewrite::There,
        ..limited(parser, path, ANY_PROMPT, ANY_LIMIT)
    }
}

/// A form with a file.
const fn form(path: &'static str, prompt: &'static [Field]) -> Format {
    Format { body: Body::Form, refused: Refused::Nothing, ..json(Parser::OpenAi, path, prompt) }
}

/// Messages of gRPC.
const fn grpc(
    parser: Parser,
    path: &'static str,
    message: Message,
    prompt: &'static [Field],
    limits: &'static [Field],
) -> Format {
    Format { body: Body::Grpc(message), refused: Refused::Nothing, ..limited(parser, path, prompt, limits) }
}

const ANY_PROMPT: &[Field] =
    &[Field::Tools, Field::System, Field::Instructions, Field::Messages, Field::Input, Field::Prompt];
const ANY_LIMIT: &[Field] = &[Field::MaxCompletionTokens, Field::MaxOutputTokens, Field::MaxTokens];
const CHAT_LIMITS: &[Field] = &[Field::MaxCompletionTokens, Field::MaxTokens];
const CHAT_PROMPT: &[Field] = &[Field::Tools, Field::Messages];

/// The formats. The first that fits counts.
pub(in crate::parse) const FORMATS: &[Format] = &[
    limited(Parser::OpenAi, "/chat/completions", CHAT_PROMPT, CHAT_LIMITS),
    limited(Parser::OpenAi, "/completions", &[Field::Prompt], &[Field::MaxTokens]),
    // vLLM embeds conversations too.
    json(Parser::OpenAi, "/embeddings", &[Field::Messages, Field::Input]),
    limited(
        Parser::OpenAi,
        "/responses",
        &[Field::Tools, Field::Instructions, Field::Input],
        &[Field::MaxOutputTokens],
    ),
    Format {
        anthropic: true,
        ..limited(
            Parser::Anthropic,
            "/v1/messages",
            &[Field::Tools, Field::System, Field::Messages],
            &[Field::MaxTokens],
        )
    },
    // Requests that compute no token leave nothing in a cache, and nothing in one makes them faster.
    json(Parser::OpenAi, "/chat/completions/render", &[]),
    json(Parser::OpenAi, "/completions/render", &[]),
    json(Parser::Anthropic, "/v1/messages/count_tokens", &[]),
    without_model("/batches", &[]),
    without_model("/conversations", &[Field::Items]),
    json(Parser::OpenAi, "/images/generations", &[Field::Prompt]),
    form("/images/edits", &[Field::Prompt]),
    form("/images/variations", &[]),
    form("/audio/transcriptions", &[]),
    form("/audio/translations", &[]),
    json(Parser::OpenAi, "/audio/speech", &[Field::Instructions, Field::Input]),
    // `/rerank`, `/v1/rerank` and `/v2/rerank` of vLLM, of which SGLang and Text Embeddings Inference have the first or the
    // second, without a `model`. The last calls the documents `texts`.
    lenient(Parser::VllmHttp, "/rerank", &[Field::Query, Field::Documents, Field::Texts]),
    // Each of vLLM's pairs of names, and SGLang's `query` and `items`.
    json(
        Parser::VllmHttp,
        "/score",
        &[
            Field::Text1,
            Field::Data1,
            Field::Queries,
            Field::Query,
            Field::Text2,
            Field::Data2,
            Field::Documents,
            Field::Items,
        ],
    ),
    // SGLang's reads `text` or `input_ids`, and no `model`.
    lenient(Parser::VllmHttp, "/classify", &[Field::Messages, Field::Input, Field::Text, Field::InputIds]),
    json(Parser::VllmHttp, "/pooling", &[Field::Messages, Field::Input]),
    json(Parser::VllmHttp, "/tokenize", &[]),
    json(Parser::VllmHttp, "/detokenize", &[]),
    limited(Parser::VllmHttp, "/inference/v1/generate", &[Field::TokenIds], &[Field::SamplingParams]),
    // SGLang's own. vLLM's example server has a `prompt` and limits of the top level under the same path.
    Format {
        exact: true,
        salt: Field::ExtraKey,
        refused: Refused::NoJson,
        rewrite: Rewrite::Never,
        ..limited(
            Parser::SglangHttp,
            "/generate",
            &[Field::Text, Field::InputIds, Field::Prompt],
            &[Field::SamplingParams, Field::MaxTokens],
        )
    },
    grpc(Parser::VllmGrpc, "/vllm.grpc.engine.VllmEngine/Generate", Message::VllmGenerate, &[], &[]),
    grpc(Parser::VllmGrpc, "/vllm.grpc.engine.VllmEngine/Embed", Message::VllmEmbed, &[], &[]),
    grpc(Parser::VertexAi, ".PredictionService/ChatCompletions", Message::Vertex, CHAT_PROMPT, CHAT_LIMITS),
    grpc(Parser::VertexAi, ".PredictionService/StreamRawPredict", Message::Vertex, ANY_PROMPT, ANY_LIMIT),
    grpc(Parser::VertexAi, ".PredictionService/RawPredict", Message::Vertex, ANY_PROMPT, ANY_LIMIT),
    // The same over HTTP: the JSON object that gRPC has in its message. Chats are under `…/chat/completions`.
    any(Parser::VertexAi, ":streamRawPredict"),
    any(Parser::VertexAi, ":rawPredict"),
];

/// What is looked for under any other path.
pub(in crate::parse) const OTHER: Format = any(Parser::Passthrough, "");
