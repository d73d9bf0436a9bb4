//! The few facts of an EndpointSlice that the operator keeps: whether a Service of its pickers has addresses.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube_ext::read_partial::{ReadPartial, decode};
use serde::Deserialize;

use crate::names;

/// Label of an EndpointSlice with the name of its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// The facts of an EndpointSlice that the operator keeps. Slices have the labels of their Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceFacts {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of its Service.
    pub service: String,
    /// Name of the strategy that the Service was made for.
    pub strategy: Option<String>,
    /// Whether an address of it takes requests.
    pub ready: bool,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    addresses: Option<Vec<String>>,
    #[serde(default)]
    conditions: Option<Conditions>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

impl Endpoint {
    /// Without a word on it, an endpoint counts as ready.
    fn is_ready(&self) -> bool {
        self.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
            && self.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty())
    }
}

impl ReadPartial for SliceFacts {
    type Kind = EndpointSlice;

    fn read(text: &str) -> Result<Self, String> {
        let Text { metadata, endpoints } = decode(text)?;
        let mut labels = metadata.labels.unwrap_or_default();
        Ok(Self {
            name: metadata.name,
            namespace: metadata.namespace,
            service: labels.remove(SERVICE).unwrap_or_default(),
            strategy: labels.remove(names::STRATEGY),
            ready: endpoints.iter().flatten().any(Endpoint::is_ready),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(endpoints: Value) -> SliceFacts {
        let labels = json!({SERVICE: "qwen-picker", names::STRATEGY: "chat"});
        let slice = json!({
            "metadata": {"name": "qwen-picker-x", "namespace": "llm", "labels": labels},
            "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 9002}],
        });
        SliceFacts::read(&slice.to_string()).unwrap()
    }

    #[test]
    fn a_slice_is_ready_when_one_of_its_addresses_is() {
        let endpoint = |ready: Value| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": ready}});
        let whole = SliceFacts {
            name: "qwen-picker-x".to_owned(),
            namespace: "llm".to_owned(),
            service: "qwen-picker".to_owned(),
            strategy: Some("chat".to_owned()),
            ready: true,
        };
        assert_eq!(read(json!([endpoint(json!(false)), endpoint(json!(true))])), whole);
        for (endpoints, ready) in [
            (json!([endpoint(Value::Null)]), true),
            (json!([{"addresses": ["10.0.0.1"], "conditions": null}]), true),
            (json!([endpoint(json!(false))]), false),
            (json!([{"addresses": [], "conditions": {"ready": true}}]), false),
            (json!([]), false),
            (Value::Null, false),
        ] {
            assert_eq!(read(endpoints.clone()).ready, ready, "{endpoints}");
        }
    }
}
