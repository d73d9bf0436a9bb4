//! An object that the operator made, as the caches hold it: as text, which takes a tenth of the memory that its fields
//! would take as values.

use kube::api::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::json;

use crate::names;

/// An object that the operator made, as text, with what is asked of it most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldObject {
    /// Its namespace; empty for one of the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Name of the strategy that it belongs to, by its label.
    pub strategy: Option<String>,
    /// Namespace of that strategy.
    pub of_namespace: String,
    text: Box<str>,
}

impl From<&DynamicObject> for HeldObject {
    fn from(object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        let label = |name| metadata.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let of_namespace = match &metadata.namespace {
            Some(namespace) => namespace.clone(),
            None => label(names::NAMESPACE).unwrap_or_default(),
        };
        Self {
            namespace,
            of_namespace,
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            strategy: label(names::STRATEGY),
            // What was read as JSON can be written so.
            text: serde_json::to_string(object).unwrap_or_default().into(),
        }
    }
}

impl HeldObject {
    /// Of an object for which there is no room: its name, what identifies it, and the operator's labels.
    pub(super) fn bare(object: &DynamicObject) -> Self {
        let DynamicObject { types, metadata, .. } = object;
        let ours = [names::MANAGED_BY, names::STRATEGY, names::NAMESPACE];
        let labels = metadata.labels.iter().flatten().filter(|(name, _)| ours.contains(&name.as_str()));
        let labels = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
        let metadata = ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            deletion_timestamp: metadata.deletion_timestamp.clone(),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        Self::from(&DynamicObject { types: types.clone(), metadata, data: json!({}) })
    }

    /// About the memory that it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let texts = [&self.namespace, &self.name, &self.uid, &self.of_namespace];
        size_of::<Self>() + self.text.len() + texts.map(String::len).iter().sum::<usize>()
    }

    /// The object.
    pub fn object(&self) -> DynamicObject {
        serde_json::from_str(&self.text).unwrap_or_else(|_| {
            let mut bare =
                DynamicObject { types: None, metadata: Default::default(), data: Default::default() };
            bare.metadata.namespace = Some(self.namespace.clone()).filter(|namespace| !namespace.is_empty());
            bare.metadata.name = Some(self.name.clone());
            bare.metadata.uid = Some(self.uid.clone());
            bare
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_given_back_as_it_was() {
        let labels = json!({names::STRATEGY: "chat", names::NAMESPACE: "llm"});
        let of_cluster = json!({
            "apiVersion": "v1", "kind": "Thing",
            "metadata": {"name": "waypost:llm:chat", "uid": "u", "resourceVersion": "7", "labels": labels},
            "spec": {"a": [1, 2.5, null, {"b": "x"}]},
        });
        let mut within = of_cluster.clone();
        within["metadata"]["namespace"] = json!("other");
        for (object, namespace, of_namespace) in [(of_cluster, "", "llm"), (within, "other", "other")] {
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            let held = HeldObject::from(&object);
            assert_eq!(held.object(), object);
            let facts = (held.namespace.as_str(), held.of_namespace.as_str(), held.strategy.as_deref());
            assert_eq!(facts, (namespace, of_namespace, Some("chat")));
            assert_eq!((held.name.as_str(), held.uid.as_str()), ("waypost:llm:chat", "u"));
        }
    }
}
