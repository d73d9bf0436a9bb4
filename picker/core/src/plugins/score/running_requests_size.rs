//! `running-requests-size-scorer`: the fewer requests a server computes, the better.

use std::sync::Arc;

use crate::plugin::{BuildCx, BuildError, Plugin, Role, Roles, ScoreInput, Scorer};
use crate::plugins::NoParameters;
use crate::strategy::Needs;
use crate::view::Candidates;

/// (most − running) / (most − least) over the candidates.
#[derive(Debug)]
pub struct RunningRequestsSizeScorer;

impl Plugin for RunningRequestsSizeScorer {
    const TYPE: &'static str = "running-requests-size-scorer";
    const SUMMARY: &'static str = "Prefers servers that compute fewer requests: 1 for the fewest among the candidates, 0 for the most. A server whose number is unknown gets the mean score of the others.";
    const FORMULA: &'static str = "(most − running) / (most − least), with the most and least among the candidates; 1 when all are equal.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { scorer: Some(Arc::new(Self)), needs: Needs::SCRAPE, ..Roles::default() })
    }
}

impl Scorer for RunningRequestsSizeScorer {
    fn score(&self, input: &ScoreInput<'_>, candidates: &Candidates, out: &mut [f32]) {
        super::relative(&input.view.running, candidates, out);
    }
}
