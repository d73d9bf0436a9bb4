//! Objects of a list or a watch that are decoded each by itself, so that one that can't be read hides no other.

use std::borrow::Cow;
use std::future::ready;

use futures::{Stream, StreamExt as _};
use kube::api::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::read_partial::ReadPartial;

/// An object or, where it can't be read, at least its identity.
#[derive(Clone, Debug)]
pub struct PartialObject<V> {
    /// Its name, namespace, UID and version: all that a watch needs.
    metadata: ObjectMeta,
    /// The object, or why it can't be read.
    pub object: Result<V, String>,
}

/// The part that every object has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Identified {
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
        let Identified { metadata } = serde_json::from_str(text.get()).unwrap_or_default();
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

/// The events of the objects that can be read. The log tells of the others, which are as if they were not there.
pub fn readable<V: ReadPartial + Send>(
    events: impl Stream<Item = Event<PartialObject<V>>> + Send,
) -> impl Stream<Item = Event<V>> + Send {
    let read = |item: PartialObject<V>| {
        let (namespace, name) = (item.namespace().unwrap_or_default(), item.name_any());
        let tell = |error: &String| {
            tracing::warn!(namespace, name, error, "an object can't be read; leaving it alone");
        };
        item.object.inspect_err(tell).ok()
    };
    events.filter_map(move |event| {
        ready(match event {
            Event::Apply(item) => read(item).map(Event::Apply),
            Event::Delete(item) => read(item).map(Event::Delete),
            Event::InitApply(item) => read(item).map(Event::InitApply),
            Event::Init => Some(Event::Init),
            Event::InitDone => Some(Event::InitDone),
        })
    })
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{ObjectList, WatchEvent};
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::deep;
    use crate::read_partial::decode;

    /// The data of a ConfigMap, which must be short.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Data(String);

    impl ReadPartial for Data {
        type Kind = ConfigMap;

        fn read(text: &str) -> Result<Self, String> {
            let object: Value = decode(text)?;
            Ok(Self(object["data"]["x"].as_str().ok_or("no x")?.to_owned()))
        }
    }

    fn object(name: &str, x: Value) -> Value {
        let metadata = json!({"name": name, "namespace": "llm", "resourceVersion": "7", "uid": "u"});
        json!({"metadata": metadata, "data": {"x": x}})
    }

    #[rstest]
    #[case::too_deep(object("a", deep()), Some("a"))]
    #[case::of_another_form(object("a", json!(5)), Some("a"))]
    #[case::no_metadata(json!({}), None)]
    #[case::odd_metadata(json!({"metadata": {"name": 5}}), None)]
    #[case::no_object(json!([1]), None)]
    fn one_that_cannot_be_read_hides_no_other(#[case] bad: Value, #[case] name: Option<&str>) {
        let good = object("b", json!("y"));
        let list = json!({"metadata": {}, "items": [bad, good]});
        let list: ObjectList<PartialObject<Data>> = serde_json::from_str(&list.to_string()).unwrap();
        let [first, second] = &list.items[..] else { panic!("{list:?}") };
        assert_eq!((first.meta().name.as_deref(), first.object.is_err()), (name, true));
        assert_eq!(second.object, Ok(Data("y".to_owned())));
        let identity = ObjectMeta {
            name: Some("b".to_owned()),
            namespace: Some("llm".to_owned()),
            resource_version: Some("7".to_owned()),
            uid: Some("u".to_owned()),
            ..ObjectMeta::default()
        };
        assert_eq!(second.meta(), &identity);
    }

    #[test]
    fn the_events_of_a_watch_are_those_that_can_be_read() {
        let event = json!({"type": "MODIFIED", "object": object("a", deep())});
        let event: WatchEvent<PartialObject<Data>> = serde_json::from_str(&event.to_string()).unwrap();
        let WatchEvent::Modified(bad) = event else { panic!("{event:?}") };
        let good: PartialObject<Data> = serde_json::from_value(object("b", json!("y"))).unwrap();
        let events = [Event::Init, Event::InitApply(bad), Event::InitApply(good), Event::InitDone];
        let left: Vec<_> = futures::executor::block_on(readable(stream::iter(events)).collect());
        let data = Data("y".to_owned());
        assert!(
            matches!(&left[..], [Event::Init, Event::InitApply(read), Event::InitDone] if *read == data),
            "{left:?}"
        );
    }
}
