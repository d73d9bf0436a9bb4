//! Scores of what a cluster tells of its pool as a whole.

use crate::column::Column;
use crate::plugin::{BuildCx, BuildError};

/// Where `attribute` is, whatever extractor sets it.
pub(super) fn column(attribute: &str, cx: &mut BuildCx<'_>) -> Result<Column, BuildError> {
    cx.attribute("", attribute, Some(""))
}

#[cfg(test)]
pub(super) mod tests;
