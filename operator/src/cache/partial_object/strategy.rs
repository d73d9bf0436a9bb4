//! The reader of RoutingStrategies, which puts an error in the place of a routing or a pod template that can't be read.

use crds::RoutingStrategy;
use picker_core::config::MAX_ROUTING;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::read::{ReadPartial, fields, joined, without_managers};

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
        let (text, _) = without_managers(text);
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
        let mut object = fields(text)?;
        let mut spec = fields(object.get("spec")?.get())?;
        if routing {
            spec.insert("routing".to_owned(), raw(&Value::String(why.to_owned()))?);
        }
        if template {
            let mut picker = fields(spec.get("picker")?.get())?;
            picker.insert("podTemplate".to_owned(), raw(&json!({"unreadable": why}))?);
            spec.insert("picker".to_owned(), joined(&picker)?);
        }
        object.insert("spec".to_owned(), joined(&spec)?);
        serde_json::from_str(joined(&object)?.get()).ok()
    };
    without(true, false).or_else(|| without(false, true)).or_else(|| without(true, true))
}
