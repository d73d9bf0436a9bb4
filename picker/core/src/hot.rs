//! The strategy that serves, and how another takes its place.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use arc_swap::ArcSwapOption;
use rustc_hash::FxHashSet;
use serde_json::Value;

use crate::compile::compile_with;
use crate::config::{Errors, Scope, Warning, revision};
use crate::plugin::Registry;
use crate::plugins;
use crate::store::{StateStore, Table};
use crate::strategy::Strategy;

#[cfg(test)]
mod tests;

/// Holds the strategy that serves. Readers load it without a lock; a new one replaces it whole, or,
/// when it doesn't compile, not at all.
#[derive(Debug)]
pub struct Hot {
    registry: &'static Registry,
    /// Request headers that its plugins write for model servers.
    written: FxHashSet<&'static str>,
    current: ArcSwapOption<Strategy>,
    store: StateStore,
    /// One change at a time, so that the store and the current strategy agree.
    change: Mutex<()>,
}

/// What became of an offered routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the one that serves already: nothing was touched.
    Unchanged,
    /// It serves now. Named are the plugin instances whose state started anew.
    Swapped {
        /// Names of those instances.
        resets: Vec<String>,
        /// What is not as it should be.
        warnings: Box<[Warning]>,
    },
    /// It doesn't compile; what served before goes on serving.
    Refused(Errors),
}

impl Default for Hot {
    fn default() -> Self {
        Self::new(plugins::builtin())
    }
}

impl Hot {
    /// Serves no strategy yet, and will compile with the plugins of `registry`.
    pub fn new(registry: &'static Registry) -> Self {
        Self {
            registry,
            written: registry.written_headers().into_iter().collect(),
            current: ArcSwapOption::empty(),
            store: StateStore::default(),
            change: Mutex::new(()),
        }
    }

    /// Whether a plugin of the registry writes the request header `name` for model servers, so that clients must not.
    pub fn writes(&self, name: &str) -> bool {
        self.written.contains(name)
    }

    /// The strategy that serves, or `None` before the first. An exchange keeps the one it began with.
    pub fn current(&self) -> Option<Arc<Strategy>> {
        self.current.load_full()
    }

    /// Revision of the strategy that serves.
    pub fn revision(&self) -> Option<Arc<str>> {
        self.current.load().as_ref().map(|s| s.revision.clone())
    }

    /// How much memory the states of its plugins take.
    pub fn tables(&self) -> Vec<Table> {
        self.store.tables()
    }

    /// Offers a routing. It serves when this returns [`Outcome::Swapped`].
    pub fn offer(&self, routing: &Value, scope: Scope) -> Outcome {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if self.current.load().as_ref().is_some_and(|s| *s.revision == *revision(routing)) {
            return Outcome::Unchanged;
        }
        match compile_with(self.registry, routing, scope, &self.store) {
            Ok(compiled) => {
                let (resets, warnings) = (compiled.resets().to_vec(), compiled.strategy.warnings.clone());
                self.current.store(Some(Arc::new(compiled.strategy)));
                self.store.commit(compiled.staging);
                Outcome::Swapped { resets, warnings }
            }
            Err(errors) => Outcome::Refused(errors),
        }
    }
}
