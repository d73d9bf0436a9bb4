//! Claims on pools: which strategy claims a pool, and which of several has it.

use crds::{Pool, RoutingStrategy};

/// Whether `strategy` claims `pool`, by name or by label.
pub(super) fn claims(strategy: &RoutingStrategy, pool: &Pool) -> bool {
    strategy.spec.claims(pool)
}

/// The strategy of `others` that has `pool` rather than `strategy`: an older one that claims it and is not
/// being deleted. Of two made in the same second the first by name is the older.
pub(super) fn holder<'a>(
    strategy: &RoutingStrategy,
    others: impl IntoIterator<Item = &'a RoutingStrategy>,
    pool: &Pool,
) -> Option<&'a RoutingStrategy> {
    let age = |s: &RoutingStrategy| (s.metadata.creation_timestamp.clone(), s.metadata.name.clone());
    let live = |s: &&RoutingStrategy| s.metadata.deletion_timestamp.is_none() && claims(s, pool);
    others.into_iter().filter(live).filter(|other| age(other) < age(strategy)).min_by_key(|other| age(other))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn strategy(name: &str, created: &str, claim: Value) -> RoutingStrategy {
        serde_json::from_value(json!({
            "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
            "metadata": {"name": name, "namespace": "llm", "creationTimestamp": created},
            "spec": {"pools": [claim]},
        }))
        .unwrap()
    }

    fn pool() -> Pool {
        let mut pool = Pool::default();
        pool.metadata.name = Some("qwen".to_owned());
        pool.metadata.labels = Some([("tier".to_owned(), "chat".to_owned())].into());
        pool
    }

    #[rstest]
    #[case::by_name(json!({"name": "qwen"}), true)]
    #[case::other_name(json!({"name": "llama"}), false)]
    #[case::other_group(json!({"name": "qwen", "group": "inference.networking.x-k8s.io"}), false)]
    #[case::by_label(json!({"selector": {"matchLabels": {"tier": "chat"}}}), true)]
    #[case::other_label(json!({"selector": {"matchLabels": {"tier": "code"}}}), false)]
    #[case::expression(
        json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["chat", "x"]}]}}),
        true
    )]
    #[case::everything(json!({"selector": {}}), true)]
    fn finds_its_pools(#[case] claim: Value, #[case] wanted: bool) {
        assert_eq!(claims(&strategy("a", "2026-01-01T00:00:00Z", claim), &pool()), wanted);
    }

    #[test]
    fn the_oldest_has_the_pool() {
        let by_name = |name, created| strategy(name, created, json!({"name": "qwen"}));
        let (old, young) = (by_name("z", "2026-01-01T00:00:00Z"), by_name("a", "2026-01-02T00:00:00Z"));
        assert_eq!(holder(&young, [&old], &pool()), Some(&old));
        assert_eq!(holder(&old, [&young], &pool()), None);
        let mut leaving = old.clone();
        leaving.metadata.deletion_timestamp = young.metadata.creation_timestamp.clone();
        assert_eq!(holder(&young, [&leaving], &pool()), None);
        let twin = by_name("y", "2026-01-01T00:00:00Z");
        assert_eq!(holder(&old, [&twin], &pool()), Some(&twin));
        assert_eq!(holder(&twin, [&old], &pool()), None);
    }
}
