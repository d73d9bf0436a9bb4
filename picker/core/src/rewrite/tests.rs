use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Scope;
use crate::hot::{Hot, Outcome};
use crate::request::Headers;
use crate::testing::spec;
use crate::view::{Model, Models, Reading, Signals};

/// The settings of a section `models`.
fn settings(models: Value) -> ModelSettings {
    let hot = Hot::default();
    offer(&hot, models);
    hot.current().unwrap().models.clone()
}

fn offer(hot: &Hot, models: Value) {
    let routing = json!({"plugins": [{"type": "random-picker"}], "models": models});
    assert!(matches!(hot.offer(&routing, Scope::Resource), Outcome::Swapped { .. }), "{routing}");
}

fn request(path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let head = [(":path", path), ("content-type", "application/json")];
    let headers = head.iter().chain(headers).map(|(name, value)| (bytes(name), bytes(value))).collect();
    Request::new(Headers(headers), bytes(body)).unwrap()
}

fn chat(model: &str) -> Request {
    request("/v1/chat/completions", &[], &json!({"model": model, "n": 1}).to_string())
}

/// Endpoints that list these models; `None` for one of which that is not known.
fn view(lists: &[Option<&[&str]>]) -> View {
    let mut slots = crate::endpoint::Slots::default();
    let list = |ids: &[&str]| {
        let model = |id: &&str| Model { id: (*id).into(), parent: None };
        Arc::new(Models::new(ids.iter().map(model).collect()))
    };
    let row = |(n, ids): (usize, &Option<&[&str]>)| {
        let signals = Signals { models: ids.map(list), ..Signals::default() };
        (Arc::new(slots.admit(spec(n as u8 + 1))), Reading { signals, at: Some(Instant::now()) })
    };
    View::build(lists.iter().enumerate().map(row).collect(), Instant::now(), Duration::from_secs(60))
}

/// The body of `request` with the edits that a rewrite makes of it.
fn written(request: &Request) -> String {
    let mut edits = Edits::default();
    write(request, &mut edits);
    let mut body = request.body.to_vec();
    for splice in edits.splices().iter().rev() {
        body.splice(splice.range.clone(), splice.with.iter().copied());
    }
    String::from_utf8(body).unwrap()
}

/// The model under which each request goes on.
fn targets(settings: &ModelSettings, requests: impl IntoIterator<Item = Request>) -> Vec<String> {
    let view = view(&[]);
    let target = |mut request: Request| {
        apply(settings, &Rules::default(), &mut request, false, &view).unwrap();
        request.model().unwrap_or("-").to_owned()
    };
    requests.into_iter().map(target).collect()
}

#[test]
fn the_first_rule_that_is_for_a_request_counts() {
    let settings = settings(json!({"rules": [
        {"name": "beta", "matches": [{"model": "qwen", "headers": [{"name": "X-User", "value": "beta"}]}], "targets": [{"model": "qwen-beta"}]},
        {"name": "gpt", "matches": [{"modelPrefix": "gpt-"}, {"model": "o1"}], "targets": [{"model": "qwen"}]},
        {"name": "embed", "matches": [{"pathPrefix": "/v1/embeddings"}], "targets": [{"model": "bge"}]},
        {"name": "low", "matches": [{"model": "batch"}], "priority": -5},
    ]}));
    let beta = |model: &str, user: &str| {
        request("/v1/chat/completions", &[("x-user", user)], &json!({"model": model}).to_string())
    };
    let embed = request("/v1/embeddings", &[], r#"{"input": "a"}"#);
    let requests = [
        beta("qwen", "beta"),
        beta("qwen", "other"),
        beta("other", "beta"),
        chat("gpt-4o"),
        chat("o1"),
        chat("o1-mini"),
        embed,
        chat("batch"),
    ];
    assert_eq!(
        targets(&settings, requests),
        ["qwen-beta", "qwen", "other", "qwen", "qwen", "o1-mini", "bge", "batch"]
    );

    let priority = |mut request: Request, named| {
        request.priority = if named { 7 } else { 0 };
        apply(&settings, &Rules::default(), &mut request, named, &view(&[])).unwrap();
        request.priority
    };
    assert_eq!(
        [priority(chat("batch"), false), priority(chat("batch"), true), priority(chat("o1"), false)],
        [-5, 7, 0]
    );
}

#[test]
fn only_the_name_changes_in_a_body() {
    let settings = settings(json!({"rules": [{"name": "all", "targets": [{"model": "a \"b\"\\"}]}]}));
    for (before, after) in [
        (
            r#"{"model":"qwen","n":12345678901234567890.0}"#,
            r#"{"model":"a \"b\"\\","n":12345678901234567890.0}"#,
        ),
        (
            r#"{ "n" : 9007199254740993 , "model" : "qw\u0065n" }"#,
            r#"{ "n" : 9007199254740993 , "model" : "a \"b\"\\" }"#,
        ),
        (r#"{"model":"x","model":"qwen"}"#, r#"{"model":"x","model":"a \"b\"\\"}"#),
        (r#"{"model":null}"#, r#"{"model":"a \"b\"\\"}"#),
        (r#"{"n":1}"#, r#"{"model":"a \"b\"\\","n":1}"#),
        (r#"{ }"#, r#"{"model":"a \"b\"\\" }"#),
    ] {
        let mut request = request("/v1/chat/completions", &[], before);
        apply(&settings, &Rules::default(), &mut request, false, &view(&[])).unwrap();
        assert_eq!(written(&request), after, "{before}");
    }
    // What can't be written is not said to be.
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let mut binary = Request { body: bytes("\u{1}\u{2}"), ..Request::default() };
    assert_eq!(apply(&settings, &Rules::default(), &mut binary, false, &view(&[])), Ok(None));
    assert_eq!((binary.target_model.clone(), written(&binary)), (None, "\u{1}\u{2}".to_owned()));
}

#[test]
fn a_rewrite_tells_the_rule_and_both_names_and_its_own_name_is_none() {
    let settings = settings(
        json!({"rules": [{"name": "r", "matches": [{"model": "a"}, {"model": "b"}], "targets": [{"model": "b"}]}]}),
    );
    let told =
        |model: &str| apply(&settings, &Rules::default(), &mut chat(model), false, &view(&[])).unwrap();
    let rewrite = Rewrite { rule: "r".into(), client: Some("a".into()), target: "b".into() };
    assert_eq!([told("a"), told("b"), told("c")], [Some(rewrite), None, None]);
}

fn split(weights: [u32; 2], sticky: bool) -> Value {
    let mut rule = json!({"name": "canary", "targets": [
        {"model": "v1", "weight": weights[0]}, {"model": "v2", "weight": weights[1]},
    ]});
    if sticky {
        rule["sticky"] = json!({"header": "x-session"});
    }
    json!({"rules": [rule]})
}

fn counts(targets: Vec<String>) -> BTreeMap<String, usize> {
    targets.into_iter().fold(BTreeMap::new(), |mut counts, target| {
        *counts.entry(target).or_default() += 1;
        counts
    })
}

#[test]
fn shares_are_exact_over_any_stretch_and_a_swap_does_not_begin_anew() {
    let hot = Hot::default();
    offer(&hot, split([90, 10], false));
    let mut all = Vec::new();
    for n in 0..100 {
        // An edit of another part.
        if n == 50 {
            let mut models = split([90, 10], false);
            models["rules"].as_array_mut().unwrap().push(json!({"name": "more", "priority": 1}));
            offer(&hot, models);
        }
        let settings = hot.current().unwrap().models.clone();
        let stretch = targets(&settings, (0..100).map(|_| chat("qwen")));
        let canary = stretch.iter().filter(|target| *target == "v2").count();
        assert!((8..=12).contains(&canary), "{n}: {canary}");
        all.extend(stretch);
    }
    let counts = counts(all);
    assert!(counts["v2"].abs_diff(1000) <= 3, "{counts:?}");
}

#[test]
fn a_session_stays_at_its_target_and_a_change_of_weights_moves_as_few_as_can_be() {
    let session =
        |n: usize| request("/v1/chat/completions", &[("x-session", &n.to_string())], r#"{"model":"qwen"}"#);
    let of = |weights| targets(&settings(split(weights, true)), (0..10_000).map(session));
    let [first, again, more] = [[90, 10], [90, 10], [90, 30]].map(of);
    assert_eq!(first, again);
    assert!(counts(first.clone())["v2"].abs_diff(1000) <= 100, "{:?}", counts(first));
    // A quarter has v2 now; nobody who had it left.
    assert!(counts(more.clone())["v2"].abs_diff(2500) <= 150, "{:?}", counts(more));
    let left = first.iter().zip(&more).filter(|(before, after)| *before == "v2" && *after == "v1").count();
    assert_eq!(left, 0);
    // Without a session the shares are exact.
    let without = targets(&settings(split([90, 10], true)), (0..1000).map(|_| chat("qwen")));
    assert!(counts(without.clone())["v2"].abs_diff(100) <= 2, "{:?}", counts(without));
}

#[test]
fn weights_of_zero_get_nothing() {
    assert_eq!(targets(&settings(split([0, 5], false)), [chat("a"), chat("a")]), ["v2", "v2"]);
    assert_eq!(targets(&settings(split([0, 0], false)), [chat("a")]), ["a"]);
    let only = json!({"rules": [{"name": "r", "targets": [{"model": "b", "weight": 0}]}]});
    assert_eq!(targets(&settings(only), [chat("a")]), ["a"]);
}

#[test]
fn fallbacks_take_the_place_of_what_nobody_lists_and_an_unknown_model_is_refused_by_its_own_name() {
    let settings = settings(json!({"listed": true, "unknown": "NotFound", "rules": [
        {"name": "r", "matches": [{"model": "best"}], "targets": [{"model": "large", "fallbacks": ["medium", "small"]}]},
    ]}));
    let asked = |model: &str, lists: &[Option<&[&str]>]| {
        let mut request = chat(model);
        let applied = apply(&settings, &Rules::default(), &mut request, false, &view(lists));
        applied.map(|_| request.model().unwrap().to_owned()).map_err(|refusal| refusal.message().to_owned())
    };
    let (large, small): (Option<&[&str]>, Option<&[&str]>) = (Some(&["large"]), Some(&["base", "small"]));
    assert_eq!(asked("best", &[large, small]), Ok("large".to_owned()));
    assert_eq!(asked("best", &[small]), Ok("small".to_owned()));
    // It may be there.
    assert_eq!(asked("best", &[small, None]), Ok("large".to_owned()));
    assert_eq!(asked("none", &[small, None]), Ok("none".to_owned()));
    assert_eq!(asked("base", &[large, small]), Ok("base".to_owned()));
    let missing = |model: &str| Err(format!("no model server has the model {model:?}; ask for another one"));
    assert_eq!(asked("none", &[large, small]), missing("none"));
    assert_eq!(asked("best", &[Some(&["other"])]), missing("best"));
    // Without servers there is another refusal.
    assert_eq!(asked("none", &[]), Ok("none".to_owned()));
}

#[test]
fn a_header_names_the_model_where_it_is_believed_and_no_rule_does() {
    let rules =
        settings(json!({"rules": [{"name": "r", "matches": [{"model": "a"}], "targets": [{"model": "b"}]}]}));
    let asked = |model: &str, name: &str, believed| {
        let body = json!({"model": model}).to_string();
        let mut request = request("/v1/chat/completions", &[(name, " c ")], &body);
        request.trust.model_rewrite = believed;
        apply(&rules, &Rules::default(), &mut request, false, &view(&[])).unwrap();
        request.model().unwrap().to_owned()
    };
    let [new, old] = header::MODEL_REWRITE;
    assert_eq!(
        [asked("x", new, true), asked("x", old, true), asked("x", new, false), asked("a", new, true)],
        ["c", "c", "x", "b"]
    );
}

#[test]
fn what_is_wrong_with_the_section_is_told_with_its_place() {
    let routing = json!({"plugins": [{"type": "random-picker"}], "models": {
        "unknown": "NotFound", "more": 1,
        "rules": [
            {"name": "a", "targets": [{"model": "m", "weight": 1_000_001}, {"weight": 1}]},
            {"name": "a", "matches": [{"model": "x", "modelPrefix": "y", "headers": [{"name": "a b", "value": "c"}]}]},
            {"targets": [{"model": "m", "fallbacks": [1]}], "sticky": {}, "priority": 1.5},
            {"name": "b".repeat(300), "targets": [{"model": "m"}], "sticky": {"cookie": "a=b"}},
        ],
    }});
    let Outcome::Refused(errors) = Hot::default().offer(&routing, Scope::Resource) else { panic!() };
    let told: Vec<_> = errors.0.iter().map(|error| error.to_string()).collect();
    assert_eq!(
        told,
        [
            "models.unknown: NotFound needs the lists of the servers; write listed: true beside it",
            "models.more: unknown field; known here: listed, unknown, rules",
            "models.rules[0].targets[0].weight: must lie between 0 and 1000000",
            "models.rules[0].targets[1].model: is required",
            "models.rules[1].name: a second rule is called \"a\"; give it another name",
            "models.rules[1].matches[0].modelPrefix: stands beside model; write one of the two",
            "models.rules[1].matches[0].headers[0].name: \"a b\" is no name of a header",
            "models.rules[1].targets: is required: the models among which the requests are split (or write a priority)",
            "models.rules[2].targets[0].fallbacks[0]: must be the name of a model, is 1",
            "models.rules[2].sticky: must have either header or cookie",
            "models.rules[2].priority: must be a whole number of 32 bits",
            "models.rules[2].name: is required",
            "models.rules[3].name: has 300 bytes, more than 256",
            "models.rules[3].sticky.cookie: \"a=b\" is no name of a cookie",
        ]
    );
}

#[test]
fn a_name_that_is_too_long_is_not_told_again() {
    let settings = settings(json!({"rules": [{"name": "r", "targets": [{"model": "b"}]}]}));
    let told = |length| {
        let rewrite = apply(&settings, &Rules::default(), &mut chat(&"a".repeat(length)), false, &view(&[]));
        rewrite.unwrap().unwrap().client.map(|name| name.len())
    };
    assert_eq!([told(256), told(257)], [Some(256), None]);
}

#[test]
fn a_header_that_is_believed_needs_the_body() {
    let needs = |trust: Value| {
        let hot = Hot::default();
        hot.offer(&json!({"plugins": [{"type": "random-picker"}], "trust": trust}), Scope::Resource);
        hot.current().unwrap().needs.has(crate::Needs::BODY)
    };
    assert_eq!([needs(json!({})), needs(json!({"modelRewrite": true}))], [false, true]);
}

proptest! {
    #[test]
    fn the_rule_that_is_found_is_the_first_that_is_for_the_request(rules in prop::collection::vec(prop::collection::vec(0_usize..6, 0..3), 0..8), model in 0_usize..5) {
        let condition = |n: usize| match n {
            0..3 => json!({"model": format!("m{n}")}),
            3 => json!({"modelPrefix": "m"}),
            4 => json!({"model": "m1", "pathPrefix": "/none"}),
            _ => json!({"headers": [{"name": "x-none", "value": "a"}]}),
        };
        let rule = |(n, matches): (usize, &Vec<usize>)| {
            let matches: Vec<_> = matches.iter().map(|n| condition(*n)).collect();
            json!({"name": format!("r{n}"), "matches": matches, "targets": [{"model": "x"}]})
        };
        let rules: Vec<_> = rules.iter().enumerate().map(rule).collect();
        let settings = settings(json!({"rules": rules}));
        let asked = if model == 4 { request("/v1/completions", &[], "{}") } else { chat(&format!("m{model}")) };
        let found = settings.rules.of(&asked).map(|rule| rule.name.clone());
        let first = settings.rules.iter().find(|rule| rule.is_for(&asked, asked.client_model())).map(|rule| rule.name.clone());
        prop_assert_eq!(found, first);
    }

    #[test]
    fn shares_are_exact_for_any_weights(weights in prop::collection::vec(0_u32..1000, 1..6), requests in 1_usize..3000) {
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let target = |(n, weight): (usize, &u32)| json!({"model": format!("m{n}"), "weight": weight});
        let targets_of: Vec<_> = weights.iter().enumerate().map(target).collect();
        let settings = settings(json!({"rules": [{"name": "r", "targets": targets_of}]}));
        let counts = counts(targets(&settings, (0..requests).map(|_| chat("x"))));
        for (n, weight) in weights.iter().enumerate() {
            let exact = requests as f64 * f64::from(*weight) / f64::from(total);
            let seen = counts.get(&format!("m{n}")).copied().unwrap_or_default();
            prop_assert!((seen as f64 - exact).abs() <= 5.0, "{} of {}: {} for {}", seen, requests, exact, n);
        }
    }

    #[test]
    fn a_body_says_the_same_but_for_the_model(name in "\\PC{1,20}", model in prop::option::of("\\PC{0,10}"), others in prop::collection::vec(("[a-l\"ü]{1,5}", any::<i64>()), 0..5), at in 0_usize..6, pretty in any::<bool>()) {
        let mut body = serde_json::Map::new();
        for (n, (key, value)) in others.iter().enumerate() {
            if let (true, Some(model)) = (n == at, &model) {
                body.insert("model".to_owned(), json!(model));
            }
            body.insert(key.clone(), json!(value));
        }
        let body = Value::Object(body);
        let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let settings = settings(json!({"rules": [{"name": "r", "targets": [{"model": name}]}]}));
        let mut request = request("/v1/chat/completions", &[], &text);
        apply(&settings, &Rules::default(), &mut request, false, &view(&[])).unwrap();
        let json = |name: &str| serde_json::to_string(name).unwrap();
        let colon = if pretty { ": " } else { ":" };
        let written = written(&request);
        match &model {
            // Every other byte is as it was.
            Some(model) if others.len() > at => {
                let field = |name: &str| format!("\"model\"{colon}{}", json(name));
                prop_assert_eq!(written, text.replacen(&field(model), &field(&name), 1));
            }
            _ => {
                let comma = if others.is_empty() { "" } else { "," };
                prop_assert_eq!(written, text.replacen('{', &format!("{{\"model\":{}{comma}", json(&name)), 1));
            }
        }
    }
}
