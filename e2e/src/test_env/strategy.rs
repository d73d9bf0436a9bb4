//! A builder of RoutingStrategy objects.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use kube::api::{Api, DynamicObject};
use serde_json::{Map, Value, json};

use super::TestEnv;

/// Version and kind.
pub(super) const KIND: (&str, &str) = ("waypost.dev/v1alpha1", "RoutingStrategy");

/// A strategy to be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    name: String,
    pools: Vec<Value>,
    routing: Option<Value>,
    picker: Map<String, Value>,
}

/// An apply that the API server took.
#[derive(Clone, Debug)]
pub struct Applied {
    /// When the answer of the API server was there.
    pub returned: SystemTime,
    /// The object as stored.
    pub object: DynamicObject,
}

impl Strategy {
    /// The strategy `name`, as yet without pools, with the default routing and the default pickers.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), pools: Vec::new(), routing: None, picker: Map::new() }
    }

    /// For the InferencePool v1 `name` too.
    #[must_use]
    pub fn pool(mut self, name: &str) -> Self {
        self.pools.push(json!({"name": name}));
        self
    }

    /// For the pools of a whole entry of `spec.pools` too.
    #[must_use]
    pub fn pools(mut self, claim: Value) -> Self {
        self.pools.push(claim);
        self
    }

    /// With so many pickers for each pool.
    #[must_use]
    pub fn replicas(self, count: usize) -> Self {
        self.picker("replicas", json!(count))
    }

    /// With a field of `spec.picker`.
    #[must_use]
    pub fn picker(mut self, field: &str, value: Value) -> Self {
        self.picker.insert(field.to_owned(), value);
        self
    }

    /// With this `spec.routing`.
    #[must_use]
    pub fn routing(mut self, routing: Value) -> Self {
        self.routing = Some(routing);
        self
    }

    /// With a routing of one profile whose scorers have these weights, and the default picker.
    #[must_use]
    pub fn scorers(self, weights: &[(&str, f64)]) -> Self {
        let plugins: Vec<Value> = weights.iter().map(|(scorer, _)| json!({"type": scorer})).collect();
        let refs: Vec<Value> =
            weights.iter().map(|(scorer, weight)| json!({"pluginRef": scorer, "weight": weight})).collect();
        self.routing(
            json!({"plugins": plugins, "schedulingProfiles": [{"name": "default", "plugins": refs}]}),
        )
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object.
    pub fn object(&self) -> Value {
        let mut spec = json!({"pools": self.pools, "picker": self.picker});
        if let Some(routing) = &self.routing {
            spec["routing"] = routing.clone();
        }
        json!({"apiVersion": KIND.0, "kind": KIND.1, "metadata": {"name": self.name}, "spec": spec})
    }
}

impl TestEnv {
    /// Applies a strategy, as `kubectl apply --server-side`.
    ///
    /// # Errors
    /// When the API server refuses it: with its message.
    pub async fn apply(&self, strategy: &Strategy) -> Result<Applied> {
        let object = self.kubectl().apply_object(&self.namespace, strategy.object()).await?;
        Ok(Applied { returned: SystemTime::now(), object })
    }

    /// Waits until the strategy has the condition `wanted`, such as `Ready=True`, for its present generation.
    ///
    /// # Errors
    /// When that does not come within `within`; with the conditions as they are.
    pub async fn strategy_is(&self, name: &str, wanted: &str, within: Duration) -> Result<()> {
        self.kubectl().condition(KIND, &self.namespace, name, wanted, within).await
    }

    /// The strategy as it is now.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn strategy(&self, name: &str) -> Result<DynamicObject> {
        let found = self.strategy_api().await?.get(name).await;
        found.with_context(|| format!("RoutingStrategy {}/{name}", self.namespace))
    }

    /// The API of the namespace's strategies.
    ///
    /// # Errors
    /// When the API server does not know the kind.
    pub async fn strategy_api(&self) -> Result<Api<DynamicObject>> {
        self.kubectl().api(KIND.0, KIND.1, &self.namespace).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_is_written_as_its_object() {
        let strategy = Strategy::new("chat").pool("chat").replicas(3).scorers(&[("queue-scorer", 2.0)]);
        let expected = json!({
            "apiVersion": "waypost.dev/v1alpha1",
            "kind": "RoutingStrategy",
            "metadata": {"name": "chat"},
            "spec": {
                "pools": [{"name": "chat"}],
                "picker": {"replicas": 3},
                "routing": {
                    "plugins": [{"type": "queue-scorer"}],
                    "schedulingProfiles": [
                        {"name": "default", "plugins": [{"pluginRef": "queue-scorer", "weight": 2.0}]},
                    ],
                },
            },
        });
        assert_eq!(strategy.object(), expected);
    }
}
