//! `probabilistic-admitter`: the more loaded the servers are, the more requests of low priority are turned away.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::column::Column;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::refusal::{Refusal, RefusalKind};
use crate::role::Admitter;
use crate::view::{Candidates, View};

/// Parameters of `probabilistic-admitter`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Requests in a server's queue at which it counts as saturated, at least 1.
    #[schemars(range(min = 1))]
    queue_depth_threshold: u32,
    /// Share of a server's KV cache in use at which it counts as saturated, above 0. Above 1 a full cache does not yet
    /// count as saturated.
    #[schemars(range(min = 0.0))]
    kv_cache_util_threshold: f64,
    /// How steep the curve is, above 0: the higher, the longer nothing is turned away, and the more suddenly it begins.
    power: f64,
    /// Where the curve ends, above 0: everything of low priority is turned away from a saturation of (1 / k)^(1 / power)
    /// on, 0.32 with the defaults.
    k: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { queue_depth_threshold: 5, kv_cache_util_threshold: 0.8, power: 5.0, k: 300.0 }
    }
}

/// Turns requests with a priority below 0 away with probability min(1, saturation^power · k). The saturation is the
/// mean over the candidates of the greater of queue / threshold and KV usage / threshold.
#[derive(Debug)]
pub struct ProbabilisticAdmitter {
    queue: f64,
    kv_usage: f64,
    power: f64,
    k: f64,
}

impl Plugin for ProbabilisticAdmitter {
    const TYPE: &'static str = "probabilistic-admitter";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Turns requests with a priority below 0 away with a probability that grows with the load of the servers; the client gets status 429 (llm-d: 500). Servers of which neither queue nor KV cache is known are left out of the mean, and while nothing is known of any, all requests are admitted.";
    const FORMULA: &'static str = "Probability to be turned away: min(1, saturation^power · k), where saturation is the mean over the candidates of max(waiting requests / queueDepthThreshold, KV-cache usage / kvCacheUtilThreshold).";
    const ROLES: &'static [Role] = &[Role::Admitter];
    const SAMPLE: &'static str = "\
plugins:
- type: probabilistic-admitter
  parameters:
    queueDepthThreshold: 5
    kvCacheUtilThreshold: 0.8
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { queue_depth_threshold: queue, kv_cache_util_threshold: kv_usage, power, k } = params;
        if queue == 0 {
            return Err(BuildError::invalid("queueDepthThreshold", "must be at least 1"));
        }
        if !(kv_usage > 0.0 && kv_usage.is_finite()) {
            return Err(BuildError::invalid("kvCacheUtilThreshold", "must be a number above 0"));
        }
        if kv_usage > 1.0 {
            let message =
                "is above 1, so that a full KV cache does not count as saturated; write a share of at most 1";
            cx.warn("kvCacheUtilThreshold", message);
        }
        for (field, value) in [("power", power), ("k", k)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(BuildError::invalid(field, "must be a number above 0"));
            }
        }
        cx.reads_column(Column::WAITING);
        cx.reads_column(Column::KV_USAGE);
        let admitter = Self { queue: f64::from(queue), kv_usage, power, k };
        Ok(Roles { admitter: Some(Arc::new(admitter)), ..Roles::default() })
    }
}

impl ProbabilisticAdmitter {
    /// The mean saturation of those candidates of which anything is known; 0 when that is none.
    fn saturation(&self, view: &View, candidates: &Candidates) -> f64 {
        let (waiting, kv_usage) = (view.column(Column::WAITING), view.column(Column::KV_USAGE));
        let (mut sum, mut known) = (0.0, 0_u32);
        for i in candidates.iter() {
            let ratios = [f64::from(waiting[i]) / self.queue, f64::from(kv_usage[i]) / self.kv_usage];
            // Of one that is unknown, the other one counts.
            if let Some(most) = ratios.into_iter().filter(|ratio| ratio.is_finite()).reduce(f64::max) {
                sum += most.max(0.0);
                known += 1;
            }
        }
        if known == 0 { 0.0 } else { sum / f64::from(known) }
    }
}

impl Admitter for ProbabilisticAdmitter {
    fn admit(&self, ask: &Ask<'_>, candidates: &Candidates, cx: &mut Cx) -> Result<(), Refusal> {
        if ask.request.priority >= 0 {
            return Ok(());
        }
        let probability = self.saturation(ask.view, candidates).powf(self.power) * self.k;
        // A draw lies between 0 and 1, and is neither: at 0 nothing is turned away, from 1 on everything.
        if cx.unit() < probability { Err(RefusalKind::Shed.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
