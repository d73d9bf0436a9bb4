//! Parsers: sets of formats by their names.

/// A set of formats by the name that configurations have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// OpenAI's API.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// What vLLM has beside them over HTTP.
    VllmHttp,
    /// SGLang's own API over HTTP.
    SglangHttp,
    /// vLLM's over gRPC.
    VllmGrpc,
    /// Vertex AI's prediction service, over gRPC and HTTP.
    VertexAi,
    /// None: bodies go on unread.
    Passthrough,
}

impl Parser {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::VllmHttp,
        Self::SglangHttp,
        Self::VllmGrpc,
        Self::VertexAi,
        Self::Passthrough,
    ];
}
