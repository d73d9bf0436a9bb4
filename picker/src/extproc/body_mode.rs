//! How a gateway sends bodies, and when a decision can be made.
//!
//! What Envoy does in each mode of the request's body (`processor_state.cc`), and what follows for a picker:
//!
//! | mode | Envoy | the destination is in |
//! |---|---|---|
//! | `FULL_DUPLEX_STREAMED` | sends the body while it waits; nothing goes on but what it gets back | the reply to the headers, held until the body is here, or as much of it as is read |
//! | `BUFFERED` | waits for the reply to the headers, then holds them and sends the whole body; unless the reply says `CONTINUE_AND_REPLACE`: then headers and body go on, and nothing more of the request is sent | the reply to the body, or one to the headers that says so |
//! | `BUFFERED_PARTIAL` | the same with the beginning of the body, up to its buffer limit | the same |
//! | `STREAMED` | waits for the reply to the headers, and sends them on at once: a later change is lost | the reply to the headers, decided without the body |
//! | `STREAMED` with `send_body_without_waiting_for_header_response` | sends the body while it waits, and stops reading at its buffer limit | the reply to the headers, held until the body is here or [`EARLY`] bytes of it |
//! | `NONE` | waits for the reply to the headers | the reply to the headers, decided without the body |
//!
//! Whatever the mode, a body that may follow the answer, or that nothing could be read of, is not waited for
//! ([`is_awaited`](crate::exchange::is_awaited)).

use picker_proto::ProcessingRequest;
use picker_proto::processing_mode::BodySendMode;

/// How much of a streamed body is waited for: less than the smallest buffer limit that a gateway has by
/// default (Envoy Gateway's 32 KiB), or both sides would wait for each other.
pub(super) const EARLY: usize = 16 << 10;

/// How one gateway sends the bodies of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modes {
    pub request: BodySendMode,
    pub response: BodySendMode,
    /// STREAMED chunks come before the reply to the headers.
    early: bool,
}

/// What is read before the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Nothing but the headers.
    No,
    /// The message that carries the whole body, after a reply to the headers.
    Message {
        /// Whether it may carry the beginning only.
        partial: bool,
    },
    /// All chunks.
    Chunks,
    /// The first chunks.
    EarlyChunks,
}

impl Modes {
    /// What the first message says. One that says nothing comes from a gateway that speaks the endpoint
    /// picker protocol (agentgateway, GKE) and that means full duplex; Envoy has said it since 1.33, the
    /// first version with that mode.
    pub(super) fn of(first: &ProcessingRequest) -> Self {
        // A mode that came later is more like full duplex than like any of the old ones.
        let known = |mode| BodySendMode::try_from(mode).unwrap_or(BodySendMode::FullDuplexStreamed);
        first.protocol_config.as_ref().map_or(
            Self {
                request: BodySendMode::FullDuplexStreamed,
                response: BodySendMode::FullDuplexStreamed,
                early: false,
            },
            |config| Self {
                request: known(config.request_body_mode),
                response: known(config.response_body_mode),
                early: config.send_body_without_waiting_for_header_response,
            },
        )
    }

    /// What to read of a request that has a body, if one is `awaited`.
    pub(super) fn wait(self, awaited: bool) -> Wait {
        if !awaited {
            return Wait::No;
        }
        match self.request {
            BodySendMode::None => Wait::No,
            BodySendMode::Streamed if self.early => Wait::EarlyChunks,
            BodySendMode::Streamed => Wait::No,
            BodySendMode::Buffered => Wait::Message { partial: false },
            BodySendMode::BufferedPartial => Wait::Message { partial: true },
            BodySendMode::FullDuplexStreamed => Wait::Chunks,
        }
    }

    /// Whether the gateway would hold a request until it has read its body, though the reply to the headers is the route.
    pub(super) fn holds_back(self) -> bool {
        matches!(self.request, BodySendMode::Buffered | BodySendMode::BufferedPartial)
    }
}
