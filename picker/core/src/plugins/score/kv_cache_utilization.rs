//! `kv-cache-utilization-scorer`: the emptier a server's KV cache, the better.

use std::sync::Arc;

use super::signal;
use crate::ask::Ask;
use crate::column::Column;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Scorer;
use crate::view::Candidates;

/// 1 − share of the KV cache in use.
#[derive(Debug)]
pub struct KvCacheUtilizationScorer;

impl Plugin for KvCacheUtilizationScorer {
    const TYPE: &'static str = "kv-cache-utilization-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Gie;
    const ALIASES: &'static [&'static str] = &["kv-cache-scorer"];
    const SUMMARY: &'static str = "Prefers servers with more free KV cache: 1 for an empty cache, 0 for a full one. A server whose usage is unknown gets the mean score of the others.";
    const FORMULA: &'static str = "1 − share of the KV cache in use.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: kv-cache-utilization-scorer
";
    const IGNORED: &'static [&'static str] = &["maxKVCacheUsage"];
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        cx.reads_column(Column::KV_USAGE);
        Ok(Roles { scorer: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl Scorer for KvCacheUtilizationScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        signal::absolute(ask.view.column(Column::KV_USAGE), candidates, out, |used| 1.0 - used);
    }
}
