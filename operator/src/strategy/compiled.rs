//! A cache of the compile results of routings, by revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use picker_core::compile::compile;
use picker_core::config::{Errors, Scope, Warning, revision};
use picker_core::store::StateStore;
use serde_json::Value;

/// The most results that are kept. They are forgotten together when there would be more.
const MAX: usize = 4096;
/// And when what they say is longer than this together, in bytes: what is wrong with a routing may be much.
const MAX_SAID: usize = 2 << 20;

/// The compile result of a routing: its warnings, or everything that is wrong with it.
pub(super) type CompileResult = Result<Arc<[Warning]>, Errors>;

/// Compile results, by the revision of the routing.
#[derive(Debug, Default)]
pub(super) struct CompiledRoutings(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    results: HashMap<String, CompileResult>,
    /// Length of what they say.
    said: usize,
}

/// Length of what `result` says.
fn said(result: &CompileResult) -> usize {
    match result {
        Ok(warnings) => warnings.iter().map(|warning| warning.path.len() + warning.message.len()).sum(),
        Err(Errors(errors)) => errors.iter().map(|error| error.path.len() + error.message.len()).sum(),
    }
}

impl CompiledRoutings {
    /// The warnings of a routing that compiles.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&self, routing: &Value) -> CompileResult {
        let revision = revision(routing);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).results.get(&revision) {
            return known.clone();
        }
        let result = compile(routing, Scope::Resource, &StateStore::default())
            .map(|compiled| compiled.strategy.warnings.into());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.results.len() >= MAX || known.said + said(&result) > MAX_SAID {
            *known = Known::default();
        }
        known.said += said(&result);
        known.results.insert(revision, result.clone());
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
        assert_eq!(compiled.0.lock().unwrap().results.len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_by_its_length() {
        let compiled = CompiledRoutings::default();
        for n in 0..200 {
            let plugins: Vec<_> =
                (0..40).map(|i| json!({"type": format!("{n}-{i}-{}", "x".repeat(900))})).collect();
            compiled.compile(&json!({"plugins": plugins})).unwrap_err();
        }
        let known = compiled.0.lock().unwrap();
        let held: usize = known.results.values().map(said).sum();
        assert_eq!(held, known.said);
        assert!((1..MAX_SAID).contains(&held) && known.results.len() < 200, "{held} {}", known.results.len());
    }
}
