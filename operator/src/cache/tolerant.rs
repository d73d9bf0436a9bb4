//! Objects that can't be read. A list is decoded as a whole, so that one object that is nested too deeply, or
//! is of a newer release, would hide all others: each is decoded by itself instead.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use crds::RoutingStrategy;
use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::DynamicObject;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object, or at least whose it is.
#[derive(Clone, Debug)]
pub(super) struct Tolerant<K> {
    metadata: ObjectMeta,
    /// The object; why not, if it can't be read.
    pub object: Result<K, String>,
}

/// A kind of which something can be saved from an object that can't be read.
pub(super) trait Salvage: Sized {
    /// Makes what can be made of an object's text, given why it can't be read.
    fn salvage(text: &str, why: &str) -> Option<Self>;
}

impl<'de, K: DeserializeOwned + Salvage> Deserialize<'de> for Tolerant<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Head {
            metadata: ObjectMeta,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let metadata = serde_json::from_str::<Head>(text.get()).map_err(D::Error::custom)?.metadata;
        let object = serde_json::from_str(text.get()).or_else(|error| {
            let why = error.to_string();
            K::salvage(text.get(), &why).ok_or(why)
        });
        Ok(Self { metadata, object })
    }
}

impl<K: Resource> Resource for Tolerant<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

type Fields = BTreeMap<String, Box<RawValue>>;

fn fields(text: &str) -> Option<Fields> {
    serde_json::from_str(text).ok()
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    RawValue::from_string(value.to_string()).ok()
}

impl Salvage for RoutingStrategy {
    /// The strategy with the reason in the place of its routing and without its pod template, which are the
    /// fields of any depth: it compiles to an error that says so.
    fn salvage(text: &str, why: &str) -> Option<Self> {
        let mut object = fields(text)?;
        let mut spec = fields(object.get("spec")?.get())?;
        spec.insert("routing".to_owned(), raw(&Value::String(format!("unreadable: {why}")))?);
        if let Some(mut picker) = spec.get("picker").and_then(|picker| fields(picker.get())) {
            picker.remove("podTemplate");
            spec.insert(
                "picker".to_owned(),
                RawValue::from_string(serde_json::to_string(&picker).ok()?).ok()?,
            );
        }
        object.insert("spec".to_owned(), RawValue::from_string(serde_json::to_string(&spec).ok()?).ok()?);
        serde_json::from_str(&serde_json::to_string(&object).ok()?).ok()
    }
}

impl Salvage for DynamicObject {
    /// The object with its metadata alone.
    fn salvage(text: &str, _: &str) -> Option<Self> {
        let mut object = fields(text)?;
        object.retain(|name, _| ["apiVersion", "kind", "metadata"].contains(&name.as_str()));
        serde_json::from_str(&serde_json::to_string(&object).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use kube::api::{ObjectList, WatchEvent};
    use serde_json::json;

    use super::*;

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

    #[test]
    fn one_unreadable_strategy_hides_no_other() {
        let list = format!(
            r#"{{"apiVersion":"waypost.dev/v1alpha1","kind":"RoutingStrategyList","metadata":{{}},"items":[{},{},{}]}}"#,
            strategy("{}", "Takeover"),
            strategy(&deep(), "Observe"),
            strategy("{}", "FromTheFuture"),
        );
        let list: ObjectList<Tolerant<RoutingStrategy>> = serde_json::from_str(&list).unwrap();
        let read: Vec<_> = list.items.iter().map(|item| item.object.as_ref().ok()).collect();
        assert_eq!(read[0].unwrap().spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
        let salvaged = &read[1].unwrap().spec;
        assert!(salvaged.routing.0.as_str().unwrap().starts_with("unreadable: recursion limit exceeded"));
        assert_eq!((salvaged.picker.replicas, salvaged.picker.pod_template.len()), (Some(3), 0));
        assert_eq!(read[2], None);
        assert_eq!(list.items[2].meta().name.as_deref(), Some("chat"));
    }

    #[test]
    fn events_are_tolerant_too() {
        let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, strategy(&deep(), "Takeover"));
        let event: WatchEvent<Tolerant<RoutingStrategy>> = serde_json::from_str(&event).unwrap();
        let WatchEvent::Modified(item) = event else { panic!("{event:?}") };
        assert!(item.object.is_ok());
    }

    #[test]
    fn of_other_objects_the_metadata_remain() {
        let text = format!(r#"{{"metadata":{{"name":"chat-routing-0"}},"revision":1,"data":{}}}"#, deep());
        let item: Tolerant<DynamicObject> = serde_json::from_str(&text).unwrap();
        assert_eq!(item.object.unwrap().metadata.name.as_deref(), Some("chat-routing-0"));
    }
}
