//! The installer of strategies: swaps offered routings in at [`Hot`], and tells the outcome to the log, to metrics and
//! to whoever follows [`Serving`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use picker_core::config::{Scope, revision};
use picker_core::discovery::FileDiscovery;
use picker_core::hot::Outcome;
use picker_core::scrape::ScrapePlan;
use picker_core::{Hot, Strategy};
use serde_json::Value;
use tokio::sync::watch;

use crate::metrics::StrategyMetrics;

#[cfg(test)]
mod tests;

/// A routing that a source offers.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// The routing body as it is stored.
    pub routing: &'a Value,
    /// The fields that it may have.
    pub scope: Scope,
    /// `metadata.generation` of the RoutingStrategy that it stands in.
    pub generation: Option<i64>,
}

/// Why the routing that was accepted last serves in the place of the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// The present one is refused.
    Refused,
    /// Edits of the routing are paused.
    Paused,
}

/// The strategy that serves, and the outcome of the last offer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Serving {
    /// Revision that serves; `None` before the first.
    pub revision: Option<String>,
    /// The routing that serves.
    pub routing: Option<Arc<Value>>,
    /// When it began to serve.
    pub since: Option<SystemTime>,
    /// Plugin instances whose state started anew with it.
    pub resets: Vec<String>,
    /// What is not as it should be in it.
    pub warnings: Vec<String>,
    /// What it reads of the metrics of model servers, if anything.
    pub scrape: Option<Arc<ScrapePlan>>,
    /// Where it finds endpoints, when not in an InferencePool.
    pub discovery: Option<FileDiscovery>,
    /// Revision of the last offer, whether it serves or not.
    pub offered: Option<String>,
    /// Generation of the RoutingStrategy that was last read.
    pub generation: Option<i64>,
    /// Why the last offer doesn't serve.
    pub error: Option<String>,
}

/// The source of a picker's endpoints, for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The pods of the cluster.
    Cluster,
    /// The file that the routing's `dataLayer.discovery` names.
    File,
}

/// A strategy that has begun to serve.
struct Swap {
    strategy: Arc<Strategy>,
    routing: Arc<Value>,
    since: SystemTime,
    resets: Vec<String>,
}

impl Source {
    /// The reason why `routing` can't serve with endpoints of this source.
    fn refuses(self, routing: &Value) -> Option<&'static str> {
        match (self, routing["dataLayer"]["discovery"].is_null()) {
            (Self::Cluster, false) => Some(
                "dataLayer.discovery: this picker began with endpoints from the cluster; to read them from a file \
                 it needs a restart",
            ),
            (Self::File, true) => Some(
                "dataLayer.discovery: this picker began with endpoints from a file, and without this there are \
                 none; to take them from the cluster it needs a restart, with --pool-name or --endpoint-selector",
            ),
            _ => None,
        }
    }
}

impl Swap {
    fn tell(self, state: &mut Serving) {
        state.revision = Some(self.strategy.revision.to_string());
        state.warnings = self.strategy.warnings.iter().map(ToString::to_string).collect();
        state.routing = Some(self.routing);
        state.since = Some(self.since);
        state.resets = self.resets;
        state.scrape.clone_from(&self.strategy.scrape);
        state.discovery.clone_from(&self.strategy.discovery);
    }
}

/// The installer of strategies.
#[derive(Debug)]
pub struct Installer {
    hot: Arc<Hot>,
    metrics: StrategyMetrics,
    state: watch::Sender<Serving>,
    /// `None` until it is settled. Held through a swap, so that none slips in while it is.
    source: Mutex<Option<Source>>,
}

impl Installer {
    /// An installer for `hot`.
    pub fn new(hot: Arc<Hot>, metrics: StrategyMetrics) -> Self {
        Self { hot, metrics, state: watch::Sender::default(), source: Mutex::default() }
    }

    /// Follows the strategy that serves.
    pub fn serving(&self) -> watch::Receiver<Serving> {
        self.state.subscribe()
    }

    /// Settles the source of endpoints: that of the routing that serves, or, before there is one, the cluster if
    /// `cluster` says that flags name a pool or pods. A routing that wants something else
    /// is refused from now on.
    pub fn settle(&self, cluster: bool) -> Source {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let by_file = self.state.borrow().discovery.is_some() || !cluster;
        *source.insert(if by_file { Source::File } else { Source::Cluster })
    }

    /// Compiles a routing and swaps it in. Returns whether it serves now. The last offer, if it was refused, is not
    /// compiled again.
    pub fn offer(&self, offer: Offer<'_>) -> bool {
        let offered = revision(offer.routing);
        let again = {
            let state = self.state.borrow();
            state.offered.as_ref() == Some(&offered) && state.error.is_some()
        };
        if again {
            self.state.send_if_modified(|state| {
                std::mem::replace(&mut state.generation, offer.generation) != offer.generation
            });
            return false;
        }
        let (swap, error) = match self.install(offer.routing, offer.scope) {
            Ok(swap) => (swap, None),
            Err(error) => {
                self.metrics.refused();
                let serving = self.hot.revision();
                tracing::error!(
                    revision = offered,
                    serving = serving.as_deref(),
                    error,
                    "the routing is refused"
                );
                (None, Some(error))
            }
        };
        let accepted = error.is_none();
        // All at once: nobody sees a new revision beside the generation of an old one.
        self.tell(|state| {
            if let Some(swap) = swap {
                swap.tell(state);
            }
            state.offered = Some(offered);
            state.generation = offer.generation;
            state.error = error;
        });
        accepted
    }

    /// Swaps in the routing that was accepted last, in the place of the present one. A refusal of that stands. Returns
    /// whether it serves now.
    pub fn rescue(&self, routing: &Value, scope: Scope, why: Rescue) -> bool {
        let rescued = self.install(routing, scope);
        if why == Rescue::Refused {
            self.metrics.refused();
        }
        match rescued {
            Ok(swap) => {
                let why = match why {
                    Rescue::Refused => "the present one is refused",
                    Rescue::Paused => "edits of the routing are paused",
                };
                tracing::warn!(
                    revision = revision(routing),
                    why,
                    "serving the revision that was accepted last"
                );
                if let Some(swap) = swap {
                    self.tell(|state| swap.tell(state));
                }
                true
            }
            Err(error) => {
                tracing::error!(error, "the revision that was accepted last is refused too");
                false
            }
        }
    }

    /// Tells that there is nothing to offer, and why. The strategy that serves goes on.
    pub fn unavailable(&self, error: &str) {
        let known = self.state.borrow().error.as_deref() == Some(error);
        if known {
            return;
        }
        self.metrics.refused();
        tracing::error!(serving = self.hot.revision().as_deref(), error, "the routing can't be read");
        self.tell(|state| {
            state.offered = None;
            state.error = Some(error.to_owned());
        });
    }

    /// Compiles and swaps. Returns the swap, when there was one.
    fn install(&self, routing: &Value, scope: Scope) -> Result<Option<Swap>, String> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(message) = source.and_then(|source| source.refuses(routing)) {
            // What else is wrong with it comes first.
            return match Hot::default().offer(routing, scope) {
                Outcome::Refused(errors) => Err(errors.to_string()),
                Outcome::Unchanged | Outcome::Swapped { .. } => Err(message.to_owned()),
            };
        }
        let before = self.hot.revision();
        let started = Instant::now();
        let outcome = self.hot.offer(routing, scope);
        let now = SystemTime::now();
        match outcome {
            Outcome::Refused(errors) => Err(errors.to_string()),
            Outcome::Unchanged => {
                self.metrics.unchanged();
                Ok(None)
            }
            Outcome::Swapped { resets, warnings } => {
                let Some(strategy) = self.hot.current() else { return Ok(None) };
                self.metrics.swapped(&strategy.revision, now);
                tracing::info!(
                    revision = &*strategy.revision,
                    before = before.as_deref(),
                    ?resets,
                    micros = started.elapsed().as_micros() as u64,
                    "a routing serves"
                );
                for warning in &warnings {
                    tracing::warn!(field = warning.path, "{}", warning.message);
                }
                for file in &strategy.files {
                    tracing::info!(field = file.field, path = file.path, "the routing reads a file");
                }
                Ok(Some(Swap { strategy, routing: Arc::new(routing.clone()), since: now, resets }))
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Serving)) {
        self.state.send_modify(change);
    }
}
