//! All plugin types. One file each, in the room of its first role.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::plugin::Registration;

pub mod discover;
pub mod filter;
pub mod pick;
pub mod produce;
pub mod profile;
pub mod score;

#[cfg(test)]
mod tests;

/// Parameters of a plugin that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// The table of all plugin types.
pub const ALL: &[Registration] = &[
    Registration::of::<filter::LabelSelectorFilter>(),
    Registration::of::<filter::HeaderBasedTestingFilter>(),
    Registration::of::<score::QueueScorer>(),
    Registration::of::<score::RunningRequestsSizeScorer>(),
    Registration::of::<score::KvCacheUtilizationScorer>(),
    Registration::of::<score::PrefixCacheScorer>(),
    Registration::of::<score::LoraAffinityScorer>(),
    Registration::of::<score::ActiveRequestScorer>(),
    Registration::of::<pick::MaxScorePicker>(),
    Registration::of::<pick::RandomPicker>(),
    Registration::of::<pick::WeightedRandomPicker>(),
    Registration::of::<profile::SingleProfileHandler>(),
    Registration::of::<produce::ApproxPrefixCacheProducer>(),
    Registration::of::<discover::FileDiscovery>(),
];

/// The type called `kind`.
pub fn find(kind: &str) -> Option<&'static Registration> {
    ALL.iter().find(|r| r.kind == kind)
}

/// The names of all types.
pub fn types() -> Vec<&'static str> {
    ALL.iter().map(|r| r.kind).collect()
}
