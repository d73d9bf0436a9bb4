//! The writer to the cluster, which writes only where this process works, and reads past the caches.
//!
//! It is private to `execute`: nothing else in the operator can write objects, pools or the status.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use crds::{InferencePool, InferencePoolV1Alpha2, Pool, PoolGroup, RoutingStrategy};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use kube_ext::partial_object::PartialObject;
use kube_ext::read_partial::ReadPartial;
use serde_json::{Value, json};

use crate::cache::{PodFacts, PoolKind, PoolOf};
use crate::kinds::{Kind, Object, Scope};
use crate::lease::Authority;
use crate::metrics::Metrics;
use crate::names::{self, FINALIZER, MANAGER};
use crate::strategy::release::PoolPatch;
use crate::strategy::write_error::{TIMEOUT, WriteError};

/// Manager of the finalizer alone, so that applying it says nothing about other fields.
const FINALIZER_MANAGER: &str = "waypost-finalizer";
/// How many pools a page of their list has.
const POOLS_PER_PAGE: u32 = 100;
/// Manager that holds a Deployment's replicas while they pass from the operator to an autoscaler.
const REPLICAS_MANAGER: &str = "waypost-replicas";

/// The writer to the cluster, which writes only where this process works.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    authority: Authority,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// A writer bound to `authority`.
    pub fn new(client: Client, authority: Authority, metrics: Arc<Metrics>) -> Self {
        Self { client, authority, metrics }
    }

    /// Writes for a strategy of `namespace`: each write of a plan asks anew, since another operator may begin to work
    /// there in the middle of it.
    async fn write<T>(
        &self,
        namespace: &str,
        verb: &'static str,
        kind: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.authority.works_in(namespace) {
            return Err(WriteError::NotLeading);
        }
        let result = match tokio::time::timeout(TIMEOUT, request).await {
            Ok(result) => result.map_err(WriteError::from),
            Err(_) => Err(WriteError::Timeout),
        };
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) if error.is_conflict() => "conflict",
            Err(_) => "error",
        };
        self.metrics.wrote(verb, kind, outcome);
        result
    }

    fn api(&self, resource: &ApiResource, namespace: &str) -> Api<PartialObject<DynamicObject>> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }

    fn owned(&self, kind: Kind, namespace: &str) -> Api<PartialObject<DynamicObject>> {
        match kind.scope() {
            Scope::Namespace => self.api(&kind.resource(), namespace),
            Scope::Cluster => Api::all_with(self.client.clone(), &kind.resource()),
        }
    }

    /// Reads an object of ours past the caches.
    ///
    /// # Errors
    /// When the API server doesn't answer or refuses.
    pub async fn read(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, WriteError> {
        let api = self.owned(kind, namespace);
        match tokio::time::timeout(TIMEOUT, api.get_opt(name)).await {
            Ok(found) => found?.map(readable).transpose(),
            Err(_) => Err(WriteError::Timeout),
        }
    }

    /// Whether a pod exists, past the caches.
    ///
    /// # Errors
    /// When the API server doesn't answer or refuses.
    pub async fn pod_exists(&self, namespace: &str, name: &str) -> Result<bool, WriteError> {
        let pods = Api::<PartialObject<PodFacts>>::namespaced(self.client.clone(), namespace);
        match tokio::time::timeout(TIMEOUT, pods.get_opt(name)).await {
            Ok(found) => Ok(found?.is_some()),
            Err(_) => Err(WriteError::Timeout),
        }
    }

    /// The Events about a pod.
    ///
    /// # Errors
    /// When the API server doesn't answer or refuses.
    pub async fn events_of_pod(&self, namespace: &str, name: &str) -> Result<Vec<Event>, WriteError> {
        let params = ListParams::default().fields(&format!("regarding.kind=Pod,regarding.name={name}"));
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        match tokio::time::timeout(TIMEOUT, api.list(&params)).await {
            Ok(found) => Ok(found?.items),
            Err(_) => Err(WriteError::Timeout),
        }
    }

    /// The first pool of a namespace that is `wanted`, past the caches.
    ///
    /// # Errors
    /// When the API server doesn't answer or refuses.
    pub async fn find_pool(
        &self,
        group: PoolGroup,
        namespace: &str,
        wanted: impl Fn(&Pool) -> bool,
    ) -> Result<Option<Pool>, WriteError> {
        match group {
            PoolGroup::V1 => self.find_pool_of::<InferencePool>(namespace, wanted).await,
            PoolGroup::V1Alpha2 => self.find_pool_of::<InferencePoolV1Alpha2>(namespace, wanted).await,
        }
    }

    async fn find_pool_of<K>(
        &self,
        namespace: &str,
        wanted: impl Fn(&Pool) -> bool,
    ) -> Result<Option<Pool>, WriteError>
    where
        K: PoolKind + Resource<Scope = NamespaceResourceScope> + Clone + Debug,
    {
        let api = Api::<PartialObject<PoolOf<K>>>::namespaced(self.client.clone(), namespace);
        // A page at a time: many strategies may ask at once, and there may be many pools.
        let mut params = ListParams::default().limit(POOLS_PER_PAGE);
        loop {
            let page = match tokio::time::timeout(TIMEOUT, api.list(&params)).await {
                Ok(page) => page?,
                Err(_) => return Err(WriteError::Timeout),
            };
            // One that can't be read is as if it were not there, here as in the caches.
            let mut pools = page.items.into_iter().filter_map(|pool| pool.object.ok()).map(|pool| pool.pool);
            if let Some(found) = pools.find(|pool| wanted(pool)) {
                return Ok(Some(found));
            }
            match page.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => params = params.continue_token(&next),
                None => return Ok(None),
            }
        }
    }

    /// Applies an object: its fields become ours, others are left.
    ///
    /// # Errors
    /// When not leading, or when the API server doesn't answer or refuses.
    pub async fn apply(&self, object: &Object) -> Result<DynamicObject, WriteError> {
        let (api, params) =
            (self.owned(object.kind, object.namespace()), PatchParams::apply(MANAGER).force());
        let patch = Patch::Apply(&object.content);
        let kind = object.kind.resource().kind;
        let namespace = of_namespace(&object.content.metadata);
        readable(self.write(namespace, "apply", &kind, api.patch(object.name(), &params, &patch)).await?)
    }

    /// Merges `content` into `live`: takes out what applying leaves, since it is another manager's, or changes its metadata.
    ///
    /// # Errors
    /// As [`Writer::apply`], and a conflict when `live` is not its present state.
    pub async fn merge(&self, kind: Kind, live: &DynamicObject, content: &Value) -> Result<(), WriteError> {
        let Some(name) = &live.metadata.name else { return Ok(()) };
        let mut patch = content.clone();
        patch["metadata"]["uid"] = live.metadata.uid.clone().into();
        patch["metadata"]["resourceVersion"] = live.metadata.resource_version.clone().into();
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.owned(kind, live.metadata.namespace.as_deref().unwrap_or_default());
        let patch = Patch::Merge(&patch);
        let request = api.patch(name, &params, &patch);
        self.write(of_namespace(&live.metadata), "patch", &kind.resource().kind, request).await.map(drop)
    }

    /// Deletes an object if it is still the one with `uid`. One that is gone is no error.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn delete(&self, kind: Kind, object: &DynamicObject) -> Result<(), WriteError> {
        let Some(name) = &object.metadata.name else { return Ok(()) };
        let preconditions = Preconditions { uid: object.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let api = self.owned(kind, object.metadata.namespace.as_deref().unwrap_or_default());
        let namespace = of_namespace(&object.metadata);
        match self.write(namespace, "delete", &kind.resource().kind, api.delete(name, &params)).await {
            Err(error) if !error.is_gone() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// Hands a Deployment's replicas, at their present number, to a manager that never changes them, so
    /// that they stay when the operator stops setting them and until an autoscaler does.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn keep_replicas(&self, deployment: &DynamicObject, replicas: i64) -> Result<(), WriteError> {
        let (Some(namespace), Some(name)) = (&deployment.metadata.namespace, &deployment.metadata.name)
        else {
            return Ok(());
        };
        let patch = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace, "uid": deployment.metadata.uid},
            "spec": {"replicas": replicas},
        });
        let api = self.owned(Kind::Deployment, namespace);
        let params = PatchParams::apply(REPLICAS_MANAGER).force();
        let patch = Patch::Apply(&patch);
        let request = api.patch(name, &params, &patch);
        self.write(namespace, "apply", "Deployment", request).await.map(drop)
    }

    /// Applies `content` (everything but type, name and preconditions) to a pool. Fails with a conflict
    /// when the pool is not the one, or not in the state, that the decision was made on.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn apply_pool(&self, pool: &Pool, content: Value, force: bool) -> Result<(), WriteError> {
        let mut patch = content;
        patch["apiVersion"] = pool.group.api_version().into();
        patch["kind"] = "InferencePool".into();
        patch["metadata"]["name"] = pool.name().into();
        patch["metadata"]["namespace"] = pool.namespace().into();
        preconditions(pool, &mut patch);
        let mut params = PatchParams::apply(MANAGER);
        params.force = force;
        let api = self.api(&pool_resource(pool.group), pool.namespace());
        let patch = Patch::Apply(&patch);
        let request = api.patch(pool.name(), &params, &patch);
        self.write(pool.namespace(), "apply", "InferencePool", request).await.map(drop)
    }

    /// Merges a patch into a pool, under the same conditions.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn merge_pool(&self, pool: &Pool, patch: &PoolPatch) -> Result<(), WriteError> {
        let mut content = patch.content.clone();
        preconditions(pool, &mut content);
        let params = PatchParams { field_manager: Some(patch.manager.clone()), ..PatchParams::default() };
        let api = self.api(&pool_resource(pool.group), pool.namespace());
        let patch = Patch::Merge(&content);
        let request = api.patch(pool.name(), &params, &patch);
        self.write(pool.namespace(), "patch", "InferencePool", request).await.map(drop)
    }

    /// Adds our finalizer.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn add_finalizer(&self, strategy: &RoutingStrategy) -> Result<(), WriteError> {
        let (api, name) = self.strategy_api(strategy);
        let patch = json!({
            "apiVersion": "waypost.dev/v1alpha1", "kind": "RoutingStrategy",
            "metadata": {
                "name": name, "namespace": strategy.metadata.namespace, "uid": strategy.metadata.uid,
                "finalizers": [FINALIZER],
            },
        });
        let params = PatchParams::apply(FINALIZER_MANAGER).force();
        let patch = Patch::Apply(&patch);
        let request = api.patch(&name, &params, &patch);
        self.write(of_namespace(&strategy.metadata), "apply", "RoutingStrategy", request).await.map(drop)
    }

    /// Removes our finalizer, whoever else holds it. Fails with a conflict when the strategy is not in the
    /// state that `strategy` shows.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn remove_finalizer(&self, strategy: &RoutingStrategy) -> Result<(), WriteError> {
        let (api, name) = self.strategy_api(strategy);
        let patch = without_finalizer(strategy, FINALIZER);
        let params =
            PatchParams { field_manager: Some(FINALIZER_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(&patch);
        let request = api.patch(&name, &params, &patch);
        self.write(of_namespace(&strategy.metadata), "patch", "RoutingStrategy", request).await.map(drop)
    }

    /// Merges `status` into the status of a strategy.
    ///
    /// # Errors
    /// As [`Writer::apply`].
    pub async fn status(
        &self,
        strategy: &RoutingStrategy,
        status: &Value,
    ) -> Result<Option<RoutingStrategy>, WriteError> {
        let (api, name) = self.strategy_api(strategy);
        let patch = json!({"metadata": {"uid": strategy.metadata.uid}, "status": status});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(&patch);
        let request = api.patch_status(&name, &params, &patch);
        let written =
            self.write(of_namespace(&strategy.metadata), "patch", "RoutingStrategy", request).await?;
        Ok(written.object.ok())
    }

    fn strategy_api(&self, strategy: &RoutingStrategy) -> (Api<PartialObject<RoutingStrategy>>, String) {
        let namespace = strategy.metadata.namespace.as_deref().unwrap_or_default();
        let name = strategy.metadata.name.clone().unwrap_or_default();
        (Api::namespaced(self.client.clone(), namespace), name)
    }
}

/// Namespace of the strategy that an object is of: its own, and that of an object of the cluster by its label, without
/// which none is a strategy's.
fn of_namespace(metadata: &ObjectMeta) -> &str {
    let label = || metadata.labels.as_ref()?.get(names::NAMESPACE);
    metadata.namespace.as_ref().or_else(label).map_or("", String::as_str)
}

/// What the API server answered, of which not all may be fit to be decoded.
fn readable<V: ReadPartial>(answer: PartialObject<V>) -> Result<V, WriteError> {
    answer.object.map_err(|why| WriteError::Api(kube::Error::SerdeError(serde::de::Error::custom(why))))
}

/// The merge patch that takes `finalizer` away. Applying a list without it would not do: an entry that
/// another manager applies too stays.
fn without_finalizer(strategy: &RoutingStrategy, finalizer: &str) -> Value {
    let others: Vec<_> =
        strategy.metadata.finalizers.iter().flatten().filter(|other| *other != finalizer).collect();
    json!({"metadata": {
        "uid": strategy.metadata.uid,
        "resourceVersion": strategy.metadata.resource_version,
        "finalizers": others,
    }})
}

fn preconditions(pool: &Pool, patch: &mut Value) {
    patch["metadata"]["uid"] = pool.uid().into();
    if let Some(version) = &pool.metadata.resource_version {
        patch["metadata"]["resourceVersion"] = version.clone().into();
    }
}

fn pool_resource(group: PoolGroup) -> ApiResource {
    let api_version = group.api_version();
    let version = api_version.rsplit('/').next().unwrap_or_default();
    ApiResource {
        group: group.group().to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: "InferencePool".to_owned(),
        plural: "inferencepools".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finalizer_is_taken_out_of_the_list_as_it_is() {
        let mut strategy = RoutingStrategy::default();
        strategy.metadata.uid = Some("u".to_owned());
        strategy.metadata.resource_version = Some("7".to_owned());
        strategy.metadata.finalizers = Some(["a/b", "ours/x", "c/d"].map(str::to_owned).into());
        assert_eq!(
            without_finalizer(&strategy, "ours/x"),
            json!({"metadata": {"uid": "u", "resourceVersion": "7", "finalizers": ["a/b", "c/d"]}})
        );
    }
}
