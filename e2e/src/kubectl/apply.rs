//! Server-side apply of YAML, as `kubectl apply --server-side -f`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::{Kubectl, MANAGER};
use crate::wait::until;

impl Kubectl {
    /// Applies every document of `yaml`, in order, into `namespace` unless it names another.
    ///
    /// # Errors
    /// When the text is no YAML, a kind is unknown, or the API server refuses an object: with its message.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for document in documents(yaml)? {
            applied.push(self.apply_object(namespace, document).await?);
        }
        Ok(applied)
    }

    /// Applies one object.
    ///
    /// # Errors
    /// As [`Kubectl::apply`].
    pub async fn apply_object(&self, namespace: &str, object: Value) -> Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(object).context("no Kubernetes object")?;
        let (api_version, kind) = type_of(&object)?;
        let name = object.name_any();
        let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
        let api = self.api(&api_version, &kind, &namespace).await?;
        let params = PatchParams::apply(MANAGER).force();
        let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
        let applied = applied.with_context(|| format!("applying {kind} {namespace}/{name}"))?;
        if kind == "CustomResourceDefinition" {
            established(&self.client, &name).await?;
        }
        Ok(applied)
    }

    /// Deletes every object of `yaml` that exists; does not wait.
    ///
    /// # Errors
    /// When the text is no YAML or the API server refuses.
    pub async fn delete(&self, namespace: &str, yaml: &str) -> Result<()> {
        for document in documents(yaml)? {
            let object: DynamicObject = serde_json::from_value(document).context("no Kubernetes object")?;
            let (api_version, kind) = type_of(&object)?;
            let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
            let api = self.api(&api_version, &kind, &namespace).await?;
            match api.delete(&object.name_any(), &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                outcome => drop(outcome.with_context(|| format!("deleting {kind} {}", object.name_any()))?),
            }
        }
        Ok(())
    }
}

/// The documents of a YAML text that hold something.
fn documents(yaml: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).context("reading YAML")?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

fn type_of(object: &DynamicObject) -> Result<(String, String)> {
    let types = object.types.as_ref().context("the object has no apiVersion and kind")?;
    ensure!(object.metadata.name.is_some(), "a {} without metadata.name", types.kind);
    Ok((types.api_version.clone(), types.kind.clone()))
}

/// A custom kind is served a moment after its definition is accepted.
async fn established(client: &Client, name: &str) -> Result<()> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api = kube::Api::<CustomResourceDefinition>::all(client.clone());
    until(format_args!("{name} to be served"), Duration::from_secs(10), || async {
        let status = api.get(name).await?.status.context("no status")?;
        let conditions = status.conditions.into_iter().flatten();
        let mut served = conditions.filter(|condition| condition.type_ == "Established");
        ensure!(served.any(|condition| condition.status == "True"), "not Established");
        Ok(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::documents;

    #[test]
    fn empty_documents_and_comments_are_skipped() {
        let found = documents("# first\n---\na: 1\n---\n---\n# nothing\n---\nb: [x]\n").unwrap();
        assert_eq!(found, [json!({"a": 1}), json!({"b": ["x"]})]);
    }
}
