//! Plugin types of other endpoint pickers that there are not: those that the Gateway API Inference Extension had until 0.5,
//! which manifests of guides still declare, often without using them; and those whose work is done here without a plugin.

use std::collections::BTreeSet;

use crate::config::Routing;

/// The filters of the decision tree that scheduling was before there were scorers.
const TYPES: [&str; 5] = [
    "decision-tree-filter",
    "least-kv-cache-filter",
    "least-queue-filter",
    "lora-affinity-filter",
    "low-queue-filter",
];

/// Types of openFuyao's Hermes-router, and what does their work here.
const NEEDLESS: [(&str, &str); 2] = [
    ("inflight-data-producer", "the picker itself counts the requests that an endpoint has in flight"),
    ("request-lifecycle-tracker", "the picker itself follows each request from its decision to its end"),
];

/// What is to be said of the plugin `name` of type `kind`, which is a retired type.
pub(super) enum Retired {
    /// A profile uses it: an error.
    Used(String),
    /// Nothing uses it, or it is not needed: a warning.
    Unused(String),
}

/// Whether `kind` is a retired type, and whether a profile uses the plugin `name` of it. `used` has the names that profiles
/// refer to; `None` when there are no profiles, and every plugin is used.
pub(super) fn retired(kind: &str, name: &str, used: Option<&BTreeSet<&str>>) -> Option<Retired> {
    if let Some((_, instead)) = NEEDLESS.iter().find(|(needless, _)| *needless == kind) {
        return Some(Retired::Unused(format!("{kind} does nothing here: {instead}; take it out")));
    }
    if !TYPES.contains(&kind) {
        return None;
    }
    let gone = format!("{kind} went with release 1.0 of the Gateway API Inference Extension");
    Some(if used.is_none_or(|used| used.contains(name)) {
        let scorers = "queue-scorer, kv-cache-utilization-scorer and lora-affinity-scorer";
        Retired::Used(format!("{gone}; use scorers in its place: {scorers}"))
    } else {
        Retired::Unused(format!("{gone}, and no profile uses this plugin: it does nothing; take it out"))
    })
}

/// The names that the profiles of `routing` refer to; `None` without profiles.
pub(super) fn used(routing: &Routing) -> Option<BTreeSet<&str>> {
    let profiles = &routing.scheduling_profiles;
    let references = profiles.iter().flat_map(|profile| &profile.plugins);
    (!profiles.is_empty()).then(|| references.map(|reference| reference.plugin_ref.as_str()).collect())
}
