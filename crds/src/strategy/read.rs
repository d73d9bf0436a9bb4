//! The reader of RoutingStrategies, which puts an error in the place of a routing or a pod template that can't be read.

use kube_ext::raw_fields::{join, split};
use kube_ext::read_partial::ReadPartial;
use picker_core::config::MAX_ROUTING;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{RoutingStrategy, RoutingStrategySpec};
use crate::routing::RoutingBody;

/// Longest pod template as JSON, in bytes: the operator holds it, and makes one of each pool from it.
pub const MAX_POD_TEMPLATE: usize = 32 * 1024;
/// Most values in a pod template.
const MAX_TEMPLATE_VALUES: usize = 2048;
/// Most values in a routing: each takes some hundred bytes once it is read, however short its text is.
const MAX_ROUTING_VALUES: usize = 16 * 1024;
/// Longest rest of a strategy without its status, in bytes. The definition allows little more.
const MAX_REST: usize = 128 * 1024;
/// Longest text of what pickers say in the status, in bytes: that of some thousand pickers.
const MAX_PICKERS: usize = 512 * 1024;

/// What is kept of a strategy's metadata: neither labels nor annotations, which may be of any length.
const METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

fn raw(value: &Value) -> Option<Box<RawValue>> {
    RawValue::from_string(value.to_string()).ok()
}

impl ReadPartial for RoutingStrategy {
    type Kind = Self;

    /// The strategy without labels, annotations and managed fields. Where its routing or its pod template is too large,
    /// or can't be read, the reason stands in its place: it does not compile then, and the error says so. What can be read
    /// of them stays, since pickers must not be built without it. What is too large is not read at all.
    fn read(text: &str) -> Result<Self, String> {
        let text = with_little(text);
        let Large { routing, template } = Large::of(&text)?;
        let text = match (&routing, &template) {
            (None, None) => text,
            (routing, template) => replaced(&text, routing.as_deref(), template.as_deref())
                .ok_or_else(|| routing.as_ref().or(template.as_ref()).cloned().unwrap_or_default())?,
        };
        serde_json::from_str(&text).or_else(|error| {
            let why = error.to_string();
            salvage(&text, &format!("unreadable: {why}")).ok_or(why)
        })
    }
}

impl RoutingStrategySpec {
    /// Puts `why` in the place of the routing and the pod template, the fields of any content, so that neither is
    /// accepted, and the error says so.
    pub fn withhold(&mut self, why: &str) {
        self.routing = RoutingBody(Value::String(why.to_owned()));
        self.picker.pod_template = Map::from_iter([(UNREADABLE.to_owned(), Value::String(why.to_owned()))]);
    }
}

/// The field of a pod template that holds why there is no other.
const UNREADABLE: &str = "unreadable";

/// Why a pod template was not kept, if it was not.
pub fn unreadable(template: &Map<String, Value>) -> Option<&str> {
    template.get(UNREADABLE)?.as_str().filter(|_| template.len() == 1)
}

/// The strategy's text without the metadata that nobody reads, and without what pickers say where that is too long.
fn with_little(text: &str) -> String {
    let cut = || {
        let mut object = split(text)?;
        let mut metadata = split(object.get("metadata")?.get())?;
        metadata.retain(|name, _| METADATA.contains(&name.as_str()));
        object.insert("metadata".to_owned(), join(&metadata)?);
        let status = object.get("status").filter(|status| status.get().len() > MAX_PICKERS);
        if let Some(mut status) = status.and_then(|status| split(status.get())) {
            status.remove("pickers");
            object.insert("status".to_owned(), join(&status)?);
        }
        serde_json::to_string(&object).ok()
    };
    cut().unwrap_or_else(|| text.to_owned())
}

/// What of a strategy is too large to be read: why.
#[derive(Default)]
struct Large {
    routing: Option<String>,
    template: Option<String>,
}

impl Large {
    /// # Errors
    /// When the rest of the strategy is too large: it can't be read at all then.
    fn of(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Strategy<'a> {
            #[serde(borrow)]
            spec: Spec<'a>,
            #[serde(borrow)]
            status: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Spec<'a> {
            #[serde(borrow)]
            routing: Option<&'a RawValue>,
            #[serde(borrow)]
            picker: Option<Picker<'a>>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Picker<'a> {
            #[serde(borrow)]
            pod_template: Option<&'a RawValue>,
        }
        let Ok(Strategy { spec: Spec { routing, picker }, status }) = serde_json::from_str(text) else {
            return if text.len() > MAX_REST {
                Err(too_long(text.len(), MAX_REST))
            } else {
                Ok(Self::default())
            };
        };
        let routing = routing.map_or("", RawValue::get);
        let template = picker.and_then(|picker| picker.pod_template).map_or("", RawValue::get);
        let status = status.map_or("", RawValue::get);
        let rest = text.len() - routing.len() - template.len() - status.len();
        if rest > MAX_REST {
            return Err(format!("without routing and pod template {}", too_long(rest, MAX_REST)));
        }
        Ok(Self {
            routing: too_large(routing, MAX_ROUTING, MAX_ROUTING_VALUES),
            template: too_large(template, MAX_POD_TEMPLATE, MAX_TEMPLATE_VALUES),
        })
    }
}

fn too_long(length: usize, most: usize) -> String {
    format!("too long: {length} bytes, more than {most}")
}

/// Why `text` is too large, if it is.
fn too_large(text: &str, longest: usize, most: usize) -> Option<String> {
    if text.len() > longest {
        return Some(too_long(text.len(), longest));
    }
    let values = values(text);
    (values > most).then(|| format!("too large: {values} values, more than {most}"))
}

/// How many values a JSON text has, at most, the names of fields among them.
fn values(text: &str) -> usize {
    let (mut values, mut quoted, mut escaped) = (1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b':' | b'[' | b'{' if !quoted => values += 1,
            _ => {}
        }
    }
    values
}

/// The text of the strategy with the reasons in the place of its routing and its pod template, as far as there are any.
fn replaced(text: &str, routing: Option<&str>, template: Option<&str>) -> Option<String> {
    let mut object = split(text)?;
    let mut spec = split(object.get("spec")?.get())?;
    if let Some(why) = routing {
        spec.insert("routing".to_owned(), raw(&Value::String(why.to_owned()))?);
    }
    if let Some(why) = template {
        let mut picker = split(spec.get("picker")?.get())?;
        picker.insert("podTemplate".to_owned(), raw(&json!({UNREADABLE: why}))?);
        spec.insert("picker".to_owned(), join(&picker)?);
    }
    object.insert("spec".to_owned(), join(&spec)?);
    serde_json::to_string(&object).ok()
}

fn salvage(text: &str, why: &str) -> Option<RoutingStrategy> {
    let without = |routing: bool, template: bool| -> Option<RoutingStrategy> {
        let text = replaced(text, routing.then_some(why), template.then_some(why))?;
        serde_json::from_str(&text).ok()
    };
    without(true, false).or_else(|| without(false, true)).or_else(|| without(true, true))
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt as _;
    use kube::api::{ObjectList, WatchEvent};
    use kube_ext::partial_object::PartialObject;

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
        assert_eq!(list.items[2].name_any(), "chat");
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

    fn template_of(text: &str) -> Option<String> {
        unreadable(&RoutingStrategy::read(text).unwrap().spec.picker.pod_template).map(str::to_owned)
    }

    #[test]
    fn a_pod_template_that_is_too_large_is_not_read() {
        let with = |template: &str| strategy("{}", "Takeover").replace(r#"{"x":1}"#, template);
        let long = |bytes: usize| with(&format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes)));
        assert_eq!(template_of(&long(MAX_POD_TEMPLATE - 8)), None);
        let why = "too long: 32769 bytes, more than 32768".to_owned();
        assert_eq!(template_of(&long(MAX_POD_TEMPLATE - 7)), Some(why));
        let many = |count: usize| with(&format!(r#"{{"x":[{}]}}"#, vec!["1"; count].join(",")));
        assert_eq!(template_of(&many(2000)), None);
        assert_eq!(template_of(&many(3000)), Some("too large: 3003 values, more than 2048".to_owned()));
        // The routing stays as it is.
        let read = RoutingStrategy::read(&many(3000)).unwrap();
        assert_eq!(read.spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
    }

    #[test]
    fn a_routing_of_very_many_values_is_not_read() {
        let parameters = |count: usize| format!(r#"{{"x":[{}]}}"#, vec!["{}"; count].join(","));
        let read =
            |count| RoutingStrategy::read(&strategy(&parameters(count), "Takeover")).unwrap().spec.routing.0;
        assert!(read(8000).is_object());
        assert_eq!(read(10_000), json!("too large: 20010 values, more than 16384"));
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        assert_eq!(values(r#"{"a:,[{":"\",[{:","b":[1,2,{"c":null}]}"#), 10);
    }

    #[test]
    fn of_the_metadata_only_what_is_used_stays() {
        let metadata =
            r#""name":"chat","generation":3,"finalizers":["a/b"],"labels":{"a":"b"},"annotations":{"c":"d"}"#;
        let text = strategy("{}", "Takeover").replace(r#""name":"chat""#, metadata);
        let read = RoutingStrategy::read(&text).unwrap().metadata;
        let kept = (read.name.as_deref(), read.namespace.as_deref(), read.generation, read.finalizers);
        assert_eq!(kept, (Some("chat"), Some("llm"), Some(3), Some(vec!["a/b".to_owned()])));
        assert_eq!((read.labels, read.annotations), (None, None));
    }

    #[test]
    fn a_strategy_that_is_large_elsewhere_is_left_alone() {
        let finalizers = format!(r#""name":"chat","finalizers":["{}"]"#, "x".repeat(MAX_REST));
        let text = strategy("{}", "Takeover").replace(r#""name":"chat""#, &finalizers);
        let why = RoutingStrategy::read(&text).unwrap_err();
        assert!(why.starts_with("without routing and pod template too long: 131"), "{why}");
    }

    #[test]
    fn events_may_be_readable_in_part_too() {
        let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, strategy(&deep(), "Takeover"));
        let event: WatchEvent<PartialObject<RoutingStrategy>> = serde_json::from_str(&event).unwrap();
        let WatchEvent::Modified(item) = event else { panic!("{event:?}") };
        assert!(item.object.is_ok());
    }

    #[test]
    fn fields_of_managers_hide_nothing_however_deep() {
        let managers = format!(r#""name":"chat","managedFields":[{{"fieldsV1":{}}}]"#, deep());
        let text = strategy("{}", "Takeover").replace(r#""name":"chat""#, &managers);
        let read = RoutingStrategy::read(&text).unwrap();
        assert_eq!((read.name_any().as_str(), read.metadata.managed_fields), ("chat", None));
        assert_eq!(read.spec.routing.0, json!({"plugins": [{"type": "a", "parameters": {}}]}));
    }
}
