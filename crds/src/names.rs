//! Names and labels that the operator gives to the objects of a pool's pickers, and by which pickers find their own.

use serde_json::Value;

use crate::pool::PoolGroup;

/// Label with the name of the strategy that an object belongs to. That of a Deployment tells its pickers which strategy
/// they follow.
pub const STRATEGY: &str = "waypost.dev/strategy";
/// Label by which the operator finds its own objects.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_WAYPOST: &str = "waypost";

const MAX_LABEL: usize = 63;
const SUFFIX: &str = "-picker";

/// Name of the picker of a pool, which is that of its Service and so a DNS-1035 label. It is
/// `<pool>-picker`; where the pool's name can't be used as it is, or where a v1 pool could have the same
/// name, a hash tells them apart.
pub fn picker(group: PoolGroup, pool: &str) -> String {
    if group == PoolGroup::V1 && pool.len() + SUFFIX.len() <= MAX_LABEL && is_dns1035(pool) {
        return format!("{pool}{SUFFIX}");
    }
    let mut stem: String =
        pool.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    if !stem.starts_with(|c: char| c.is_ascii_lowercase()) {
        stem.insert(0, 'p');
    }
    let hash = &picker_core::config::revision(&Value::String(format!("{}/{pool}", group.group())))[..8];
    stem.truncate(MAX_LABEL - SUFFIX.len() - hash.len() - 1);
    format!("{}-{hash}{SUFFIX}", stem.trim_end_matches('-'))
}

fn is_dns1035(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(PoolGroup::V1, "qwen3-32b", "qwen3-32b-picker")]
    #[case::dots(PoolGroup::V1, "llama-3.1-8b", "llama-3-1-8b-00214287-picker")]
    #[case::digit_first(PoolGroup::V1, "7b", "p7b-9fb7cded-picker")]
    #[case::other_group(PoolGroup::V1Alpha2, "qwen3-32b", "qwen3-32b-2b46df59-picker")]
    fn a_service_can_have_the_name(#[case] group: PoolGroup, #[case] pool: &str, #[case] wanted: &str) {
        assert_eq!(picker(group, pool), wanted);
    }

    #[test]
    fn long_names_stay_apart_and_short() {
        let (a, b) = ("x".repeat(200) + "a", "x".repeat(200) + "b");
        let (a, b) = (picker(PoolGroup::V1, &a), picker(PoolGroup::V1, &b));
        assert_ne!(a, b);
        for name in [a, b] {
            assert!(name.len() <= MAX_LABEL && is_dns1035(&name), "{name}");
        }
    }
}
