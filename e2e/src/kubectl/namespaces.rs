//! A namespace for each story, new at its start and gone at its end.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};

use super::Kubectl;
use crate::wait::until;

impl Kubectl {
    /// Makes the namespace `name`, emptied of a former one, and waits until pods can be made in it.
    ///
    /// # Errors
    /// When a former one does not go away or the API server refuses.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        self.delete_namespace(name).await?;
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let api = Api::<Namespace>::all(self.client().clone());
        api.create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("creating namespace {name}"))?;
        let accounts = Api::<ServiceAccount>::namespaced(self.client().clone(), name);
        until(format_args!("the default service account of {name}"), Duration::from_secs(120), || async {
            Ok(accounts.get("default").await.map(drop)?)
        })
        .await
    }

    /// Deletes the namespace `name` with all that is in it, and waits until it is gone. Its pods get no time to end.
    ///
    /// # Errors
    /// When it is still there after two minutes; with what is left in it.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        self.delete_namespace_within(name, Duration::from_secs(120)).await
    }

    /// As [`delete_namespace`](Self::delete_namespace), for one that holds so much that it takes longer.
    ///
    /// # Errors
    /// When it is still there after the time `within`; with what is left in it.
    pub async fn delete_namespace_within(&self, name: &str, within: Duration) -> Result<()> {
        let api = Api::<Namespace>::all(self.client().clone());
        match api.delete(name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            outcome => drop(outcome.with_context(|| format!("deleting namespace {name}"))?),
        }
        let pods = Api::<k8s_openapi::api::core::v1::Pod>::namespaced(self.client().clone(), name);
        until(format_args!("the end of namespace {name}"), within, || async {
            pods.delete_collection(
                &DeleteParams::default().grace_period(0),
                &kube::api::ListParams::default(),
            )
            .await?;
            match api.get(name).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
                Err(error) => Err(error.into()),
                Ok(left) => {
                    let conditions = left.status.and_then(|status| status.conditions).into_iter().flatten();
                    let words = conditions.filter(|c| c.status == "True").filter_map(|c| c.message);
                    bail!("{}", words.collect::<Vec<_>>().join("; "))
                }
            }
        })
        .await
    }
}
