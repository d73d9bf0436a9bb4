//! Objects that may be readable only in part. A list is decoded as a whole, so that one object that is nested too
//! deeply, or is of a newer release, would hide all others: each is decoded by itself instead.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

mod read;
mod strategy;

pub(crate) use read::{PoolKind, PoolOf, ReadPartial};

/// An object, or, where it can't be read, at least its identity.
#[derive(Clone, Debug)]
pub(crate) struct PartialObject<V> {
    /// Its name, namespace, UID and version: all that a watch needs.
    metadata: ObjectMeta,
    /// The object, or why it can't be read.
    pub object: Result<V, String>,
}

/// The part that every object has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WithIdentity {
    metadata: Identity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Identity {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl<'de, V: ReadPartial> Deserialize<'de> for PartialObject<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let WithIdentity { metadata } = serde_json::from_str(text.get()).unwrap_or_default();
        let metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, object: V::read(text.get()) })
    }
}

impl<V: ReadPartial> Resource for PartialObject<V> {
    type DynamicType = <V::Kind as Resource>::DynamicType;
    type Scope = <V::Kind as Resource>::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        V::Kind::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        V::Kind::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        V::Kind::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        V::Kind::plural(dt)
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
    use crds::{InferencePool, RoutingStrategy};
    use kube::api::{ObjectList, WatchEvent};
    use kube::core::DynamicObject;
    use picker_core::config::MAX_ROUTING;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::cache::PodFacts;

    fn strategy(parameters: &str, binding: &str) -> String {
        format!(
            r#"{{"apiVersion":"waypost.dev/v1alpha1","kind":"RoutingStrategy",
            "metadata":{{"name":"chat","namespace":"llm"}},"spec":{{"pools":[{{"name":"qwen"}}],"binding":"{binding}",
            "routing":{{"plugins":[{{"type":"a","parameters":{parameters}}}]}},
            "picker":{{"replicas":3,"podTemplate":{{"x":1}}}}}}}}"#
        )
    }

    fn deep() -> String {
        format!("{}{}", r#"{"a":"#.repeat(200), "1".to_owned() + &"}".repeat(200))
    }

    /// Pickers are not built without it: it is marked, and refused by its mark.
    #[test]
    fn a_pod_template_that_cannot_be_read_is_no_empty_one() {
        let text = strategy("{}", "Takeover").replace(r#"{"x":1}"#, &deep());
        let read = RoutingStrategy::read(&text).unwrap();
        assert_eq!(read.spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
        let mark = read.spec.picker.pod_template["unreadable"].as_str().unwrap();
        assert!(mark.starts_with("unreadable: recursion limit exceeded"), "{mark}");
        let text = text.replace(r#""parameters":{}"#, &format!(r#""parameters":{}"#, deep()));
        let read = RoutingStrategy::read(&text).unwrap();
        assert!(read.spec.routing.0.is_string() && read.spec.picker.pod_template.contains_key("unreadable"));
    }

    #[test]
    fn one_unreadable_strategy_hides_no_other() {
        let list = format!(
            r#"{{"apiVersion":"waypost.dev/v1alpha1","kind":"RoutingStrategyList","metadata":{{}},"items":[{},{},{}]}}"#,
            strategy("{}", "Takeover"),
            strategy(&deep(), "Observe"),
            strategy("{}", "FromTheFuture"),
        );
        let list: ObjectList<PartialObject<RoutingStrategy>> = serde_json::from_str(&list).unwrap();
        let read: Vec<_> = list.items.iter().map(|item| item.object.as_ref().ok()).collect();
        assert_eq!(read[0].unwrap().spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
        let salvaged = &read[1].unwrap().spec;
        assert!(salvaged.routing.0.as_str().unwrap().starts_with("unreadable: recursion limit exceeded"));
        assert_eq!(salvaged.picker.replicas, Some(3));
        assert_eq!(Value::from(salvaged.picker.pod_template.clone()), json!({"x": 1}));
        assert_eq!(read[2], None);
        assert_eq!(list.items[2].meta().name.as_deref(), Some("chat"));
    }

    #[test]
    fn a_routing_that_is_too_long_is_not_read() {
        let read = |bytes: usize| {
            let parameters = format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes));
            RoutingStrategy::read(&strategy(&parameters, "Takeover")).unwrap().spec.routing.0
        };
        assert!(read(MAX_ROUTING - 100).is_object());
        let refused = read(MAX_ROUTING);
        assert!(refused.as_str().unwrap().starts_with("too long: 262"), "{refused}");
    }

    #[test]
    fn events_may_be_readable_in_part_too() {
        let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, strategy(&deep(), "Takeover"));
        let event: WatchEvent<PartialObject<RoutingStrategy>> = serde_json::from_str(&event).unwrap();
        let WatchEvent::Modified(item) = event else { panic!("{event:?}") };
        assert!(item.object.is_ok());
    }

    #[test]
    fn of_other_objects_the_metadata_remain() {
        let text = format!(r#"{{"metadata":{{"name":"chat-routing-0"}},"revision":1,"data":{}}}"#, deep());
        let item: PartialObject<DynamicObject> = serde_json::from_str(&text).unwrap();
        assert_eq!(item.object.unwrap().metadata.name.as_deref(), Some("chat-routing-0"));
    }

    /// A list of two objects called a and b, the first with managers who hold fields of any depth.
    fn list_of(body: &str) -> String {
        let item = |name: &str, managers: &str| {
            format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"llm","resourceVersion":"7","uid":"u",
                "managedFields":[{managers}{{"manager":"helm","operation":"Update","fieldsV1":{{"f:spec":{{}}}}}}]}},{body}}}"#
            )
        };
        let broken = format!(r#"{{"manager":"x","fieldsType":"FieldsV1","fieldsV1":{}}},"#, deep());
        format!(
            r#"{{"apiVersion":"v1","kind":"List","metadata":{{}},"items":[{},{}]}}"#,
            item("a", &broken),
            item("b", "")
        )
    }

    fn read<V: ReadPartial + Clone>(body: &str) -> Vec<V> {
        let list: ObjectList<PartialObject<V>> = serde_json::from_str(&list_of(body)).unwrap();
        list.items
            .into_iter()
            .map(|item| {
                assert_eq!(item.meta().resource_version.as_deref(), Some("7"));
                item.object.unwrap()
            })
            .collect()
    }

    #[test]
    fn fields_of_managers_hide_nothing_however_deep() {
        let pods: Vec<PodFacts> = read(r#""status":{"conditions":[{"type":"Ready","status":"True"}]}"#);
        assert_eq!(
            pods.iter().map(|pod| (pod.name.as_str(), pod.ready)).collect::<Vec<_>>(),
            [("a", true), ("b", true)]
        );
        let strategies: Vec<RoutingStrategy> =
            read(r#""spec":{"pools":[{"name":"qwen"}],"routing":{"plugins":[]}}"#);
        assert!(strategies.iter().all(|s| s.spec.routing.0 == json!({"plugins": []})));
        let objects: Vec<DynamicObject> = read(r#""spec":{"replicas":2}"#);
        assert!(objects.iter().all(|o| o.data == json!({"spec": {"replicas": 2}})), "{objects:?}");
        let pools: Vec<PoolOf<InferencePool>> =
            read(r#""spec":{"selector":{"matchLabels":{"app":"x"}},"targetPorts":[{"number":8000}]}"#);
        for pool in pools {
            // Of the managers those are left that can be read.
            let managers = pool.pool.metadata.managed_fields.unwrap();
            assert_eq!(managers.iter().filter_map(|m| m.manager.as_deref()).collect::<Vec<_>>(), ["helm"]);
        }
    }

    #[rstest]
    #[case::no_metadata("{}")]
    #[case::odd_metadata(r#"{"metadata":{"name":5}}"#)]
    #[case::no_object("[1]")]
    fn what_is_no_object_hides_nothing(#[case] text: &str) {
        let list = format!(
            r#"{{"apiVersion":"v1","kind":"List","metadata":{{}},"items":[{text},{}]}}"#,
            strategy("{}", "Takeover")
        );
        let list: ObjectList<PartialObject<RoutingStrategy>> = serde_json::from_str(&list).unwrap();
        assert!(list.items[0].object.is_err() && list.items[1].object.is_ok());
    }
}
