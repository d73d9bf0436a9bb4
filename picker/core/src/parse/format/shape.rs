//! What a format is.

use crate::parse::parser::Parser;

/// A field of the top level that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Field {
    Model,
    CacheSalt,
    ExtraKey,
    Stream,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    SamplingParams,
    Tools,
    System,
    Instructions,
    Messages,
    Input,
    Prompt,
    InputIds,
    TokenIds,
    Text,
    Items,
    Query,
    Queries,
    Documents,
    Texts,
    Text1,
    Text2,
    Data1,
    Data2,
}

impl Field {
    pub const COUNT: usize = Self::Data2 as usize + 1;

    /// The field called `name`. It is asked of every field of a body.
    #[inline]
    pub fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"cache_salt" => Self::CacheSalt,
            b"extra_key" => Self::ExtraKey,
            b"stream" => Self::Stream,
            b"max_tokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"max_output_tokens" => Self::MaxOutputTokens,
            b"sampling_params" => Self::SamplingParams,
            b"tools" => Self::Tools,
            b"system" => Self::System,
            b"instructions" => Self::Instructions,
            b"messages" => Self::Messages,
            b"input" => Self::Input,
            b"prompt" => Self::Prompt,
            b"input_ids" => Self::InputIds,
            b"token_ids" => Self::TokenIds,
            b"text" => Self::Text,
            b"items" => Self::Items,
            b"query" => Self::Query,
            b"queries" => Self::Queries,
            b"documents" => Self::Documents,
            b"texts" => Self::Texts,
            b"text_1" => Self::Text1,
            b"text_2" => Self::Text2,
            b"data_1" => Self::Data1,
            b"data_2" => Self::Data2,
            _ => return None,
        })
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Body {
    /// As a JSON object.
    Json,
    /// As a form (`multipart/form-data`), of which the model alone is read; or as a JSON object.
    Form,
    /// As messages of gRPC.
    Grpc(Message),
}

/// A message of gRPC that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Message {
    /// `vllm.grpc.engine.GenerateRequest`.
    VllmGenerate,
    /// `vllm.grpc.engine.EmbedRequest`.
    VllmEmbed,
    /// A request of Vertex AI's PredictionService around a JSON object.
    Vertex,
}

/// For what a body that claims to be JSON is refused: for what every engine refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Refused {
    /// Nothing.
    Nothing,
    /// When it is no JSON object. There are engines that read no `model`, whatever it is.
    NoJson,
    /// When it is no JSON object, or its `model` is no text.
    NoJsonOrModel,
}

/// What a path's requests look like.
#[derive(Debug)]
pub(in crate::parse) struct Format {
    /// The last segments of the path.
    pub path: &'static str,
    /// Whether it is all of the path.
    pub exact: bool,
    /// The parser that has it.
    pub parser: Parser,
    pub body: Body,
    pub refused: Refused,
    /// The fields that make the prompt, in the order in which engines' templates put them; none of requests that compute
    /// nothing which a cache would keep.
    pub prompt: &'static [Field],
    /// Those that limit the output, the one that counts most first.
    pub limits: &'static [Field],
    /// The field of the salt that keeps caches apart.
    pub salt: Field,
    /// Whether requests are those of Anthropic's Messages API, of which engines leave out parts.
    pub anthropic: bool,
    pub rewrite: Rewrite,
}

/// Where another model can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Rewrite {
    /// Nowhere: the API has no `model`.
    Never,
    /// In the place of one that is there: what the API has is not known.
    There,
    /// Also in an object that has none.
    Anywhere,
}

impl Format {
    /// Whether requests to `path` (without a query) have it.
    pub fn is_for(&self, path: &str) -> bool {
        path.ends_with(self.path) && (!self.exact || path.len() == self.path.len())
    }
}
