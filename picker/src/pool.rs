//! The state that all exchanges of one InferencePool share: its strategy, endpoints, priorities and metrics, and the
//! limits that all pools of the process share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use picker_core::Hot;
use picker_core::http::HttpClient;

use crate::activity::Activity;
use crate::decisions::Decisions;
use crate::exchange::BodyBudget;
use crate::metrics::Traffic;
use crate::policies::Policies;
use crate::view::SharedView;

#[cfg(test)]
mod tests;

/// What the exchanges of one pool share.
pub struct Pool {
    /// The strategy that serves.
    pub hot: Arc<Hot>,
    /// The endpoints.
    pub view: SharedView,
    /// Whether requests flow.
    pub activity: Activity,
    /// What objects of the cluster say of requests.
    pub policies: Policies,
    /// The decisions that are kept.
    pub decisions: Decisions,
    /// What sends the requests of preparers.
    pub http: Arc<dyn HttpClient>,
    /// Where exchanges are counted.
    pub traffic: Traffic,
    /// The limits of the process, which all its pools share.
    pub limits: Arc<Limits>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("hot", &self.hot).finish_non_exhaustive()
    }
}

/// Limits of a process.
#[derive(Debug)]
pub struct Limits {
    /// How much of a request body is read and held for a decision, in bytes; the rest of a longer one goes on unread. A
    /// body that no plugin reads is not held, and not limited.
    pub max_body: usize,
    /// Whether a longer body is refused with 413 instead.
    pub refuse_longer: bool,
    /// How long a body that is held may take for each 16 KiB of it. A slower one of an announced length is refused with
    /// 408; one of unknown length is decided by what is there of it.
    pub body_timeout: Duration,
    /// Whether only endpoints are chosen that the gateway's subset hint names, where it has one.
    pub subset_filter: bool,
    /// Whether gateways are told the totals of endpoints where the strategy does not say.
    pub endpoint_scores: bool,
    /// The memory that all requests may take together while they wait for their bodies. One whose headers find no room
    /// is decided without its body; one whose body finds none is refused with 503, unless the gateway has the body.
    pub budget: BodyBudget,
}
