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
mod tests;
