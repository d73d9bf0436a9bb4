//! `kv-cache-utilization-scorer`: the emptier a server's KV cache, the better.

use std::sync::Arc;

use crate::plugin::{BuildCx, BuildError, Plugin, Role, Roles, ScoreInput, Scorer};
use crate::plugins::NoParameters;
use crate::strategy::Needs;
use crate::view::Candidates;

/// 1 − share of the KV cache in use.
#[derive(Debug)]
pub struct KvCacheUtilizationScorer;

impl Plugin for KvCacheUtilizationScorer {
    const TYPE: &'static str = "kv-cache-utilization-scorer";
    const SUMMARY: &'static str = "Prefers servers with more free KV cache: 1 for an empty cache, 0 for a full one. A server whose usage is unknown gets the mean score of the others.";
    const FORMULA: &'static str = "1 − share of the KV cache in use.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { scorer: Some(Arc::new(Self)), needs: Needs::SCRAPE, ..Roles::default() })
    }
}

impl Scorer for KvCacheUtilizationScorer {
    fn score(&self, input: &ScoreInput<'_>, candidates: &Candidates, out: &mut [f32]) {
        super::absolute(&input.view.kv_usage, candidates, out, |used| 1.0 - used);
    }
}
