//! How the request of an exchange ended.

use picker_core::RefusalKind;
use picker_core::refusal;

/// How the request of an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An endpoint was named.
    Routed,
    /// The gateway told the picker nothing to route (a response of its own, an empty stream).
    Nothing,
    /// The client went away before an endpoint was named.
    ClientClosed,
    /// The gateway broke the protocol.
    Protocol,
    /// It was refused.
    Refused(RefusalKind),
}

/// How many reasons there are.
pub(super) const REASONS: usize = 4 + refusal::TABLE.len();

impl Reason {
    /// All of them, in the order of their rows.
    pub fn all() -> impl Iterator<Item = Self> {
        let refused = refusal::TABLE.iter().map(|row| Self::Refused(row.kind));
        [Self::Routed, Self::Nothing].into_iter().chain(refused).chain([Self::ClientClosed, Self::Protocol])
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Routed => 0,
            Self::Nothing => 1,
            Self::Refused(kind) => 2 + kind as usize,
            Self::ClientClosed => REASONS - 2,
            Self::Protocol => REASONS - 1,
        }
    }

    /// The HTTP status that the client sees, where the picker decides it; `None` where the answer comes from elsewhere.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Routed | Self::Nothing => None,
            Self::ClientClosed => Some(499),
            Self::Protocol => Some(500),
            Self::Refused(kind) => Some(kind.row().status),
        }
    }

    /// The reason in a word, as header and label carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Nothing => "nothing-to-route",
            Self::ClientClosed => "client-closed",
            Self::Protocol => "protocol-error",
            Self::Refused(kind) => kind.row().name,
        }
    }
}
