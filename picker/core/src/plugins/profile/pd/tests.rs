use std::time::Instant;

use rstest::rstest;
use serde_json::{Value, json};

use crate::config::Scope;
use crate::cx::Cx;
use crate::request::Request;
use crate::store::StateStore;
use crate::testing::{labelled, strategy};

const PODS: [&[(&str, &str)]; 2] = [&[("llm-d.ai/role", "decode")], &[("llm-d.ai/role", "prefill")]];

fn routing(parameters: &Value) -> Value {
    json!({
        "plugins": [
            {"type": "pd-profile-handler", "parameters": parameters},
            {"type": "always-disagg-pd-decider", "name": "always"},
            {"type": "decode-filter"},
            {"type": "prefill-filter"},
        ],
        "schedulingProfiles": [
            {"name": "prefill", "plugins": [{"pluginRef": "prefill-filter"}]},
            {"name": "decode", "plugins": [{"pluginRef": "decode-filter"}]},
        ],
    })
}

/// The destination that is set, and the headers.
fn route(parameters: &Value) -> (Option<String>, Vec<(String, String)>) {
    let strategy = strategy(&routing(parameters).to_string());
    let flight =
        strategy.route(&Request::default(), &labelled(PODS), None, &mut Cx::new(Instant::now(), 1)).unwrap();
    assert_eq!(flight.endpoint().pod, "pod-0");
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let headers = flight.edits().headers().iter().map(|(name, value)| (name.to_string(), text(value)));
    (flight.edits().destination().map(|address| text(address)), headers.collect())
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_prefill_server_is_told_by_header() {
    let prefiller = header("x-prefiller-host-port", "10.0.0.1:8000");
    assert_eq!(route(&json!({"deciderPluginName": "always"})), (None, vec![prefiller]));
}

#[test]
fn with_a_primary_port_the_rank_is_told_too() {
    let (destination, mut headers) = route(&json!({"deciderPluginName": "always", "primaryPort": 9000}));
    headers.sort();
    assert_eq!(destination.as_deref(), Some("10.0.0.0:9000"));
    let expected = [
        header("x-data-parallel-host-port", "10.0.0.0:8000"),
        header("x-prefiller-host-port", "10.0.0.1:8000"),
    ];
    assert_eq!(headers, expected);
}

#[rstest]
#[case(json!({}), "plugins[0].parameters.deciderPluginName: ")]
#[case(json!({"deciderPluginName": "always", "decodeProfile": "none"}), "plugins[0].parameters.decodeProfile: there is no scheduling profile called \"none\"")]
#[case(json!({"deciderPluginName": "always", "prefillProfile": "decode"}), "plugins[0].parameters.prefillProfile: is the profile of another stage")]
fn what_it_needs_must_be_there(#[case] parameters: Value, #[case] message: &str) {
    let compiled = crate::compile::compile(&routing(&parameters), Scope::File, &StateStore::default());
    let error = compiled.err().unwrap().0[0].to_string();
    assert!(error.starts_with(message), "{error}");
}
