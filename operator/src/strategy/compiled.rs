//! Compile results of routings: each routing is compiled once in the life of a process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use picker_core::compile::compile;
use picker_core::config::{Errors, Scope, revision};
use picker_core::store::StateStore;
use serde_json::Value;

/// Results are forgotten together when there are more than this.
const MAX: usize = 4096;

/// Compile results, by the revision of the routing.
#[derive(Debug, Default)]
pub(super) struct CompiledRoutings(Mutex<HashMap<String, Result<(), Errors>>>);

impl CompiledRoutings {
    /// Whether a routing compiles.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&self, routing: &Value) -> Result<(), Errors> {
        let revision = revision(routing);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&revision) {
            return known.clone();
        }
        let result = compile(routing, Scope::Resource, &StateStore::default()).map(drop);
        let mut results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if results.len() >= MAX {
            results.clear();
        }
        results.insert(revision, result.clone());
        result
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn compiling_is_remembered_with_its_errors() {
        let compiled = CompiledRoutings::default();
        let bad = json!({"plugins": [{"type": "no-such-plugin"}]});
        let first = compiled.compile(&bad);
        assert!(first.is_err());
        assert_eq!(compiled.compile(&bad), first);
        assert_eq!(compiled.compile(&json!({"plugins": [{"type": "queue-scorer"}]})), Ok(()));
    }
}
