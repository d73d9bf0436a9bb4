//! A cache of the compile results of routings, by revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use picker_core::compile::compile;
use picker_core::config::{Errors, Scope, Warning, revision};
use picker_core::store::StateStore;
use serde_json::Value;

/// The most results that are kept. They are forgotten together when there would be more.
const MAX: usize = 4096;

/// The compile result of a routing: its warnings, or everything that is wrong with it.
pub(super) type CompileResult = Result<Arc<[Warning]>, Errors>;

/// Compile results, by the revision of the routing.
#[derive(Debug, Default)]
pub(super) struct CompiledRoutings(Mutex<HashMap<String, CompileResult>>);

impl CompiledRoutings {
    /// The warnings of a routing that compiles.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&self, routing: &Value) -> CompileResult {
        let revision = revision(routing);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&revision) {
            return known.clone();
        }
        let result = compile(routing, Scope::Resource, &StateStore::default())
            .map(|compiled| compiled.strategy.warnings.into());
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
        assert_eq!(compiled.compile(&json!({"plugins": [{"type": "queue-scorer"}]})), Ok([].into()));
    }

    #[test]
    fn compiling_is_remembered_with_its_warnings() {
        let compiled = CompiledRoutings::default();
        let synced = json!({"type": "inflight-load-producer", "parameters": {"syncCrossReplicaState": true}});
        let routing = json!({"plugins": [{"type": "queue-scorer"}, synced]});
        let warning = Warning {
            path: "plugins[1].parameters.syncCrossReplicaState".to_owned(),
            message: "has no effect: replicas don't know each other's load; leave it out".to_owned(),
        };
        for _ in 0..2 {
            assert_eq!(compiled.compile(&routing), Ok([warning.clone()].into()));
        }
        assert_eq!(compiled.0.lock().unwrap().len(), 1);
    }
}
