//! The reader of RoutingStrategies, which puts an error in the place of a routing or a pod template that can't be read.

use kube_ext::raw_fields::{join, split, without_managed_fields};
use kube_ext::read_partial::ReadPartial;
use picker_core::config::MAX_ROUTING;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::RoutingStrategy;

fn raw(value: &Value) -> Option<Box<RawValue>> {
    RawValue::from_string(value.to_string()).ok()
}

impl ReadPartial for RoutingStrategy {
    type Kind = Self;

    /// The strategy; where that can't be read, the strategy with the reason in the place of its routing or its
    /// pod template, which are the fields of any depth: neither compiles then, and the error says so. What can
    /// be read of them stays, since pickers must not be built without it. A routing that is too long is not
    /// read at all.
    fn read(text: &str) -> Result<Self, String> {
        let (text, _) = without_managed_fields(text);
        if let Some(length) = routing_length(&text).filter(|length| *length > MAX_ROUTING) {
            let why = format!("too long: {length} bytes, more than {MAX_ROUTING}");
            return salvage(&text, &why).ok_or(why);
        }
        serde_json::from_str(&text).or_else(|error| {
            let why = error.to_string();
            salvage(&text, &format!("unreadable: {why}")).ok_or(why)
        })
    }
}

/// Length of the text of a strategy's routing.
fn routing_length(text: &str) -> Option<usize> {
    #[derive(Deserialize)]
    struct Strategy<'a> {
        #[serde(borrow)]
        spec: Spec<'a>,
    }
    #[derive(Deserialize)]
    struct Spec<'a> {
        #[serde(borrow)]
        routing: Option<&'a RawValue>,
    }
    let strategy: Strategy<'_> = serde_json::from_str(text).ok()?;
    Some(strategy.spec.routing?.get().len())
}

fn salvage(text: &str, why: &str) -> Option<RoutingStrategy> {
    let without = |routing: bool, template: bool| -> Option<RoutingStrategy> {
        let mut object = split(text)?;
        let mut spec = split(object.get("spec")?.get())?;
        if routing {
            spec.insert("routing".to_owned(), raw(&Value::String(why.to_owned()))?);
        }
        if template {
            let mut picker = split(spec.get("picker")?.get())?;
            picker.insert("podTemplate".to_owned(), raw(&json!({"unreadable": why}))?);
            spec.insert("picker".to_owned(), join(&picker)?);
        }
        object.insert("spec".to_owned(), join(&spec)?);
        serde_json::from_str(join(&object)?.get()).ok()
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

    #[test]
    fn events_are_tolerant_too() {
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
