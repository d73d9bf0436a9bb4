use std::time::Instant;

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

/// A routing with one reporter of this attribute.
fn routing(attribute: &Value) -> Value {
    json!({"plugins": [{"type": "request-attribute-reporter", "parameters": {"attributes": [attribute]}}]})
}

/// What the gateway is told at the end of a response with these token counts.
fn told(attribute: &Value, usage: Option<Usage>) -> Edits {
    let compiled = compile(&routing(attribute), Scope::File, &StateStore::default());
    let strategy = compiled.unwrap_or_else(|e| panic!("{e}")).strategy;
    let mut cx = Cx::new(Instant::now(), 1);
    let flight = strategy.route(&Request::default(), &unknown(1), None, &mut cx).unwrap();
    flight.ended(usage, cx.now())
}

fn number(namespace: &'static str, key: &'static str, value: f64) -> Edits {
    let mut edits = Edits::default();
    edits.number(namespace, key, value);
    edits
}

#[rstest]
#[case::two_counts("usage.prompt_tokens + usage.completion_tokens", None, Some(120.0))]
#[case::cached("usage.prompt_token_details.cached_tokens", None, Some(64.0))]
#[case::reasoning("usage.completion_token_details.reasoning_tokens", None, Some(12.0))]
#[case::as_openai_calls_it("usage.completion_tokens_details.reasoning_tokens", None, Some(12.0))]
#[case::fractions_are_cut_off("usage.completion_tokens * 0.99", None, Some(19.0))]
#[case::towards_zero("-0.99 * usage.completion_tokens", None, Some(-19.0))]
#[case::an_int("int(usage.prompt_tokens) % 7", None, Some(2.0))]
#[case::a_uint("7u", None, Some(7.0))]
#[case::a_constant("-1", None, Some(-1.0))]
#[case::zero_is_not_told("usage.prompt_tokens - 100.0", None, None)]
#[case::what_becomes_zero_is_not_told("0.5", None, None)]
#[case::no_number_at_all("usage.prompt_tokens / 0.0", None, None)]
#[case::only_for_this_answer_no_value("1 / (int(usage.prompt_tokens) - 100)", None, None)]
#[case::condition("usage.total_tokens", Some("usage.completion_tokens > 10"), Some(120.0))]
#[case::condition_is_false("usage.total_tokens", Some("usage.completion_tokens > 20"), None)]
#[case::condition_is_empty("usage.total_tokens", Some(""), Some(120.0))]
#[case::llm_ds_example(
    "usage.prompt_tokens + usage.completion_tokens\n",
    Some("has(usage.prompt_tokens) && has(usage.completion_tokens)"),
    Some(120.0)
)]
fn the_number_is_told_at_the_end(
    #[case] expression: &str,
    #[case] condition: Option<&str>,
    #[case] expected: Option<f64>,
) {
    let attribute = json!({"key": {"name": "cost"}, "expression": expression, "condition": condition});
    let expected = expected.map_or_else(Edits::default, |value| number("envoy.lb", "cost", value));
    assert_eq!(told(&attribute, Some(USAGE)), expected);
}

#[test]
fn nothing_is_told_of_an_answer_without_token_counts() {
    let attribute = json!({"key": {"name": "cost"}, "expression": "1"});
    assert_eq!(told(&attribute, None), Edits::default());
    assert_eq!(told(&attribute, Some(USAGE)), number("envoy.lb", "cost", 1.0));
}

#[test]
fn the_namespace_may_be_another_one() {
    let attribute = json!({"key": {"namespace": "billing", "name": "cost"}, "expression": "1"});
    assert_eq!(told(&attribute, Some(USAGE)), number("billing", "cost", 1.0));
}

#[test]
fn several_reporters_tell_several_numbers() {
    let reporter = |name: &str, expression: &str| {
        let attributes = json!([{"key": {"name": name}, "expression": expression}]);
        json!({"type": "request-attribute-reporter", "name": name, "parameters": {"attributes": attributes}})
    };
    let routing = json!({"plugins": [reporter("in", "usage.prompt_tokens"), reporter("out", "usage.completion_tokens")]});
    let strategy = compile(&routing, Scope::File, &StateStore::default()).unwrap().strategy;
    let mut cx = Cx::new(Instant::now(), 1);
    let flight = strategy.route(&Request::default(), &unknown(1), None, &mut cx).unwrap();
    let mut expected = number("envoy.lb", "in", 100.0);
    expected.number("envoy.lb", "out", 20.0);
    assert_eq!(flight.ended(Some(USAGE), cx.now()), expected);
}

#[rstest]
#[case(json!({}), "attributes: is required")]
#[case(json!({"attributes": []}), "attributes: must have exactly one entry; declare the plugin once for each number")]
#[case(
    json!({"attributes": [
        {"key": {"name": "a"}, "expression": "1"}, {"key": {"name": "b"}, "expression": "1"}
    ]}),
    "attributes: must have exactly one entry; declare the plugin once for each number"
)]
#[case(json!({"attributes": [{"expression": "1"}]}), "attributes[0].key: is required")]
#[case(json!({"attributes": [{"key": {}, "expression": "1"}]}), "attributes[0].key.name: is required")]
#[case(json!({"attributes": [{"key": {"name": ""}, "expression": "1"}]}), "attributes[0].key.name: must not be empty")]
#[case(
    json!({"attributes": [{"key": {"name": "a"}, "expression": "usage."}]}),
    "attributes[0].expression: is no CEL: line 1, column 7: expected identifier after '.'"
)]
#[case(
    json!({"attributes": [{"key": {"name": "a"}, "expression": "'a'"}]}),
    "attributes[0].expression: must be a number"
)]
#[case(
    json!({"attributes": [{"key": {"name": "a"}, "expression": "usage.prompt_tokens * 2"}]}),
    "attributes[0].expression: has no value for an answer with all token counts: Unsupported binary operator 'mul': \
     Float(1000.0), Int(2); the numbers of usage are of type double: write 2.0, not 2"
)]
#[case(
    json!({"attributes": [{"key": {"name": "a"}, "expression": "usage.tokens"}]}),
    "attributes[0].expression: has no value for an answer with all token counts: No such key: tokens; test with \
     has(…) whether it is there"
)]
#[case(
    json!({"attributes": [{"key": {"name": "a"}, "expression": "1", "condition": "usage.prompt_tokens"}]}),
    "attributes[0].condition: must be true or false"
)]
#[case(
    json!({"attributes": [{"key": {"name": "a"}, "expression": "1", "condition": "tokens > 1"}]}),
    "attributes[0].condition: knows usage alone, and not tokens"
)]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] expected: &str) {
    let error = build("request-attribute-reporter", parameters).err().map(|error| error.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{expected}")));
}

#[test]
fn an_expression_that_its_condition_guards_is_taken_with_a_warning() {
    let attribute = json!({
        "key": {"name": "reasoning"},
        "expression": "usage.reasoning_tokens",
        "condition": "has(usage.reasoning_tokens)",
    });
    let strategy = compile(&routing(&attribute), Scope::File, &StateStore::default()).unwrap().strategy;
    let warnings: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "plugins[0].parameters.attributes[0].expression: has no value for an answer with all token counts: No such \
          key: reasoning_tokens; test with has(…) whether it is there"
        ]
    );
    assert_eq!(told(&attribute, Some(USAGE)), Edits::default());
}
