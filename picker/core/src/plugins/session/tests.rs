use std::net::SocketAddr;

use bytes::Bytes;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::ask::ProfileResult;
use crate::compile::compile;
use crate::config::Scope;
use crate::cx::Cx;
use crate::fact::FairnessId;
use crate::flight::Flight;
use crate::request::{Headers, Request};
use crate::store::StateStore;
use crate::strategy::Strategy;
use crate::testing::{Instance, build, labelled, strategy, unknown, with_headers};

const FILTER: &str = "session-affinity-filter";
const SCORER: &str = "session-affinity-scorer";

/// Tokens of the pods 0, 1, …
fn token(pod: usize) -> String {
    token::of(&unknown(pod + 1).endpoints[pod])
}

fn session(id: &str) -> Request {
    with_headers([("x-session-id", id)])
}

/// Routes `request` among `view` at `now`: the flight, and the pod it goes to.
fn route(strategy: &Strategy, request: &Request, view: &View, now: Instant) -> (Flight, String) {
    let flight = strategy.route(request, view, None, &mut Cx::new(now, 1)).unwrap();
    let pod = flight.endpoint().pod.clone();
    (flight, pod)
}

/// The response headers that are written when `served` serves.
fn written(flight: &mut Flight, served: Option<SocketAddr>) -> Vec<(String, String)> {
    let headers = Headers::default();
    let edits = flight.head(&ResponseHead { status: Some(200), headers: &headers, served });
    let text = |value: &bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
    edits.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

#[rstest]
#[case::without(None, &[0, 1, 2], [0.0, 0.0, 0.0])]
#[case::bound(Some(token(1)), &[1], [0.0, 1.0, 0.0])]
#[case::gone(Some(token(5)), &[0, 1, 2], [0.0, 0.0, 0.0])]
#[case::no_token(Some("10.0.0.1:8000".to_owned()), &[0, 1, 2], [0.0, 0.0, 0.0])]
fn a_token_keeps_a_request_at_its_endpoint(
    #[case] token: Option<String>,
    #[case] kept: &[usize],
    #[case] scores: [f32; 3],
) {
    let request = with_headers(token.as_deref().map(|token| ("x-session-token", token)));
    let view = unknown(3);
    assert_eq!(Instance::new(FILTER, json!({})).unwrap().kept(&request, &view), kept);
    assert_eq!(Instance::new(SCORER, json!({})).unwrap().scores(&request, &view), scores);
}

#[test]
fn a_token_cannot_name_what_is_no_candidate() {
    let (request, view) = (with_headers([("x-session-token", token(1).as_str())]), unknown(3));
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| i != 1);
    assert_eq!(Instance::new(FILTER, json!({})).unwrap().kept_of(&request, &view, candidates), [0, 2]);
}

#[test]
fn every_response_has_the_token_of_who_served() {
    let strategy = strategy(&format!(
        "plugins: [{{type: {FILTER}, parameters: {{encodedEndpointHeaderConfig: {{header: X-Mine}}}}}}]"
    ));
    let view = unknown(3);
    let request = with_headers([("x-mine", token(1).as_str())]);
    let served = |address: Option<&str>| {
        let (mut flight, pod) = route(&strategy, &request, &view, Instant::now());
        assert_eq!(pod, "pod-1");
        written(&mut flight, address.map(|a| a.parse().unwrap()))
    };
    let wanted = |pod| vec![("x-mine".to_owned(), token(pod))];
    assert_eq!(served(None), wanted(1));
    assert_eq!(served(Some("10.0.0.1:8000")), wanted(1));
    assert_eq!(served(Some("10.0.0.2:8000")), wanted(2));
    // Somebody whom the pool does not know.
    assert_eq!(served(Some("10.9.9.9:8000")), wanted(1));
}

/// Two profiles, of which both have a plugin for sessions.
const TWO_PROFILES: &str = "
plugins:
- type: disagg-profile-handler
  parameters: {deciders: {prefill: always-disagg-pd-decider}}
- type: always-disagg-pd-decider
- {type: decode-filter}
- {type: prefill-filter}
- type: session-affinity-filter
  name: decode-session
- type: session-affinity-filter
  name: prefill-session
  parameters: {profileName: prefill, encodedEndpointHeaderConfig: {header: x-prefill-token}}
schedulingProfiles:
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: decode-session}]
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: prefill-session}]
";

#[test]
fn each_profile_has_its_own_token() {
    let (decode, prefill): (&[_], &[_]) = (&[("llm-d.ai/role", "decode")], &[("llm-d.ai/role", "prefill")]);
    let view = labelled([decode, prefill, decode, prefill]);
    let strategy = strategy(TWO_PROFILES);
    let request =
        with_headers([("x-session-token", token(2).as_str()), ("x-prefill-token", token(1).as_str())]);
    let (mut flight, pod) = route(&strategy, &request, &view, Instant::now());
    assert_eq!(pod, "pod-2");
    // Who served as destination says nothing of the prefill server.
    let wanted = [("x-session-token", token(0)), ("x-prefill-token", token(1))];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(written(&mut flight, Some(view.endpoints[0].address)), wanted);
}

#[test]
fn without_its_profile_no_token_is_written() {
    let strategy =
        strategy(&TWO_PROFILES.replace("always-disagg-pd-decider", "always-disagg-multimodal-decider"));
    let view = unknown(1);
    let (mut flight, _) = route(&strategy, &Request::default(), &view, Instant::now());
    assert_eq!(written(&mut flight, None), [("x-session-token".to_owned(), token(0))]);
}

/// A strategy with one plugin of `kind` for sessions with an id.
fn by_id(kind: &str) -> Arc<Strategy> {
    strategy(&format!("plugins: [{{type: {kind}, parameters: {{strategy: session_id}}}}]"))
}

/// The view of the pods `pods` out of `view`.
fn only(view: &View, pods: &[usize]) -> View {
    crate::testing::view_of(pods.iter().map(|&n| view.endpoints[n].clone()))
}

#[rstest]
#[case(FILTER)]
#[case(SCORER)]
fn a_session_stays_where_its_first_request_went(#[case] kind: &str) {
    let (strategy, view, now) = (by_id(kind), unknown(16), Instant::now());
    let pods: Vec<_> = (0..8)
        .map(|n| {
            let request = session(&n.to_string());
            let routed = |seed| {
                let flight = strategy.route(&request, &view, None, &mut Cx::new(now, seed)).unwrap();
                flight.endpoint().pod.clone()
            };
            let first = routed(n);
            assert!((100..110).all(|seed| routed(seed) == first), "{n}");
            first
        })
        .collect();
    assert!(pods.iter().any(|pod| *pod != pods[0]), "{pods:?}");
    let mut flight = route(&strategy, &session("0"), &view, now).0;
    assert_eq!(written(&mut flight, None), []);
}

#[rstest]
#[case(FILTER)]
#[case(SCORER)]
fn a_session_moves_only_when_its_endpoint_is_no_candidate(#[case] kind: &str) {
    let (strategy, view, now) = (by_id(kind), unknown(3), Instant::now());
    let (first, second, both) = (only(&view, &[0]), only(&view, &[1]), only(&view, &[0, 1, 2]));
    let request = session("s");
    let pod = |view: &View| route(&strategy, &request, view, now).1;
    assert_eq!([pod(&first), pod(&both)], ["pod-0", "pod-0"]);
    // It is gone, so the session moves, and does not go back.
    assert_eq!([pod(&second), pod(&both), pod(&both)], ["pod-1", "pod-1", "pod-1"]);
    // A later pod at the same place is not the same endpoint.
    let mut slots = crate::endpoint::Slots::default();
    (0..5).for_each(|n| drop(slots.admit(crate::testing::spec(n))));
    let newcomer = Arc::new(slots.admit(crate::testing::spec(1)));
    let later = crate::testing::view_of([view.endpoints[0].clone(), newcomer]);
    let mut seen: Vec<_> = (0..20)
        .map(|seed| {
            let strategy = by_id(kind);
            route(&strategy, &request, &second, now);
            strategy.route(&request, &later, None, &mut Cx::new(now, seed)).unwrap().endpoint().pod.clone()
        })
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["pod-0", "pod-1"]);
}

#[test]
fn a_session_that_other_scores_send_elsewhere_stays_bound() {
    let (scorer, view) = (Instance::new(SCORER, json!({"strategy": "session_id"})).unwrap(), unknown(2));
    let request = session("s");
    let launch = |chosen: u32| {
        let results = [ProfileResult { profile: 0, picked: Some(smallvec::smallvec![chosen]) }];
        let decision = Decision { results: results.iter().cloned().collect(), primary: 0 };
        let ask = scorer.ask(&request, &view, &results);
        let plugin = scorer.roles.pre_request.as_ref().unwrap();
        plugin.pre_request(&ask, &decision, &mut Launch::of(&decision, &view));
    };
    assert_eq!(scorer.scores(&request, &view), [0.0, 0.0]);
    launch(1);
    assert_eq!(scorer.scores(&request, &view), [0.0, 1.0]);
    launch(0);
    assert_eq!(scorer.scores(&request, &view), [0.0, 1.0]);
}

#[test]
fn a_session_is_forgotten_after_its_time_and_swept() {
    let routing = "plugins: [{type: session-affinity-filter, parameters: {strategy: session_id, \
                   sessionIdConfig: {evictionTtlSeconds: 60, evictionSweepSeconds: 8}}}]";
    let (strategy, view, start) = (strategy(routing), unknown(2), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    let (first, both) = (only(&view, &[0]), only(&view, &[0, 1]));
    route(&strategy, &session("s"), &first, start);
    // 100 decisions that are free to choose do not agree by chance.
    let stays = |seconds| {
        (0..100).all(|seed| {
            let filter = &strategy.profiles[0].filters[0].role;
            let mut facts = crate::fact::Facts::default();
            facts.fit(&strategy.layout);
            let request = session("s");
            let ask = Ask { request: &request, view: &both, facts: &facts, done: &[], now: at(seconds) };
            let mut keep = Candidates::of(&both.endpoints, None);
            filter.filter(&ask, &mut Cx::new(at(seconds), seed), &mut keep);
            keep.len() == 1
        })
    };
    assert_eq!([stays(60), stays(61)], [true, false]);
    let upkeep = &strategy.upkeeps()[0].role;
    assert_eq!(upkeep.every(), Duration::from_millis(500));
    (0..SWEEPS).for_each(|_| upkeep.tick(at(61), &view));
    // What is swept is not found with a longer time either.
    assert!(!stays(0));
}

#[test]
fn sources_are_asked_in_their_order() {
    let parameters = json!({"strategy": "session_id", "sessionIdConfig": {
        "sources": [{"header": "X-First"}, {"attribute": "agent-identity"}, {"header": "x-last"}],
    }});
    let agent = |id: &'static str| FairnessId { explicit: Some("tenant".into()), agent: Some(id.into()) };
    let (view, now) = (unknown(2), Instant::now());
    // One table: what is bound by one id is found by the same one, whatever its source.
    let filter = Instance::new(FILTER, parameters).unwrap();
    let id_of = |filter: &Instance, headers: &[(&str, &str)]| {
        let request = with_headers(headers.iter().copied());
        let mut keep = Candidates::of(&view.endpoints, None);
        filter.roles.filter.as_ref().unwrap().filter(
            &filter.ask(&request, &view, &[]),
            &mut Cx::new(now, 1),
            &mut keep,
        );
        filter.fact::<Seen>().session.replace(0)
    };
    let all = [("x-last", "l"), ("x-first", "f")];
    let [first, last, none] =
        [id_of(&filter, &all), id_of(&filter, &all[..1]), id_of(&filter, &[("x-first", " ")])];
    assert_eq!((first != last, none), (true, 0));
    let filter = filter.knowing(agent("l"));
    assert_eq!([id_of(&filter, &all), id_of(&filter, &all[..1]), id_of(&filter, &[])], [first, last, last]);
    let filter = filter.knowing(FairnessId { explicit: Some("tenant".into()), agent: None });
    assert_eq!(id_of(&filter, &[]), 0);
}

#[test]
fn a_session_id_is_that_of_its_producer() {
    let source = |producer: &str| json!({"attribute": "SessionIDDataKey", "producer": producer});
    let routed = |plugins: &[Value], source: Value, headers: &[(&str, &str)]| {
        let parameters = json!({"strategy": "session_id", "sessionIdConfig": {"sources": [source]}});
        let filter = json!({"type": FILTER, "parameters": parameters});
        let plugins = [plugins, std::slice::from_ref(&filter)].concat();
        let strategy = strategy(&json!({"plugins": plugins}).to_string());
        assert_eq!(strategy.producers.len(), 1);
        let (view, request, now) = (unknown(16), with_headers(headers.iter().copied()), Instant::now());
        let mut pods: Vec<_> = (0..50)
            .map(|seed| {
                let flight = strategy.route(&request, &view, None, &mut Cx::new(now, seed)).unwrap();
                flight.endpoint().pod.clone()
            })
            .collect();
        pods.dedup();
        pods.len() == 1
    };
    let named = |name: &str, parameters: Value| json!({"type": "session-id-producer", "name": name, "parameters": parameters});
    let by_cookie = [named("mine", json!({"cookieName": "chat"}))];
    assert!(routed(&by_cookie, source("mine"), &[("cookie", "a=b; chat=s")]));
    // Without a name it is the only one.
    assert!(routed(&by_cookie, json!({"attribute": "SessionIDDataKey"}), &[("cookie", "chat=s")]));
    assert!(!routed(&by_cookie, source("mine"), &[("x-session-id", "s")]));
    // And without any it is one that reads the header that the filter itself reads by default.
    assert!(routed(&[], source(""), &[("x-session-id", "s")]));
    assert!(routed(&[], source("session-id-producer"), &[("x-session-id", "s")]));
    assert!(!routed(&[], source(""), &[("cookie", "chat=s")]));
}

#[test]
fn a_million_session_ids_take_no_more_than_a_table() {
    let routing = "plugins: [{type: session-affinity-filter, parameters: {strategy: session_id, sessionIdConfig: {sources: \
                   [{attribute: SessionIDDataKey}]}}}]";
    let (strategy, view, now) = (strategy(routing), unknown(2), Instant::now());
    let mut cx = Cx::new(now, 1);
    // Parts of one text, of which only the table keeps anything.
    let ids: Bytes = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut request = session("s");
    let taken = allocation_counter::measure(|| {
        for n in 0..1_000_000 {
            request.headers.0[0].1 = ids.slice(4 * n..4 * n + 4);
            drop(strategy.route(&request, &view, None, &mut cx).unwrap());
        }
    });
    assert!((1 << 20..=17 << 20).contains(&taken.bytes_current), "{taken:?}");
    assert!(taken.bytes_max <= 17 << 20, "{taken:?}");
}

#[test]
fn sessions_survive_a_change_that_does_not_touch_them() {
    let store = StateStore::default();
    let view = unknown(2);
    let (first, request, now) = (only(&view, &[0]), session("s"), Instant::now());
    let compiled = |parameters: Value| {
        let routing = json!({"plugins": [{"type": FILTER, "parameters": parameters}]});
        let compiled = compile(&routing, Scope::File, &store).unwrap_or_else(|e| panic!("{e}"));
        let resets = compiled.resets().len();
        store.commit(compiled.staging);
        (compiled.strategy, resets)
    };
    let all_go_there = |strategy: &Strategy| {
        (0..50).all(|seed| {
            let flight = strategy.route(&request, &view, None, &mut Cx::new(now, seed)).unwrap();
            flight.endpoint().pod == "pod-0"
        })
    };
    let (strategy, _) = compiled(json!({"strategy": "session_id"}));
    route(&strategy, &request, &first, now);
    let (strategy, resets) =
        compiled(json!({"strategy": "session_id", "sessionIdConfig": {"evictionTtlSeconds": 900}}));
    assert_eq!((resets, all_go_there(&strategy)), (0, true));
    let sources = json!({"sources": [{"header": "x-other"}, {"header": "x-session-id"}]});
    let (strategy, resets) = compiled(json!({"strategy": "session_id", "sessionIdConfig": sources}));
    assert_eq!((resets, all_go_there(&strategy)), (1, false));
}

#[rstest]
#[case(
    json!({"sessionIdConfig": {"sources": [{"header": "a"}, {}]}}),
    "sessionIdConfig.sources[1]: must have either header or attribute"
)]
#[case(
    json!({"sessionIdConfig": {"sources": [{"header": "a", "attribute": "agent-identity"}]}}),
    "sessionIdConfig.sources[0]: must have either header or attribute"
)]
#[case(
    json!({"sessionIdConfig": {"sources": [{"header": "a", "producer": "p"}]}}),
    "sessionIdConfig.sources[0].producer: belongs to an attribute; leave it out for a header"
)]
#[case(
    json!({"sessionIdConfig": {"sources": [{"header": "a b"}]}}),
    "sessionIdConfig.sources[0].header: \"a b\" is no name of a header"
)]
#[case(
    json!({"sessionIdConfig": {"sources": [{"attribute": "colour"}]}}),
    "sessionIdConfig.sources[0].attribute: there is no attribute \"colour\"; known: agent-identity, SessionIDDataKey"
)]
#[case(
    json!({"sessionIdConfig": {"evictionTtlSeconds": 0.5}}),
    "sessionIdConfig.evictionTtlSeconds: must lie between 1 and 2592000"
)]
#[case(
    json!({"sessionIdConfig": {"evictionSweepSeconds": 1e9}}),
    "sessionIdConfig.evictionSweepSeconds: must lie between 1 and 86400"
)]
#[case(
    json!({"profileName": "nowhere"}),
    "profileName: there is no scheduling profile called \"nowhere\"; there are: decode, prefill, encode"
)]
fn wrong_parameters_are_named(#[case] mut parameters: Value, #[case] expected: &str) {
    parameters["strategy"] = json!("session_id");
    let error = build(FILTER, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{expected}")));
}

#[test]
fn an_attribute_needs_its_producer_and_has_one_by_default() {
    let told = |source: Value| {
        let parameters = json!({"strategy": "session_id", "sessionIdConfig": {"sources": [source]}});
        let routing = json!({"plugins": [{"type": FILTER, "parameters": parameters}]});
        compile(&routing, Scope::File, &StateStore::default()).err().map(|errors| errors.0[0].to_string())
    };
    assert_eq!(told(json!({"attribute": "agent-identity"})), None);
    let expected = "plugins[0].parameters.sessionIdConfig.sources[0].producer: there is no plugin called mine; add one \
                    of type agent-identity, or leave this out";
    assert_eq!(told(json!({"attribute": "agent-identity", "producer": "mine"})).as_deref(), Some(expected));
}

#[test]
fn an_attribute_is_that_of_the_only_producer_whatever_its_name() {
    let told = |names: &[&str], producer: Option<&str>| {
        let mut source = json!({"attribute": "agent-identity"});
        source.as_object_mut().unwrap().extend(producer.map(|name| ("producer".to_owned(), json!(name))));
        let parameters = json!({"strategy": "session_id", "sessionIdConfig": {"sources": [source]}});
        let agents = names.iter().map(|name| {
            let parameters = json!({"additionalSessionHeaders": [format!("x-{name}")]});
            json!({"type": "agent-identity", "name": name, "parameters": parameters})
        });
        let plugins: Vec<_> = agents.chain([json!({"type": FILTER, "parameters": parameters})]).collect();
        let compiled = compile(&json!({"plugins": plugins}), Scope::File, &StateStore::default());
        compiled.map(|compiled| compiled.strategy).map_err(|errors| errors.0[0].to_string())
    };
    let strategy = told(&["mine"], None).unwrap();
    assert_eq!(strategy.producers.len(), 1);
    let (view, now) = (unknown(16), Instant::now());
    let pod = |seed| {
        let request = with_headers([("x-mine", "s")]);
        strategy.route(&request, &view, None, &mut Cx::new(now, seed)).unwrap().endpoint().pod.clone()
    };
    let first = pod(0);
    assert!((1..20).all(|seed| pod(seed) == first));
    assert!(told(&["agent-identity", "other"], None).is_ok());
    let expected = "plugins[2].parameters.sessionIdConfig.sources[0].producer: is required: there are several plugins of \
                    type agent-identity: a, b";
    assert_eq!(told(&["a", "b"], None).err().as_deref(), Some(expected));
    assert!(told(&["a", "b"], Some("b")).is_ok());
}

#[test]
fn parameters_of_the_other_strategy_are_warned_of() {
    let warned = |parameters: &str| {
        let strategy = strategy(&format!("plugins: [{{type: {FILTER}, parameters: {parameters}}}]"));
        strategy.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let message = |field: &str| {
        [format!(
            "plugins[0].parameters.{field}: has no effect with the other strategy; leave it out, or change strategy"
        )]
    };
    assert_eq!(warned("{sessionIdConfig: {}}"), message("sessionIdConfig"));
    let other = "{strategy: session_id, encodedEndpointHeaderConfig: {}}";
    assert_eq!(warned(other), message("encodedEndpointHeaderConfig"));
}

/// A strategy that sends requests to two endpoints, of which `picker` prefers the one with the session.
fn two_targets(kind: &str) -> Arc<Strategy> {
    strategy(&format!(
        "plugins: [{{type: {kind}, parameters: {{strategy: session_id}}}}, {{type: max-score-picker, parameters: \
         {{maxNumOfEndpoints: 2}}}}]"
    ))
}

#[test]
fn a_session_moves_to_the_target_that_served_in_place_of_the_first() {
    let (strategy, view, now) = (two_targets(SCORER), unknown(2), Instant::now());
    let request = session("s");
    let pod =
        |seed| strategy.route(&request, &view, None, &mut Cx::new(now, seed)).unwrap().endpoint().pod.clone();
    let (mut flight, first) = route(&strategy, &request, &view, now);
    let (chosen, other) = (flight.endpoint().address, flight.targets()[1].clone());
    assert_eq!(written(&mut flight, Some(chosen)), []);
    assert!((0..20).all(|seed| pod(seed) == first));
    // One that was not named, and one that another request of the session has left since, move nothing.
    assert_eq!(written(&mut flight, Some("10.0.9.9:8000".parse().unwrap())), []);
    assert!((0..20).all(|seed| pod(seed) == first));
    assert_eq!(written(&mut flight, Some(other.address)), []);
    assert!((0..20).all(|seed| pod(seed) == other.pod));
    let (mut late, _) = route(&strategy, &request, &view, now);
    let back = late.targets()[1].address;
    written(&mut late, Some(back));
    assert!((0..20).all(|seed| pod(seed) == first));
    assert_eq!(written(&mut late, Some(other.address)), []);
    assert!((0..20).all(|seed| pod(seed) == first));
}

#[test]
fn a_session_with_one_target_is_watched_by_nobody() {
    let (strategy, view) = (by_id(SCORER), unknown(2));
    assert!(!route(&strategy, &session("s"), &view, Instant::now()).0.is_watched());
    let strategy = two_targets(SCORER);
    assert!(!route(&strategy, &Request::default(), &view, Instant::now()).0.is_watched());
    assert!(route(&strategy, &session("s"), &view, Instant::now()).0.is_watched());
}

#[test]
fn a_strategy_plays_the_roles_it_needs() {
    for kind in [FILTER, SCORER] {
        let played =
            |strategy: &str| build(kind, json!({"strategy": strategy})).unwrap().played().split_off(1);
        use crate::plugin::Role::{Observer, PreRequest, Upkeep};
        assert_eq!(played("encoded_endpoint_header"), [Observer]);
        assert_eq!(played("session_id"), [PreRequest, Observer, Upkeep]);
    }
}

#[test]
fn there_is_an_end_to_tables_of_sessions() {
    let told = |count: usize| {
        let (parameters, kinds) = (json!({"strategy": "session_id"}), [FILTER, SCORER]);
        let plugins: Vec<_> = (0..count)
            .map(|n| json!({"type": kinds[n % 2], "name": n.to_string(), "parameters": parameters}))
            .collect();
        compile(&json!({"plugins": plugins}), Scope::File, &StateStore::default())
            .err()
            .map(|e| e.to_string())
    };
    assert_eq!(told(4), None);
    let expected = "plugins[4].parameters.strategy: session_id is the strategy of 4 other plugins already, each with a \
                    table of its own; use one plugin in several profiles, or another strategy";
    assert_eq!(told(5).as_deref(), Some(expected));
}

#[test]
fn zero_and_nothing_are_the_defaults() {
    let parameters = json!({"strategy": "session_id", "sessionIdConfig": {
        "sources": [], "evictionTtlSeconds": 0, "evictionSweepSeconds": 0,
    }});
    let token = json!({"strategy": "", "encodedEndpointHeaderConfig": {"header": ""}});
    let routing = json!({"plugins": [
        {"type": FILTER, "parameters": parameters}, {"type": SCORER, "parameters": token},
    ]});
    let strategy = strategy(&routing.to_string());
    let warnings: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        ("0].parameters.sessionIdConfig.sources: []", "the header x-session-id"),
        ("0].parameters.sessionIdConfig.evictionTtlSeconds: 0.0", "300.0"),
        ("0].parameters.sessionIdConfig.evictionSweepSeconds: 0.0", "10.0"),
        ("1].parameters.encodedEndpointHeaderConfig.header: \"\"", "\"x-session-token\""),
    ];
    let expected = expected.map(|(what, default)| {
        format!("plugins[{what} counts as the default, {default}; leave it out, or write that")
    });
    assert_eq!(warnings, expected);
    let (view, now) = (unknown(16), Instant::now());
    let pod = |seed| {
        strategy.route(&session("s"), &view, None, &mut Cx::new(now, seed)).unwrap().endpoint().pod.clone()
    };
    let first = pod(0);
    assert!((1..20).all(|seed| pod(seed) == first));
}
