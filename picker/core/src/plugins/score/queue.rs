//! `queue-scorer`: the fewer requests wait at a server, the better.

use std::sync::Arc;

use super::signal;
use crate::ask::Ask;
use crate::column::Column;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Scorer;
use crate::view::Candidates;

/// (most − waiting) / (most − least) over the candidates.
#[derive(Debug)]
pub struct QueueScorer;

impl Plugin for QueueScorer {
    const TYPE: &'static str = "queue-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Prefers servers with fewer waiting requests: 1 for the shortest queue among the candidates, 0 for the longest. A server whose queue is unknown gets the mean score of the others.";
    const FORMULA: &'static str = "(most − waiting) / (most − least), with the most and least among the candidates; 1 when all are equal.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: queue-scorer
";
    // The sample manifests of others give it the first, and those of the prefix scorer by mistake.
    const IGNORED: &'static [&'static str] =
        &["maxQueueSize", "hashBlockSize", "maxPrefixBlocksToMatch", "lruCapacityPerServer"];
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        cx.reads_column(Column::WAITING);
        Ok(Roles { scorer: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl Scorer for QueueScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        signal::relative(ask.view.column(Column::WAITING), candidates, out);
    }
}
