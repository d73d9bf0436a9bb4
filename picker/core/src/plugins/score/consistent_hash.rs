//! `consistent-hash-scorer`: requests with the same key go to the same endpoint, unless that one has far more than its share.
//!
//! Every endpoint has a weight for every key, a hash of both, and the heaviest one is the key's own: rendezvous hashing, or
//! highest random weight (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998). Where an endpoint
//! comes or goes, only the keys that it wins or had move. It takes no table, and all replicas of a picker agree.
//!
//! The load is bounded in the manner of Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads" (2016):
//! no endpoint may have more than a constant times the mean load, and a key whose own endpoint has goes to the next one in its
//! own order, so that what overflows is not all heaped upon one neighbour.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::ask::Ask;
use crate::inputs::Inputs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::in_flight;
use crate::request::header;
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `consistent-hash-scorer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The request header whose value is the key, for example one with the id of a tenant. A request without it, or with an
    /// empty one, has no preference: every endpoint scores 1.
    header_name: String,
    /// How many times the mean number of requests in flight an endpoint may have, and one more, before it scores 0 and the
    /// next one takes its place; at least 1. A small value spreads the load evenly, a large one keeps keys at their endpoints.
    #[serde(default = "default_load_factor")]
    #[schemars(range(min = 1.0))]
    load_factor: f64,
}

fn default_load_factor() -> f64 {
    1.25
}

/// Scores candidates by their order for the key of the request.
#[derive(Debug)]
pub struct ConsistentHashScorer {
    header: Box<str>,
    load_factor: f64,
}

impl Plugin for ConsistentHashScorer {
    const TYPE: &'static str = "consistent-hash-scorer";
    const TASK: Task = Task::Sessions;
    const ORIGIN: Origin = Origin::Waypost;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Keeps requests with the same key, the value of a header, at the same endpoint, by consistent hashing with \
         bounded loads: each key has its own order of the endpoints, the same in all replicas of the picker, and one that has far more requests in \
         flight than the mean is passed over.";
    const FORMULA: &'static str = "1 − rank / (candidates − 1), with the rank among those that are not passed over, heaviest hash of key and endpoint first; \
         1 for a single candidate. 0 for more than loadFactor · mean + 1 requests in flight. 1 for all without a key.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: consistent-hash-scorer
  parameters: {headerName: x-tenant, loadFactor: 1.5}
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: consistent-hash-scorer, weight: 2}
  - {pluginRef: queue-scorer, weight: 1}
";
    type Params = Params;

    fn build(Params { header_name, load_factor }: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let header = header::name(&header_name).map_err(|e| BuildError::invalid("headerName", e))?.into();
        if !(load_factor.is_finite() && load_factor >= 1.0) {
            return Err(BuildError::invalid("loadFactor", "must be at least 1"));
        }
        Ok(Roles { scorer: Some(Arc::new(Self { header, load_factor })), ..Roles::default() })
    }
}

impl Scorer for ConsistentHashScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let key = ask.request.headers.get(&self.header).map(<[u8]>::trim_ascii).unwrap_or_default();
        if key.is_empty() {
            out.fill(1.0);
            return;
        }
        let seed = xxh3_64(key);
        // Read once: the counters move while we look at them.
        let loads: SmallVec<[u32; 64]> =
            candidates.iter().map(|i| ask.view.endpoints[i].live().in_flight()).collect();
        let sum: f64 = loads.iter().map(|load| f64::from(*load)).sum();
        let most = self.load_factor * (sum / loads.len().max(1) as f64) + 1.0;
        // Weight, key of the endpoint (where weights are equal the older one is first), position among the candidates.
        let mut order: SmallVec<[(u64, u64, u32); 64]> = SmallVec::new();
        for ((n, i), load) in (0..).zip(candidates.iter()).zip(&loads) {
            if f64::from(*load) <= most {
                let endpoint = &ask.view.endpoints[i];
                // By its name, which is the same in all replicas, and stays when a pod of a StatefulSet starts anew.
                order.push((!xxh3_64_with_seed(endpoint.name.as_bytes(), seed), endpoint.key, n));
            }
        }
        order.sort_unstable();
        let worst = candidates.len().saturating_sub(1).max(1) as f32;
        for (rank, &(_, _, n)) in order.iter().enumerate() {
            out[n as usize] = 1.0 - rank as f32 / worst;
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        in_flight::requests(ask, inputs);
    }
}
