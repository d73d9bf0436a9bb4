//! Parsers: plugins that say which formats of requests are read. What the formats are is in [`crate::parse`].

use crate::parse::Parser;
use crate::plugin::Plugin;

room! {
    anthropic::AnthropicParser,
    openai::OpenAiParser,
    passthrough::PassthroughParser,
    sglanghttp::SglangHttpParser,
    vertexai::VertexAiParser,
    vllmgrpc::VllmGrpcParser,
    vllmhttp::VllmHttpParser,
}

/// The parser of a type.
pub(crate) fn of_type(kind: &str) -> Option<Parser> {
    Some(match kind {
        AnthropicParser::TYPE => Parser::Anthropic,
        OpenAiParser::TYPE => Parser::OpenAi,
        PassthroughParser::TYPE => Parser::Passthrough,
        SglangHttpParser::TYPE => Parser::SglangHttp,
        VertexAiParser::TYPE => Parser::VertexAi,
        VllmGrpcParser::TYPE => Parser::VllmGrpc,
        VllmHttpParser::TYPE => Parser::VllmHttp,
        _ => return None,
    })
}
