//! Objects of which only those parts are decoded that are looked at.
//!
//! `managedFields` and whatever else nobody reads is passed over, which has no limit of depth, and the parts of any
//! depth are kept as text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object of any kind, with its metadata and these two parts of it.
#[derive(Clone, Debug, Deserialize)]
pub struct ObjectParts<Spec, Status> {
    /// Its metadata: name, namespace, UID, version, generation, labels, annotations and the times of its creation and deletion.
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// Its `spec`.
    #[serde(default)]
    pub spec: Spec,
    /// Its `status`.
    #[serde(default)]
    pub status: Status,
}

/// A part of an object as its text, which is decoded later, by itself.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RawPart(Option<Box<RawValue>>);

/// An object whose parts may be of any depth.
pub type RawObject = ObjectParts<RawPart, RawPart>;

impl RawPart {
    /// The part as a `T`; one that is not there is like `null`.
    ///
    /// # Errors
    /// Why it can't be read as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(self.0.as_ref().map_or("null", |text| text.get())).map_err(|e| e.to_string())
    }
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
    }
    let Metadata {
        name,
        namespace,
        uid,
        resource_version,
        generation,
        labels,
        annotations,
        creation_timestamp,
        deletion_timestamp,
    } = Metadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name,
        namespace,
        uid,
        resource_version,
        generation,
        labels,
        annotations,
        creation_timestamp,
        deletion_timestamp,
        ..ObjectMeta::default()
    })
}

impl<Spec, Status> Resource for ObjectParts<Spec, Status> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::api::{ObjectList, WatchEvent};
    use serde_json::{Value, json};

    use super::*;
    use crate::deep;

    fn object() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Thing",
            "metadata": {
                "name": "a", "uid": "u", "resourceVersion": "7", "labels": null,
                "managedFields": [{"manager": "m", "fieldsV1": deep()}],
            },
            "other": deep(), "spec": {"routing": deep()}, "status": {"revision": "r"},
        })
    }

    fn expected() -> ObjectMeta {
        ObjectMeta {
            name: Some("a".to_owned()),
            uid: Some("u".to_owned()),
            resource_version: Some("7".to_owned()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn depth_stops_neither_a_list_nor_a_watch() {
        let list = json!({"metadata": {"resourceVersion": "8"}, "items": [object(), {"metadata": {}}]});
        let list: ObjectList<RawObject> = serde_json::from_str(&list.to_string()).unwrap();
        let [first, second] = &list.items[..] else { panic!("{list:?}") };
        assert_eq!((&first.metadata, &second.metadata), (&expected(), &ObjectMeta::default()));
        assert_eq!(first.status.read(), Ok(json!({"revision": "r"})));
        assert!(first.spec.read::<Value>().unwrap_err().starts_with("recursion limit exceeded"));
        assert_eq!(second.spec.read(), Ok(Value::Null));

        let event = json!({"type": "MODIFIED", "object": object()});
        let event: WatchEvent<RawObject> = serde_json::from_str(&event.to_string()).unwrap();
        let WatchEvent::Modified(read) = event else { panic!("{event:?}") };
        assert_eq!(read.metadata, expected());
    }
}
