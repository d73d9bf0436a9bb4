//! The executor: the clients, the caches and the memory by which the steps of a plan are executed.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::runtime::events::Recorder;
use tokio::sync::Semaphore;

use super::write::Writer;
use crate::cache::Cache;
use crate::lease::Authority;
use crate::metrics::Metrics;
use crate::strategy::memory::Memory;

/// Most steps that have time, of all strategies together, that run at the same time: an API server does no more when it is
/// asked for more at once, and what somebody waits for stands behind it.
const ROOM: usize = 12;

/// The executor of plans. It alone has a writer to the cluster.
pub struct Executor {
    pub(super) writer: Writer,
    /// Writes Events, which are no part of what the operator brings about.
    pub(super) recorder: Recorder,
    pub(super) memory: Arc<Memory>,
    pub(super) cache: Cache,
    /// How long pickers serve on after their pool was given back.
    pub(super) release_hold: Duration,
    /// The room for steps that have time.
    pub(super) room: Semaphore,
    authority: Authority,
}

impl Executor {
    /// An executor that writes with `client` while it has `authority`, and lets pickers serve on for `release_hold`
    /// after their pool was given back.
    pub fn new(
        client: Client,
        authority: Authority,
        metrics: Arc<Metrics>,
        recorder: Recorder,
        memory: Arc<Memory>,
        cache: Cache,
        release_hold: Duration,
    ) -> Self {
        let writer = Writer::new(client, authority.clone(), metrics);
        let room = Semaphore::new(ROOM);
        Self { writer, recorder, memory, cache, release_hold, room, authority }
    }

    /// The authority by which it writes.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether it would write in `namespace` now.
    pub fn works_in(&self, namespace: &str) -> bool {
        self.authority.works_in(namespace)
    }
}
