use std::time::Instant;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Cx;
use crate::compile::compile;
use crate::config::Scope;
use crate::edits::Edits;
use crate::outcome::Usage;
use crate::request::Request;
use crate::store::StateStore;
use crate::testing::{build, unknown};

const USAGE: Usage = Usage { prompt: 100, cached: 64, completion: 20, reasoning: 12 };

/// What the gateway is told at the end of a response with these token counts.
fn told(plugins: &Value, usage: Option<Usage>) -> Edits {
    let compiled = compile(&json!({"plugins": plugins}), Scope::File, &StateStore::default());
    let strategy = compiled.unwrap_or_else(|e| panic!("{e}")).strategy;
    let mut cx = Cx::new(Instant::now(), 1);
    let flight = strategy.route(&Request::default(), &unknown(1), None, &mut cx).unwrap();
    flight.ended(usage, cx.now())
}

fn reporter(parameters: Value) -> Value {
    json!([{"type": "token-count-reporter", "parameters": parameters}])
}

fn numbers(namespace: &'static str, counts: &[(&'static str, f64)]) -> Edits {
    let mut edits = Edits::default();
    counts.iter().for_each(|(key, count)| edits.number(namespace, *key, *count));
    edits
}

#[rstest]
#[case::as_they_are(json!({}), "envoy.lb", &[
    ("llm_input_token", 100.0), ("llm_cached_input_token", 64.0), ("llm_output_token", 20.0),
    ("llm_reasoning_token", 12.0), ("llm_total_token", 120.0),
])]
#[case::elsewhere(
    json!({"namespace": "io.envoy.ai_gateway", "cachedInput": "", "reasoning": "", "output": "out", "total": ""}),
    "io.envoy.ai_gateway",
    &[("llm_input_token", 100.0), ("out", 20.0)]
)]
fn every_count_is_told_under_its_key(
    #[case] parameters: Value,
    #[case] namespace: &'static str,
    #[case] expected: &[(&'static str, f64)],
) {
    assert_eq!(told(&reporter(parameters.clone()), Some(USAGE)), numbers(namespace, expected));
    assert_eq!(told(&reporter(parameters), None), Edits::default());
}

#[rstest]
#[case(json!({"namespace": ""}), "namespace: must not be empty")]
#[case(json!({"output": "llm_input_token"}), "output: is the key of input too")]
#[case(
    json!({"input": "", "output": "", "total": "", "cachedInput": "", "reasoning": ""}),
    "total: at least one key must not be empty"
)]
#[case(json!({"keys": {}}), "keys: ")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] expected: &str) {
    let error = build("token-count-reporter", parameters).err().map(|error| error.to_string());
    let expected = format!("plugins[0].parameters.{expected}");
    assert!(error.as_ref().is_some_and(|error| error.starts_with(&expected)), "{error:?}");
}

proptest! {
    /// It says what request-attribute-reporters say of the same counts, which leave 0 out.
    #[test]
    fn it_says_what_five_reporters_of_one_attribute_say(counts in prop::array::uniform4(1_u32..)) {
        let [prompt, cached, completion, reasoning] = counts.map(u64::from);
        let usage = Some(Usage { prompt, cached, completion, reasoning });
        let expressions = [
            ("llm_input_token", "usage.prompt_tokens"),
            ("llm_cached_input_token", "usage.prompt_token_details.cached_tokens"),
            ("llm_output_token", "usage.completion_tokens"),
            ("llm_reasoning_token", "usage.completion_token_details.reasoning_tokens"),
            ("llm_total_token", "usage.total_tokens"),
        ];
        let reporters: Vec<Value> = expressions.iter().map(|(key, expression)| {
            let attributes = json!([{"key": {"name": key}, "expression": expression}]);
            json!({"type": "request-attribute-reporter", "name": key, "parameters": {"attributes": attributes}})
        }).collect();
        prop_assert_eq!(told(&reporter(json!({})), usage), told(&json!(reporters), usage));
    }
}
