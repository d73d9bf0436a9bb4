use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::opening;
use crate::compile::compile;
use crate::config::Scope;
use crate::cx::Cx;
use crate::request::{Headers, Request};
use crate::store::StateStore;
use crate::strategy::Strategy as Routing;
use crate::testing::{Instance, labelled, strategy, unknown};
use crate::view::View;

const KIND: &str = "session-prefix";

fn sent(path: &str, body: &Value) -> Request {
    text(path, &body.to_string())
}

fn text(path: &str, body: &str) -> Request {
    let headers = [(":path", path), ("content-type", "application/json")];
    let headers = headers.map(|(name, value)| {
        (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    });
    Request::new(Headers(headers.into()), Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn chat(messages: &Value) -> Request {
    sent("/v1/chat/completions", &json!({"model": "m", "messages": messages}))
}

fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// The turns of a conversation: `first` alone, then with an answer and a further message, and so on.
fn turns(first: &[Value]) -> Vec<Request> {
    let mut messages = first.to_vec();
    (0..3)
        .map(|turn| {
            let request = chat(&json!(messages));
            messages.extend([message("assistant", "Yes."), message("user", &format!("And {turn}?"))]);
            request
        })
        .collect()
}

fn same(requests: &[Request]) -> bool {
    let hash = opening::hash(&requests[0], 1024);
    assert!(hash.is_some());
    requests.iter().all(|request| opening::hash(request, 1024) == hash)
}

#[test]
fn the_turns_of_a_conversation_have_one_opening() {
    let system = message("system", "Be brief.");
    let long = "long ".repeat(2000);
    let firsts = [
        vec![message("user", "Hi")],
        vec![system.clone(), message("user", "Hi")],
        vec![system.clone(), message("user", "Ho")],
        vec![system.clone(), message("user", "\\\" } ] \"user\" {[")],
        vec![system, message("user", &long)],
        vec![message("system", &long), message("user", "Hi")],
        vec![message("system", &long), message("user", "Ho")],
        vec![message("assistant", "\"role\": \"user\""), message("user", "Hi")],
        vec![message("system", "user"), message("user", "Hi")],
        vec![message("system", "user"), message("user", "Ho")],
        vec![json!({"content": "Hi", "name": "role", "role": "user"})],
        vec![json!({"content": [{"type": "text", "text": "Hi"}], "role": "user"})],
        vec![json!({"name": "role", "user": 1, "role": "assistant"}), message("user", "Hi")],
    ];
    let conversations: Vec<_> = firsts.iter().map(|first| turns(first)).collect();
    assert!(conversations.iter().all(|requests| same(requests)));
    let hashes: Vec<_> = conversations.iter().map(|requests| opening::hash(&requests[0], 1024)).collect();
    let different: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), firsts.len(), "{hashes:?}");
}

#[test]
fn model_salt_tools_and_instructions_tell_conversations_apart() {
    let body = |model: &str, salt: &str, tool: &str| {
        let tools = json!([{"type": "function", "function": {"name": tool}}]);
        let messages = [message("user", "Hi")];
        let body = json!({"model": model, "cache_salt": salt, "tools": tools, "messages": messages});
        opening::hash(&sent("/v1/chat/completions", &body), 1024)
    };
    let all = [body("a", "s", "t"), body("b", "s", "t"), body("a", "r", "t"), body("a", "s", "u")];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    assert_eq!(body("a", "s", "t"), all[0]);
    let respond = |instructions: &str, input: Value| {
        sent("/v1/responses", &json!({"model": "a", "instructions": instructions, "input": input}))
    };
    let input = [message("user", "Hi"), message("assistant", "Ho"), message("user", "Hm")];
    // What looks like a list in a text is none.
    for instructions in ["Be brief.", "{\"role\": \"user\"}", "[{\"", "\\\""] {
        assert!(same(&[respond(instructions, json!(input[..1])), respond(instructions, json!(input))]));
        assert!(!same(&[respond(instructions, json!(input)), respond("Be long.", json!(input))]));
    }
}

/// Clients of Anthropic's API mark another message as the end of what is cached with each turn.
#[test]
fn what_engines_leave_out_makes_no_difference() {
    let block = |text: &str, marked: bool| match marked {
        true => json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}),
        false => json!({"type": "text", "text": text}),
    };
    let turn = |marked: usize, count: usize| {
        let roles = ["user", "assistant", "user"];
        let messages: Vec<_> = (0..count)
            .map(|n| json!({"role": roles[n], "content": [block(&format!("text {n}"), n == marked)]}))
            .collect();
        let system = json!([block("Be brief.", true)]);
        let tools = json!([{"name": "t", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}]);
        let body = json!({"model": "m", "tools": tools, "system": system, "messages": messages});
        sent("/v1/messages", &body)
    };
    assert!(same(&[turn(0, 1), turn(2, 3), turn(9, 3)]));
    assert!(turn(0, 1).content.prompt.len() > 3, "there are holes");
}

#[rstest]
#[case::a_text(
    r#"{"model": "m", "prompt": "0123456789"}"#,
    4,
    r#"{"model": "m", "prompt": "0123ABC"}"#,
    true
)]
#[case::a_longer_one(
    r#"{"model": "m", "prompt": "0123456789"}"#,
    5,
    r#"{"model": "m", "prompt": "0123ABC"}"#,
    false
)]
#[case::tokens(
    r#"{"model": "m", "prompt": [1, 2, 3, 4]}"#,
    4,
    r#"{"model": "m", "prompt": [1, 2, 9]}"#,
    true
)]
#[case::texts(
    r#"{"model": "m", "prompt": ["ab", "cd"]}"#,
    3,
    r#"{"model": "m", "prompt": ["ab", "ef"]}"#,
    true
)]
fn of_a_text_its_beginning_counts(
    #[case] one: &str,
    #[case] prefix: usize,
    #[case] other: &str,
    #[case] equal: bool,
) {
    let of = |body: &str| opening::hash(&text("/v1/completions", body), prefix);
    assert!(of(one).is_some());
    assert_eq!(of(one) == of(other), equal);
}

#[test]
fn of_a_first_message_its_beginning_counts() {
    let of = |content: &str, prefix| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{content}"}}]}}"#);
        opening::hash(&text("/v1/chat/completions", &body), prefix)
    };
    let equal = r#"{"role":"user","content":"Hi "#.len();
    assert_eq!(of("Hi there", equal), of("Hi you", equal));
    assert_ne!(of("Hi there", equal + 1), of("Hi you", equal + 1));
    assert_eq!(opening::hash(&Request::default(), 1024), None);
    assert_eq!(opening::hash(&chat(&json!([])), 1024), None);
}

/// The pod that `request` goes to at `seconds` after `start`, and the scores before it goes.
fn route(routing: &Routing, request: &Request, view: &View, start: Instant, seconds: f64) -> String {
    let now = start + Duration::from_secs_f64(seconds);
    routing.route(request, view, None, &mut Cx::new(now, 1)).unwrap().endpoint().pod.clone()
}

/// A request goes where the header `pin` says, or else where its conversation is.
const PINNED: &str = "
plugins:
- type: session-prefix
  parameters: {ttlSeconds: 100}
- type: consistent-hash-scorer
  parameters: {headerName: pin}
schedulingProfiles:
- name: default
  plugins: [{pluginRef: session-prefix, weight: 1}, {pluginRef: consistent-hash-scorer, weight: 5}]
";

/// A header that leads to `pod` of `view`.
fn pin(view: &View, pod: &str) -> (Bytes, Bytes) {
    let hash = Instance::new("consistent-hash-scorer", json!({"headerName": "pin"})).unwrap();
    let found = (0..1000).map(|n: u32| n.to_string()).find(|key| {
        let request = crate::testing::with_headers([("pin", key.as_str())]);
        let scores = hash.scores(&request, view);
        view.endpoints[scores.iter().position(|score| *score == 1.0).unwrap()].pod == pod
    });
    (Bytes::from("pin"), Bytes::from(found.unwrap()))
}

#[test]
fn a_conversation_goes_where_it_was_sent_last() {
    let (routing, view, start) = (strategy(PINNED), unknown(4), Instant::now());
    let requests = turns(&[message("user", "Hi")]);
    let pinned = |pod: &str| {
        let mut request = requests[1].clone();
        request.headers.0.push(pin(&view, pod));
        request
    };
    assert_eq!(route(&routing, &pinned("pod-2"), &view, start, 0.0), "pod-2");
    assert_eq!(route(&routing, &requests[0], &view, start, 90.0), "pod-2");
    assert_eq!(route(&routing, &requests[2], &view, start, 180.0), "pod-2", "each request renews it");
    assert_eq!(route(&routing, &pinned("pod-3"), &view, start, 181.0), "pod-3");
    assert_eq!(route(&routing, &requests[2], &view, start, 182.0), "pod-3", "the last one counts");
    let plugin = Instance::new(KIND, json!({})).unwrap();
    assert_eq!(plugin.scores(&requests[0], &view), [0.0; 4], "another plugin knows nothing of it");
    assert_eq!(plugin.scores(&Request::default(), &view), [0.0; 4]);
}

#[test]
fn what_is_known_outlives_an_edit_and_is_bounded_in_time() {
    let (store, view, start) = (StateStore::default(), unknown(4), Instant::now());
    let routing = |ttl: u64, sessions: u64| {
        let own = json!({"type": KIND, "parameters": {"ttlSeconds": ttl, "maxSessions": sessions}});
        let routing = json!({"plugins": [own]});
        let compiled = compile(&routing, Scope::File, &store).unwrap_or_else(|e| panic!("{e}"));
        store.commit(compiled.staging);
        compiled.strategy
    };
    let requests = turns(&[message("user", "Hi")]);
    // With the same seed, equals are drawn alike: another seed shows what is remembered.
    let at = |routing: &Routing, seconds: f64, first: u64| -> std::collections::BTreeSet<String> {
        let now = start + Duration::from_secs_f64(seconds);
        let pod = |seed| {
            routing.route(&requests[0], &view, None, &mut Cx::new(now, seed)).unwrap().endpoint().pod.clone()
        };
        (first..first + 20).map(pod).collect()
    };
    let first = at(&routing(100, 512), 0.0, 0);
    assert_eq!(first.len(), 1);
    let edited = routing(50, 512);
    assert_eq!(at(&edited, 49.0, 100), first);
    let others: std::collections::BTreeSet<_> =
        (0..20).flat_map(|n| at(&routing(50, 512 + 256 * (n % 2)), 50.0, n)).collect();
    assert!(others.len() > 1, "another shape begins anew: {others:?}");
}

#[test]
fn a_profile_has_its_own_endpoint() {
    let routing = strategy(
        "
plugins:
- type: disagg-profile-handler
  parameters: {deciders: {prefill: always-disagg-pd-decider}}
- type: always-disagg-pd-decider
- {type: decode-filter}
- {type: prefill-filter}
- type: session-prefix
  parameters: {profileName: prefill}
schedulingProfiles:
- name: decode
  plugins: [{pluginRef: decode-filter}]
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: session-prefix}]
",
    );
    let (decode, prefill): (&[_], &[_]) = (&[("llm-d.ai/role", "decode")], &[("llm-d.ai/role", "prefill")]);
    let view = labelled([decode, prefill, prefill, prefill, decode]);
    let request = chat(&json!([message("user", "Hi")]));
    let prefill_of = |seed: u64| {
        let flight = routing.route(&request, &view, None, &mut Cx::new(Instant::now(), seed)).unwrap();
        let header = flight.edits().headers().iter().find(|(name, _)| name == "x-prefiller-host-port");
        String::from_utf8(header.unwrap().1.to_vec()).unwrap()
    };
    let first = prefill_of(0);
    assert!((1..20).all(|seed| prefill_of(seed) == first));
}

#[rstest]
#[case(json!({"prefixBytes": 0}), "prefixBytes: must lie between 1 and 1048576")]
#[case(json!({"maxSessions": 255}), "maxSessions: must lie between 256 and 1048576")]
#[case(json!({"maxSessions": 2_000_000}), "maxSessions: must lie between 256 and 1048576")]
#[case(json!({"ttlSeconds": 0}), "ttlSeconds: must lie between 1 and 2592000")]
#[case(
    json!({"profileName": "prefil"}),
    "profileName: there is no scheduling profile called \"prefil\"; the nearest is \"prefill\"; there are: decode, prefill, encode"
)]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    let error = Instance::new(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{message}")));
}

#[test]
fn a_strategy_has_four_tables_at_most() {
    let plugins: Vec<_> = (0..5).map(|n| json!({"type": KIND, "name": format!("s{n}")})).collect();
    let errors = compile(&json!({"plugins": plugins}), Scope::File, &StateStore::default()).err().unwrap();
    let expected = "plugins[4].parameters: there are 4 other plugins of this type already, each with a table of its own; use \
                    one plugin in several profiles";
    assert_eq!(errors.0[0].to_string(), expected);
}

proptest! {
    /// The published rule, with a map from each opening to the endpoint and the time of its last request.
    #[test]
    fn the_published_rule(
        steps in prop::collection::vec((0..6_usize, 0..3_usize, 0..5_usize, 1..255_u32, 0..40_u32), 1..30),
        ttl in 20..60_u64,
    ) {
        let firsts = ["Hi", "Ho", "Hi\"", "[", "user", ""];
        let (view, start) = (unknown(5), Instant::now());
        let mut plugin = Instance::new(KIND, json!({"ttlSeconds": ttl})).unwrap();
        let mut known = BTreeMap::<usize, (usize, u64)>::new();
        let mut now = 0;
        for (conversation, turn, chosen, there, pause) in steps {
            now += u64::from(pause);
            plugin.cx = Cx::new(start + Duration::from_secs(now), 1);
            plugin.forget();
            let request = turns(&[message("system", "Be brief."), message("user", firsts[conversation])]).swap_remove(turn);
            let mut candidates = crate::view::Candidates::of(&view.endpoints, None);
            candidates.retain(|i| i == chosen || there >> i & 1 == 1);
            let mut scores = vec![0.0; candidates.len()];
            let ask = plugin.ask(&request, &view, &[]);
            plugin.roles.scorer.as_ref().unwrap().score(&ask, &candidates, &mut scores);
            let bound = known.get(&conversation).filter(|(_, at)| now - at <= ttl).map(|(endpoint, _)| *endpoint);
            let expected: Vec<f32> = candidates.iter().map(|i| if bound == Some(i) { 1.0 } else { 0.0 }).collect();
            prop_assert_eq!(scores, expected);

            let results = smallvec::smallvec![crate::ask::ProfileResult { profile: 0, picked: Some(smallvec::smallvec![chosen as u32]) }];
            let decision = crate::ask::Decision { results, primary: 0 };
            let mut launch = crate::booking::Launch::of(&decision, &view);
            plugin.roles.pre_request.as_ref().unwrap().pre_request(&ask, &decision, &mut launch);
            known.insert(conversation, (chosen, now));
            if conversation == 0 {
                plugin.roles.upkeep.as_ref().unwrap().tick(ask.now, &view);
            }
        }
    }
}
