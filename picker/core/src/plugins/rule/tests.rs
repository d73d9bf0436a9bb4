use rstest::rstest;
use serde_json::{Value as Json, json};

use crate::column::Column;
use crate::needs::Needs;
use crate::testing::{Instance, strategy};

/// Why `expression` is refused, as that of `kind`.
fn refused(kind: &str, expression: &str) -> Option<String> {
    let error = Instance::new(kind, json!({"expression": expression})).err().map(|e| e.to_string());
    error.map(|e| e.strip_prefix("plugins[0].parameters.expression: ").unwrap_or(&e).to_owned())
}

#[rstest]
#[case("true &&", "is no CEL: line 1, column 8: Syntax error: mismatched input '<EOF>' expecting expression")]
#[case("user == 'a'", "knows request and endpoint alone, and not user")]
#[case("request.body == 'a'", "can read request by its fields alone: request.model, request.headers")]
#[case(
    "endpoint.queue < 5.0",
    "can read endpoint by its fields alone: endpoint.name, endpoint.labels, endpoint.waiting, endpoint.running, \
     endpoint.kvUsage, endpoint.inFlight"
)]
#[case("request == request", "can read request by its fields alone: request.model, request.headers")]
#[case("request['model'] == 'a'", "can read request by its fields alone: request.model, request.headers")]
#[case("'a' in request", "can read request by its fields alone: request.model, request.headers")]
#[case("request.headers.all(name, true)", "must not have a loop (all, exists, exists_one, filter, map)")]
#[case("{'a': true}['a']", "must not make a map or an object")]
#[case("endpoint.name", "must be true or false")]
#[case("endpoint.labels", "must be true or false")]
#[case("endpoint.waiting", "must be true or false")]
#[case("endpoint.name.launch()", "has no value: Undeclared reference to 'launch'")]
fn what_is_no_condition_is_refused(#[case] expression: &str, #[case] message: &str) {
    assert_eq!(refused("cel-filter", expression).as_deref(), Some(message));
}

#[rstest]
#[case("endpoint.waiting < 5.0", "must be a number")]
#[case("endpoint.name", "must be a number")]
#[case(
    "endpoint.waiting * 2",
    "has no value: Unsupported binary operator 'mul': Float(3.0), Int(2); numbers of an endpoint are of type double: write \
     2.0, not 2"
)]
fn what_is_no_number_is_refused(#[case] expression: &str, #[case] message: &str) {
    assert_eq!(refused("cel-scorer", expression).as_deref(), Some(message));
}

#[test]
fn long_ones_are_refused_and_what_depends_on_the_request_is_not() {
    assert_eq!(refused("cel-filter", &" ".repeat(1025)).as_deref(), Some("is longer than 1024 bytes"));
    let sum = "1.0 + ".repeat(16);
    assert_eq!(refused("cel-scorer", &format!("{sum}1.0")).as_deref(), Some("is nested more than 16 deep"));
    for expression in
        ["request.headers['x'] == 'a'", "endpoint.labels.zone == 'b'", "request.model == 'm'", "true"]
    {
        assert_eq!(refused("cel-filter", expression), None);
    }
    assert_eq!(refused("cel-scorer", "1"), None);
}

#[test]
fn what_may_divide_by_zero_is_warned_of() {
    let routing =
        "plugins: [{type: cel-scorer, parameters: {expression: '1 / (int(endpoint.waiting) - 3)'}}]";
    let warnings: Vec<_> = strategy(routing).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["plugins[0].parameters.expression: has no value for some endpoints: Division by zero of Int(1)"]
    );
}

/// Nothing is done that a rule doesn't need.
#[test]
fn what_is_read_is_what_the_expression_names() {
    let reads = |parameters: Json| {
        let routing = json!({"plugins": [{"type": "cel-scorer", "parameters": parameters}]}).to_string();
        let strategy = strategy(&routing);
        (strategy.needs, strategy.columns.to_vec())
    };
    let of = |expression: &str| reads(json!({"expression": expression}));
    assert_eq!(of("endpoint.inFlight"), (Needs::NOTHING, vec![]));
    assert_eq!(
        of("endpoint.waiting + endpoint.kvUsage"),
        (Needs::NOTHING, vec![Column::WAITING, Column::KV_USAGE])
    );
    assert_eq!(of("has(endpoint.running) ? 1.0 : 0.0"), (Needs::NOTHING, vec![Column::RUNNING]));
    assert_eq!(of("request.headers['a'] == 'b' ? 1.0 : 0.0"), (Needs::NOTHING, vec![]));
    assert_eq!(of("request.model.startsWith('a') ? 1.0 : 0.0"), (Needs::BODY, vec![]));
}
