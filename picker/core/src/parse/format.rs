//! The request formats: which paths are claimed, and which fields make the prompt.

/// A field of the top level that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Model,
    CacheSalt,
    Stream,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    Tools,
    System,
    Instructions,
    Messages,
    Input,
    Prompt,
}

impl Field {
    pub const COUNT: usize = Self::Prompt as usize + 1;

    pub fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"model" => Self::Model,
            b"cache_salt" => Self::CacheSalt,
            b"stream" => Self::Stream,
            b"max_tokens" => Self::MaxTokens,
            b"max_completion_tokens" => Self::MaxCompletionTokens,
            b"max_output_tokens" => Self::MaxOutputTokens,
            b"tools" => Self::Tools,
            b"system" => Self::System,
            b"instructions" => Self::Instructions,
            b"messages" => Self::Messages,
            b"input" => Self::Input,
            b"prompt" => Self::Prompt,
            _ => return None,
        })
    }
}

/// What a path's requests look like.
#[derive(Debug)]
pub(super) struct Format {
    /// The last segments of the path.
    path: &'static str,
    /// The fields that make the prompt, in the order in which engines' templates put them.
    pub prompt: &'static [Field],
    /// Those that limit the output, the one that counts most first.
    pub limits: &'static [Field],
    /// Whether requests are those of Anthropic's Messages API, of which engines leave out parts.
    pub anthropic: bool,
}

/// The claimed paths. The first that fits counts.
const CLAIMED: &[Format] = &[
    Format {
        path: "/chat/completions",
        prompt: &[Field::Tools, Field::Messages],
        limits: &[Field::MaxCompletionTokens, Field::MaxTokens],
        anthropic: false,
    },
    Format { path: "/completions", prompt: &[Field::Prompt], limits: &[Field::MaxTokens], anthropic: false },
    // vLLM embeds conversations too.
    Format { path: "/embeddings", prompt: &[Field::Messages, Field::Input], limits: &[], anthropic: false },
    Format {
        path: "/responses",
        prompt: &[Field::Tools, Field::Instructions, Field::Input],
        limits: &[Field::MaxOutputTokens],
        anthropic: false,
    },
    Format {
        path: "/v1/messages",
        prompt: &[Field::Tools, Field::System, Field::Messages],
        limits: &[Field::MaxTokens],
        anthropic: true,
    },
];

/// What is looked for under any other path.
pub(super) const OTHER: Format = Format {
    path: "",
    prompt: &[Field::Tools, Field::System, Field::Instructions, Field::Messages, Field::Input, Field::Prompt],
    limits: &[Field::MaxCompletionTokens, Field::MaxOutputTokens, Field::MaxTokens],
    anthropic: false,
};

/// The format of requests to `path` (without a query), if it is a claimed one.
pub(super) fn claimed(path: &str) -> Option<&'static Format> {
    CLAIMED.iter().find(|format| path.ends_with(format.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_claimed_by_their_last_segments() {
        let found = |path| claimed(path).map(|f| f.path);
        let table = [
            ("/v1/chat/completions", Some("/chat/completions")),
            ("/tenant/openai/v1/chat/completions", Some("/chat/completions")),
            ("/v1/completions", Some("/completions")),
            ("/v1/embeddings", Some("/embeddings")),
            ("/v1/responses", Some("/responses")),
            ("/v1/messages", Some("/v1/messages")),
            ("/v1/messages/count_tokens", None),
            ("/v1/threads/t/messages", None),
            ("/v1/responses/resp_1", None),
            ("/v1/chatcompletions", None),
            ("/v1/models", None),
            ("completions", None),
            ("", None),
        ];
        assert_eq!(table.map(|(path, _)| (path, found(path))), table);
    }
}
