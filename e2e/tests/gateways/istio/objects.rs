//! The objects with which users tell Istio what to route.

use anyhow::Result;
use e2e::test_env::TestEnv;
use serde_json::{Value, json};

const VERSION: &str = "gateway.networking.k8s.io/v1";

/// The Gateway `gateway`, which Istio serves by the Envoy behind the Service of the same name.
pub fn gateway(namespace: &str) -> Value {
    json!({
        "apiVersion": VERSION,
        "kind": "Gateway",
        "metadata": {"name": "gateway"},
        "spec": {
            "gatewayClassName": "istio",
            "addresses": [{"type": "Hostname", "value": format!("gateway.{namespace}.svc.cluster.local")}],
            "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
        },
    })
}

/// An HTTPRoute from the Gateway to the pool `chat`, with what else `rule` says.
pub fn route(name: &str, rule: Value) -> Value {
    let pool = json!({"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "chat"});
    let mut whole = json!({"backendRefs": [pool]});
    if let (Some(whole), Value::Object(rule)) = (whole.as_object_mut(), rule) {
        whole.extend(rule);
    }
    json!({
        "apiVersion": VERSION,
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"parentRefs": [{"name": "gateway"}], "rules": [whole]},
    })
}

/// The conditions of an HTTPRoute, as Istio wrote them.
pub async fn conditions(env: &TestEnv, route: &str) -> Result<String> {
    let routes = env.kubectl().api(VERSION, "HTTPRoute", env.namespace()).await?;
    let status = &routes.get(route).await?.data["status"];
    let conditions = status["parents"][0]["conditions"].as_array().cloned().unwrap_or_default();
    let mut said: Vec<String> = conditions
        .iter()
        .map(|condition| {
            let word = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            format!("{}={}", word("type"), word("status"))
        })
        .collect();
    said.sort();
    Ok(said.join(" "))
}
