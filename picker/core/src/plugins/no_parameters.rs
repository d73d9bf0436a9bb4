//! Parameters of plugins that have none.

use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of a plugin that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}
