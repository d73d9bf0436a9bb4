//! The ServiceAccount of a picker workload.

use serde_json::json;

use super::input::Input;
use crate::kinds::{Kind, Object};

/// The ServiceAccount of a pool's pickers.
pub(super) fn build(input: &Input<'_>) -> Result<Object, serde_json::Error> {
    input.object(Kind::ServiceAccount, json!({}))
}
