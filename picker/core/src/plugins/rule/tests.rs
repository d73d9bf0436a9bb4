use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value as Json, json};

use super::{Answer, COLUMNS, Rule, Typed, VARIABLES};
use crate::ask::Ask;
use crate::column::{Column, Columns};
use crate::endpoint::{EndpointSpec, Load, Slots};
use crate::fact::Facts;
use crate::needs::Needs;
use crate::plugins::observe::expression::Expression;
use crate::request::Request;
use crate::testing::{self, Instance, request, spec, strategy, view, with_headers};
use crate::view::{Model, Models, Reading, Signals, View};

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
     endpoint.kvUsage, endpoint.inFlight, endpoint.models, endpoint.attributes"
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

fn models(names: &[&str]) -> Signals {
    let model = |name: &&str| Model { id: (*name).into(), parent: None };
    let models = Models::new(names.iter().map(model).collect());
    Signals { models: Some(Arc::new(models)), ..Signals::default() }
}

/// A server that lists its models serves those alone, and one that lists none is left to the rest of the strategy.
#[test]
fn a_rule_may_ask_whether_a_server_has_the_model_of_a_request() {
    let view = view([models(&["base", "lora"]), models(&["base"]), models(&[]), Signals::default()]);
    let kept = |expression: &str, model: &str| {
        let mut filter = Instance::new("cel-filter", json!({"expression": expression})).unwrap();
        filter.kept(&request(model, ""), &view)
    };
    let rule = "request.model in endpoint.models";
    assert_eq!(kept(rule, "lora"), [0, 3]);
    assert_eq!(kept(rule, "base"), [0, 1, 3]);
    assert_eq!(kept(rule, "other"), [3]);
    assert_eq!(kept("has(endpoint.models) && 'lora' in endpoint.models", "x"), [0]);
    // It is a list and no more.
    assert_eq!(kept("endpoint.models['lora'] == true", "x"), [0, 1, 2, 3]);
    assert!(refused("cel-filter", "7 in endpoint.models").is_some());
    let scorer = json!({"expression": "request.model in endpoint.models ? 1.0 : 0.25"});
    let scorer = Instance::new("cel-scorer", scorer).unwrap();
    assert_eq!(scorer.scores(&request("lora", ""), &view), [1.0, 0.25, 0.25, 0.5]);
}

#[test]
fn a_rule_may_read_attributes_by_their_names() {
    // The first column that an instance asks for.
    let column = Columns::default().intern("/GPUUtilization").unwrap();
    let busy = |value: f32| Signals { others: vec![(column, value)], ..Signals::default() };
    let view = view([busy(0.25), busy(0.95), Signals::default()]);
    let kept = |expression: &str| {
        let mut filter = Instance::new("cel-filter", json!({"expression": expression})).unwrap();
        filter.kept(&Request::default(), &view)
    };
    assert_eq!(kept("endpoint.attributes['GPUUtilization'] < 0.9"), [0, 2]);
    assert_eq!(kept("endpoint.attributes.GPUUtilization > 0.9"), [1, 2]);
    assert_eq!(kept("has(endpoint.attributes.GPUUtilization)"), [0, 1]);
    assert_eq!(kept("'GPUUtilization' in endpoint.attributes"), [0, 1]);
    let names_alone = "can read endpoint.attributes by their names alone: endpoint.attributes[\"…\"]";
    for expression in [
        "endpoint.attributes[request.model] < 1.0",
        "endpoint.attributes == 1.0",
        "endpoint.name in endpoint.attributes",
    ] {
        assert_eq!(refused("cel-filter", expression).as_deref(), Some(names_alone), "{expression}");
    }
    assert_eq!(refused("cel-filter", "endpoint.attributes[''] < 1.0").as_deref(), Some("must not be empty"));
}

/// Texts of expressions that typed trees are made of: conditions and numbers.
fn expressions() -> (BoxedStrategy<String>, BoxedStrategy<String>) {
    let texts = [
        "'a'",
        "'b'",
        "''",
        "request.model",
        "request.headers.zone",
        "request.headers['x-tier']",
        "endpoint.name",
        "endpoint.labels.zone",
        "endpoint.labels['tier']",
    ];
    let text = || prop::sample::select(texts.to_vec());
    let numbers = [
        "0.0",
        "1.0",
        "2.5",
        "endpoint.waiting",
        "endpoint.running",
        "endpoint.kvUsage",
        "endpoint.inFlight",
    ];
    let comparable = prop::sample::select([&numbers[..], &["0", "3"]].concat());
    let place = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
    let ordered = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let condition = prop_oneof![
        prop::sample::select(vec!["true", "false"]).prop_map(str::to_owned),
        (comparable.clone(), ordered, comparable).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), prop::sample::select(vec!["==", "!="]), text())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), text(), text()).prop_map(|(a, b, c)| format!("{a} in [{b}, {c}]")),
        (text(), place, text()).prop_map(|(a, place, b)| format!("{a}.{place}({b})")),
        prop::sample::select(vec![
            "'zone' in endpoint.labels",
            "'x-tier' in request.headers",
            "has(request.model)",
            "has(request.headers.zone)",
            "has(endpoint.labels.tier)",
            "has(endpoint.name)",
            "has(endpoint.waiting)",
            "has(endpoint.inFlight)",
        ])
        .prop_map(str::to_owned),
    ];
    let conditions = condition.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    });
    let number = prop::sample::select(numbers.to_vec()).prop_map(str::to_owned);
    let of = conditions.clone();
    let numbers = number.prop_recursive(3, 12, 3, move |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/"]);
        prop_oneof![
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (of.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    });
    let whole = (conditions.clone(), numbers.clone()).prop_map(|(a, b)| format!("{a} ? {b} : 1"));
    (conditions.boxed(), prop_oneof![4 => numbers, 1 => whole].boxed())
}

fn rule(text: &str) -> Option<Rule> {
    let expression = Expression::over(&VARIABLES.map(|(name, _)| name), text).ok()?;
    let typed = Typed::read(expression.tree(), &COLUMNS.map(|(field, _)| field));
    Some(Rule {
        expression,
        columns: [true; 3],
        attributes: Default::default(),
        models: false,
        needs: Needs::NOTHING,
        by_labels: false,
        typed,
    })
}

/// What the rule in `text` comes to for each endpoint, first as a typed tree, then interpreted; `None` for what is no rule.
fn both<A: Answer>(text: &str, request: &Request, view: &View) -> Option<[Vec<Option<A>>; 2]> {
    let mut rule = rule(text)?;
    assert!(rule.typed.is_some(), "{text}");
    let facts = Facts::default();
    let ask = Ask { request, view, facts: &facts, done: &[], now: Instant::now() };
    let all = |rule: &Rule| (0..view.len()).map(|i| rule.about(&ask).of(i)).collect();
    let typed = all(&rule);
    rule.typed = None;
    Some([typed, all(&rule)])
}

proptest! {
    #[test]
    fn a_typed_tree_comes_to_what_the_interpreter_does(
        condition in expressions().0,
        number in expressions().1,
        rows in prop::collection::vec((prop::option::of(0..4_u8), prop::option::of(0.0_f32..1.0), prop::option::of("[ab]"), 0..3_u32), 1..5),
        headers in (prop::option::of("[ab]"), prop::option::of("[ab]")),
        model in prop::option::of("[ab]"),
    ) {
        let mut slots = Slots::default();
        let now = Instant::now();
        let rows = rows.into_iter().zip(0..).map(|((waiting, kv_usage, zone, requests), n)| {
            let labels = zone.map(|zone| ("zone".to_owned(), zone)).into_iter().collect();
            let endpoint = Arc::new(slots.admit(EndpointSpec { labels, ..spec(n) }));
            endpoint.live().add(Load { requests, tokens: 0 });
            let signals = Signals { waiting: waiting.map(f32::from), kv_usage, ..Signals::default() };
            (endpoint, Reading { signals, at: Some(now) })
        });
        let view = View::build(rows.collect(), now, Duration::from_secs(1));
        let named = [("zone", &headers.0), ("x-tier", &headers.1)];
        let headers = with_headers(named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))));
        let request = Request { headers: headers.headers, ..testing::request(model.as_deref().unwrap_or(""), "") };
        if let Some([typed, interpreted]) = both::<bool>(&condition, &request, &view) {
            prop_assert_eq!(typed, interpreted, "{}", condition);
        }
        if let Some([typed, interpreted]) = both::<f64>(&number, &request, &view) {
            // NaN is equal to NaN here.
            let bits = |all: Vec<Option<f64>>| all.into_iter().map(|v| v.map(|v| (v.is_nan(), if v.is_nan() { 0 } else { v.to_bits() }))).collect::<Vec<_>>();
            prop_assert_eq!(bits(typed), bits(interpreted), "{}", number);
        }
    }
}

#[rstest]
#[case("endpoint.name.matches('a')")]
#[case("endpoint.labels[request.headers.x] == 'a'")]
#[case("size(endpoint.name) > 3")]
#[case("int(endpoint.waiting) % 2 == 0")]
#[case("endpoint.labels.zone == endpoint.waiting")]
#[case("endpoint.name < 'a'")]
#[case("endpoint.waiting in [1.0]")]
#[case("request.model in endpoint.models")]
#[case("endpoint.attributes['busy'] < 1.0")]
#[case("endpoint.attributes.busy < 1.0")]
#[case("has(endpoint.attributes.busy)")]
fn what_is_no_typed_tree_is_interpreted(#[case] text: &str) {
    assert!(rule(text).unwrap().typed.is_none());
}
