//! On whose behalf a request is made.

use bytes::Bytes;

use super::Fact;

/// On whose behalf a request is made, as its headers say. A request that says nothing has no id: what reads this decides
/// what becomes of it, and never takes it for a client of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FairnessId {
    /// The id in the fairness header: a tenant, a user, whatever whoever runs the gateway shares the pool by.
    pub explicit: Option<Bytes>,
    /// The session of the agent that sends the request.
    pub agent: Option<Bytes>,
}

impl FairnessId {
    /// The id by which requests are shared out fairly: the explicit one, or else the agent's session.
    pub fn id(&self) -> Option<&[u8]> {
        self.explicit.as_deref().or(self.agent.as_deref())
    }
}

impl Fact for FairnessId {
    const NAME: &'static str = "fairness id";
    const DEFAULT_PRODUCER: Option<&'static str> = Some("agent-identity");

    fn clear(&mut self) {
        *self = Self::default();
    }
}
