//! A Kubernetes client for tests: apply, delete, wait and report, with errors that include the state of the objects.

mod apply;
mod namespaces;
mod pods;
mod report;
mod rollout;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DynamicObject, GroupVersionKind};
use kube::core::discovery::{ApiResource, Scope};
use kube::{Client, ResourceExt};

pub use pods::is_ready;

/// The field manager of everything that is applied here.
pub const MANAGER: &str = "waypost-e2e";

/// Works on the objects of a cluster with the rights of its client.
#[derive(Clone)]
pub struct Kubectl {
    client: Client,
    kinds: Arc<Mutex<HashMap<GroupVersionKind, (ApiResource, Scope)>>>,
}

impl Kubectl {
    /// With the rights of `client`.
    pub fn new(client: Client) -> Self {
        Self { client, kinds: Arc::default() }
    }

    /// The client, for what is not here.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The kind's API, in `namespace` when the kind has namespaces.
    ///
    /// # Errors
    /// When the API server does not know the kind.
    pub async fn api(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Api<DynamicObject>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let (resource, scope) = self.kind(&gvk).await?;
        Ok(match scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        })
    }

    async fn kind(&self, gvk: &GroupVersionKind) -> Result<(ApiResource, Scope)> {
        let known = self.kinds.lock().ok().and_then(|kinds| kinds.get(gvk).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let found = kube::discovery::pinned_kind(&self.client, gvk).await;
        let (resource, capabilities) =
            found.with_context(|| format!("kind {} of {}", gvk.kind, gvk.api_version()))?;
        if let Ok(mut kinds) = self.kinds.lock() {
            kinds.insert(gvk.clone(), (resource.clone(), capabilities.scope.clone()));
        }
        Ok((resource, capabilities.scope))
    }

    /// Whether the node `name` takes pods.
    ///
    /// # Errors
    /// When it does not, or is not there.
    pub async fn node_is_ready(&self, name: &str) -> Result<()> {
        let node = Api::<Node>::all(self.client.clone()).get(name).await?;
        let conditions =
            node.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let ready =
            conditions.filter(|condition| condition.type_ == "Ready").find(|ready| ready.status == "True");
        ensure!(ready.is_some(), "node {} is not Ready", node.name_any());
        Ok(())
    }
}
