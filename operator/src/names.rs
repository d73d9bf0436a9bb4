//! Names, labels and field managers of the objects that the operator makes.

use std::collections::BTreeMap;

pub use crds::names::{MANAGED_BY, MANAGED_BY_WAYPOST, STRATEGY, picker};
use serde::Deserialize;

/// Field manager of everything that the operator applies.
pub const MANAGER: &str = "waypost";
/// Finalizer of a strategy for which anything was made: it keeps the strategy until pools are given back and its objects are
/// gone.
pub const FINALIZER: &str = "waypost.dev/release-pools";

/// Label with the UID of the strategy for which an object was made last: that of a former strategy of the same name on objects
/// that were taken over.
pub const STRATEGY_UID: &str = "waypost.dev/strategy-uid";
/// Label of an object of the cluster with the namespace of the strategy that it belongs to.
pub const NAMESPACE: &str = "waypost.dev/namespace";
/// Label with the name of the pool that an object serves, cut to what a label can hold.
pub const POOL: &str = "waypost.dev/pool";
/// Annotation of a pool with the record of its former picker.
pub const PREVIOUS_PICKER: &str = "waypost.dev/previous-picker";
/// Label that tells what part an object is.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Value of [`COMPONENT`] of everything that runs a picker.
pub const COMPONENT_PICKER: &str = "endpoint-picker";

/// Whether a pod with these labels is a picker.
pub fn is_picker(labels: &BTreeMap<String, String>) -> bool {
    labels.get(COMPONENT).is_some_and(|component| component == COMPONENT_PICKER)
}

const MAX_LABEL: usize = 63;

/// A name as the value of a label: cut to 63 characters, ending in a letter or digit.
pub fn label(name: &str) -> String {
    let cut = &name[..name.len().min(MAX_LABEL)];
    cut.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Name of what belongs to a strategy and to no namespace: neither of the two names has a colon in it, so
/// that no other strategy comes to the same, and each has at most 63 characters.
pub fn cluster(namespace: &str, strategy: &str) -> String {
    format!("waypost:{namespace}:{strategy}")
}

/// The strategy that wrote the record of a pool, the value of [`PREVIOUS_PICKER`].
pub fn holder(record: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Holder {
        strategy: String,
    }
    serde_json::from_str::<Holder>(record).ok().map(|record| record.strategy)
}

/// The labels by which a picker Deployment finds its pods: they never change, as its selector can't.
pub fn selector(picker: &str) -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", "waypost-picker"), ("app.kubernetes.io/instance", picker)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The labels of a picker pod.
pub fn pod_labels(picker: &str, (strategy, uid): (&str, &str), pool: &str) -> BTreeMap<String, String> {
    let mut labels = selector(picker);
    labels.extend([
        (MANAGED_BY.to_owned(), MANAGED_BY_WAYPOST.to_owned()),
        (COMPONENT.to_owned(), COMPONENT_PICKER.to_owned()),
        (STRATEGY.to_owned(), strategy.to_owned()),
        (STRATEGY_UID.to_owned(), uid.to_owned()),
        (POOL.to_owned(), label(pool)),
    ]);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_of_two_namespaces_stay_apart_in_the_cluster() {
        assert_eq!(cluster("llm", "chat"), "waypost:llm:chat");
        assert_ne!(cluster("a-b", "c"), cluster("a", "b-c"));
        assert!(cluster(&"n".repeat(63), &"s".repeat(63)).len() <= 253);
    }

    #[test]
    fn labels_end_in_a_letter_or_digit() {
        let name = format!("{}.{}", "a".repeat(62), "b".repeat(10));
        assert_eq!(label(&name), "a".repeat(62));
        assert_eq!(label("llama-3.1-8b"), "llama-3.1-8b");
    }
}
