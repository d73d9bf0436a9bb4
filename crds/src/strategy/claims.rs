//! Claims of a strategy on pools: by name, or by labels.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};

use super::{PoolClaim, RoutingStrategySpec};
use crate::pool::Pool;

impl RoutingStrategySpec {
    /// Whether it claims `pool`, which is one of its namespace.
    pub fn claims(&self, pool: &Pool) -> bool {
        self.pools.iter().any(|claim| claim.matches(pool))
    }
}

impl PoolClaim {
    /// Whether it names `pool`, or selects it.
    pub fn matches(&self, pool: &Pool) -> bool {
        if self.group != pool.group {
            return false;
        }
        match (&self.name, &self.selector) {
            (Some(name), _) => name == pool.name(),
            (None, Some(selector)) => selects(selector, pool),
            (None, None) => false,
        }
    }
}

fn selects(selector: &LabelSelector, pool: &Pool) -> bool {
    // What is no selector selects nothing; the API server lets only its form through.
    let Ok(selector) = Selector::try_from(selector.clone()) else { return false };
    let none = Default::default();
    selector.matches(pool.metadata.labels.as_ref().unwrap_or(&none))
}
