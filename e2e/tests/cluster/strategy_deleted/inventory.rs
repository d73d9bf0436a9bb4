//! A list of all objects in the cluster.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use kube::api::ListParams;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client, ResourceExt};

/// The objects of every kind that the API server lists, in one namespace and in none, each as `Kind name`. Events
/// aside: they tell of what was.
pub struct Inventory(BTreeSet<String>);

impl Inventory {
    pub async fn of(client: &Client, namespace: &str) -> Result<Self> {
        let discovery = Discovery::new(client.clone()).run().await.context("discovering the kinds")?;
        let mut found = BTreeSet::new();
        for (kind, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
            if kind.kind == "Event" || !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api = match capabilities.scope {
                Scope::Namespaced => {
                    Api::<kube::api::DynamicObject>::namespaced_with(client.clone(), namespace, &kind)
                }
                Scope::Cluster => Api::all_with(client.clone(), &kind),
            };
            let objects = api.list_metadata(&ListParams::default()).await;
            let objects = objects.with_context(|| format!("listing {}", kind.plural))?;
            found.extend(objects.iter().map(|object| format!("{} {}", kind.kind, object.name_any())));
        }
        Ok(Self(found))
    }

    /// What is here and not in `other`.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        self.0.difference(&other.0).cloned().collect()
    }
}
