//! Scores of what a cluster tells of its pool as a whole.

use crate::column::Column;
use crate::plugin::{BuildCx, BuildError};
use crate::view::Candidates;

/// Where `attribute` is, whatever extractor sets it.
pub(super) fn column(attribute: &str, cx: &mut BuildCx<'_>) -> Result<Column, BuildError> {
    cx.attribute("", attribute, Some(""))
}

/// Scores each known value by `score`. A cluster that does not tell it gets 0: it may be out of reach.
pub(super) fn known_alone(
    column: &[f32],
    candidates: &Candidates,
    out: &mut [f32],
    score: impl Fn(f32) -> f32,
) {
    for (place, i) in out.iter_mut().zip(candidates.iter()) {
        *place = if column[i].is_finite() { score(column[i]).clamp(0.0, 1.0) } else { 0.0 };
    }
}

#[cfg(test)]
pub(super) mod tests;
