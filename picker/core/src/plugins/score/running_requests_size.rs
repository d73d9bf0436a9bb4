//! `running-requests-size-scorer`: the fewer requests a server computes, the better.

use std::sync::Arc;

use super::signal;
use crate::ask::Ask;
use crate::column::Column;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Scorer;
use crate::view::Candidates;

/// (most − running) / (most − least) over the candidates.
#[derive(Debug)]
pub struct RunningRequestsSizeScorer;

impl Plugin for RunningRequestsSizeScorer {
    const TYPE: &'static str = "running-requests-size-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Prefers servers that compute fewer requests: 1 for the fewest among the candidates, 0 for the most. A server whose number is unknown gets the mean score of the others.";
    const FORMULA: &'static str = "(most − running) / (most − least), with the most and least among the candidates; 1 when all are equal.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: running-requests-size-scorer
";
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        cx.reads_column(Column::RUNNING);
        Ok(Roles { scorer: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl Scorer for RunningRequestsSizeScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        signal::relative(ask.view.column(Column::RUNNING), candidates, out);
    }
}
