//! The session that a request belongs to.

use bytes::Bytes;

use super::Fact;

/// The session that a request belongs to, as its client names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionId {
    /// The id; never empty. `None` for a request of no session.
    pub id: Option<Bytes>,
}

impl Fact for SessionId {
    const NAME: &'static str = "session id";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("session-id-producer");

    fn clear(&mut self) {
        self.id = None;
    }
}
