use std::time::Instant;

use bytes::Bytes;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::config::Scope;
use crate::cx::Cx;
use crate::request::{Content, Request};
use crate::store::StateStore;
use crate::testing::{labelled, request, strategy};
use crate::view::View;

const ROLE: &str = "llm-d.ai/role";

/// Pods of these roles, pod 0 onwards.
fn pods(roles: &[&'static str]) -> View {
    let labels: Vec<_> = roles.iter().map(|role| [(ROLE, *role)]).collect();
    labelled(labels.iter().map(|labels| &labels[..]))
}

/// A routing with a profile for each of `stages`, whose endpoints are those of its role, and the handler's parameters.
fn routing(parameters: Value, stages: &[&str]) -> Value {
    let filter = |stage: &&str| json!({"type": format!("{stage}-filter")});
    let mut plugins: Vec<_> = stages.iter().map(filter).collect();
    plugins.extend([
        json!({"type": "disagg-profile-handler", "name": "disagg", "parameters": parameters}),
        json!({"type": "always-disagg-pd-decider", "name": "always"}),
        json!({"type": "always-disagg-multimodal-decider", "name": "media"}),
        json!({"type": "prefix-based-pd-decider", "name": "uncached", "parameters": {"nonCachedTokens": 100}}),
        json!({"type": "max-score-picker"}),
        json!({"type": "max-score-picker", "name": "all", "parameters": {"maxNumOfEndpoints": 9}}),
        // All of equal worth: the order of the view.
        json!({"type": "active-request-scorer"}),
    ]);
    let profile = |stage: &&str| {
        let picker = if *stage == "encode" { "all" } else { "max-score-picker" };
        json!({"name": stage, "plugins": [
            {"pluginRef": format!("{stage}-filter")}, {"pluginRef": "active-request-scorer"}, {"pluginRef": picker},
        ]})
    };
    json!({"plugins": plugins, "schedulingProfiles": stages.iter().map(profile).collect::<Vec<_>>()})
}

/// The destination, the headers that were written, and requests booked on each endpoint: at launch, after the first
/// byte, at the end.
type Routed = (String, Vec<(String, String)>, [Vec<u32>; 3]);

fn route(routing: &Value, request: &Request, view: &View) -> Result<Routed, Refusal> {
    let strategy = strategy(&routing.to_string());
    let mut flight = strategy.route(request, view, None, &mut Cx::new(Instant::now(), 1))?;
    let booked = || view.endpoints.iter().map(|e| e.live().in_flight()).collect::<Vec<_>>();
    let at_launch = booked();
    let pod = flight.endpoint().pod.clone();
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    let headers =
        flight.edits().headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    flight.chunk(b"token", Instant::now);
    let after_first_byte = booked();
    flight.ended(None, Instant::now());
    Ok((pod, headers, [at_launch, after_first_byte, booked()]))
}

fn prefiller(address: &str) -> (String, String) {
    (PREFILLER.to_owned(), address.to_owned())
}

fn encoders(addresses: &str) -> (String, String) {
    (ENCODERS.to_owned(), addresses.to_owned())
}

fn with_image() -> Request {
    Request {
        content: Content { media: smallvec::smallvec![0..0], ..Content::default() },
        ..Request::default()
    }
}

const PD: [&str; 2] = ["decode", "prefill"];
const EPD: [&str; 3] = ["encode", "prefill", "decode"];

#[test]
fn a_prefill_server_is_told_by_header_and_booked_until_the_first_byte() {
    let routing = routing(json!({"deciders": {"prefill": "always"}}), &PD);
    assert_eq!(
        route(&routing, &Request::default(), &pods(&["prefill", "decode"])),
        Ok(("pod-1".to_owned(), vec![prefiller("10.0.0.0:8000")], [vec![1, 1], vec![0, 1], vec![0, 0]]))
    );
}

#[test]
fn encode_prefill_and_decode_go_to_servers_of_their_role() {
    let deciders = json!({"deciders": {"prefill": "always", "encode": "media"}});
    let (routing, view) = (routing(deciders, &EPD), pods(&["decode", "encode", "prefill"]));
    assert_eq!(
        route(&routing, &with_image(), &view),
        Ok((
            "pod-0".to_owned(),
            vec![prefiller("10.0.0.2:8000"), encoders("10.0.0.1:8000")],
            [vec![1, 1, 1], vec![1, 0, 0], vec![0, 0, 0]]
        ))
    );
    // A text has nothing to encode.
    assert_eq!(
        route(&routing, &Request::default(), &view),
        Ok((
            "pod-0".to_owned(),
            vec![prefiller("10.0.0.2:8000")],
            [vec![1, 0, 1], vec![1, 0, 0], vec![0, 0, 0]]
        ))
    );
}

#[test]
fn all_encode_servers_that_were_picked_are_told() {
    let (routing, view) = (
        routing(json!({"deciders": {"encode": "media"}}), &["decode", "encode"]),
        pods(&["encode", "decode", "encode"]),
    );
    let (pod, headers, booked) = route(&routing, &with_image(), &view).unwrap();
    let mut told: Vec<_> = headers[0].1.split(',').collect();
    told.sort_unstable();
    assert_eq!((pod.as_str(), headers[0].0.as_str()), ("pod-1", ENCODERS));
    assert_eq!((headers.len(), told), (1, vec!["10.0.0.0:8000", "10.0.0.2:8000"]));
    assert_eq!(booked, [vec![1, 1, 1], vec![0, 1, 0], vec![0, 0, 0]]);
}

#[test]
fn an_encode_server_that_is_the_destination_too_is_booked_once() {
    let (routing, view) = (
        routing(json!({"deciders": {"encode": "media"}}), &["decode", "encode"]),
        pods(&["encode", "encode-prefill-decode", "encode"]),
    );
    let (pod, headers, booked) = route(&routing, &with_image(), &view).unwrap();
    assert_eq!((pod.as_str(), headers[0].1.split(',').count()), ("pod-1", 3));
    assert_eq!(booked, [vec![1, 1, 1], vec![0, 1, 0], vec![0, 0, 0]]);
}

#[test]
fn an_address_of_ipv6_is_in_brackets() {
    let mut slots = crate::endpoint::Slots::default();
    let view = crate::testing::view_of([("decode", 1), ("prefill", 2)].map(|(role, n)| {
        let mut spec = crate::testing::spec(n);
        spec.labels.insert(ROLE.to_owned(), role.to_owned());
        spec.address = format!("[fd00::{n}]:8000").parse().unwrap();
        Arc::new(slots.admit(spec))
    }));
    let routing = routing(json!({"deciders": {"prefill": "always"}}), &PD);
    let (_, headers, _) = route(&routing, &Request::default(), &view).unwrap();
    assert_eq!(headers, [prefiller("[fd00::2]:8000")]);
}

#[test]
fn without_a_decode_server_the_request_is_refused_and_nothing_is_booked() {
    for order in ["decode-first", "prefill-first"] {
        let (routing, view) = (routing(json!({"stageOrder": order}), &PD), pods(&["prefill", "encode"]));
        let refusal = route(&routing, &Request::default(), &view).unwrap_err();
        let message = "no decode server takes this request now; try again later";
        assert_eq!(refusal, Refusal::with(RefusalKind::AllFiltered, message), "{order}");
        assert!(view.endpoints.iter().all(|e| e.live().in_flight() == 0), "{order}");
    }
}

#[rstest]
#[case::none_of_their_role(&["decode"])]
#[case::decode_server_itself(&["encode-prefill-decode"])]
fn a_stage_without_a_server_of_its_own_is_left_to_the_decode_server(#[case] roles: &[&'static str]) {
    let routing = routing(json!({"deciders": {"prefill": "always", "encode": "media"}}), &EPD);
    let (pod, headers, booked) = route(&routing, &with_image(), &pods(roles)).unwrap();
    assert_eq!((pod.as_str(), headers, booked), ("pod-0", vec![], [vec![1], vec![1], vec![0]]));
}

#[test]
fn the_prefix_that_the_chosen_decode_server_has_is_not_worth_a_prefill_server() {
    let strategy = strategy(&routing(json!({"deciders": {"prefill": "uncached"}}), &PD).to_string());
    let view = pods(&["decode", "prefill"]);
    let [conversation, short] = [4000, 80].map(|length| request("m", &"x".repeat(length)));
    let prefilled = |request: &Request| {
        let flight = strategy.route(request, &view, None, &mut Cx::new(Instant::now(), 1)).unwrap();
        !flight.edits().headers().is_empty()
    };
    let longer = request("m", &"x".repeat(4400));
    // Cold; then both servers have it; a little more is too little to prefill; too short even cold.
    assert_eq!([&conversation, &conversation, &longer, &short].map(prefilled), [true, false, true, false]);
}

#[test]
fn prefill_first_prefills_always_and_encodes_before_it_decodes() {
    let parameters = json!({"stageOrder": "prefill-first", "deciders": {"encode": "media"}});
    let routed = strategy(&routing(parameters, &EPD).to_string());
    let view = pods(&["decode", "encode", "prefill"]);
    let traced = |request: &Request| {
        let mut trace = crate::trace::Explain::default();
        let mut cx = Cx::new(Instant::now(), 1);
        let flight =
            routed.route_traced(request, &view, None, Default::default(), &mut cx, &mut trace).unwrap();
        let profiles = trace.steps.into_iter().filter_map(|step| match step {
            crate::trace::Step::Profile(name) => Some(name.to_string()),
            _ => None,
        });
        (flight.endpoint().pod.clone(), profiles.collect::<Vec<_>>(), flight.edits().headers().len())
    };
    let all = ["prefill", "encode", "decode"].map(str::to_owned);
    assert_eq!(traced(&with_image()), ("pod-0".to_owned(), all.to_vec(), 2));
    let without = ["prefill", "decode"].map(str::to_owned);
    assert_eq!(traced(&Request::default()), ("pod-0".to_owned(), without.to_vec(), 1));
}

#[test]
fn a_stage_that_was_turned_down_is_not_asked_for_again() {
    let deciders = json!({"deciders": {"prefill": "always", "encode": "media"}});
    let strategy = strategy(&routing(deciders, &EPD).to_string());
    let (view, request, facts) = (pods(&["decode"]), Request::default(), crate::fact::Facts::default());
    let result = |profile, picked: Option<u32>| crate::ask::ProfileResult {
        profile,
        picked: picked.map(|p| smallvec::smallvec![p]),
    };
    let next = |done: &[crate::ask::ProfileResult]| {
        strategy.handler.next(&Ask {
            request: &request,
            view: &view,
            facts: &facts,
            done,
            now: Instant::now(),
        })
    };
    // Profiles: 0 encode, 1 prefill, 2 decode.
    assert_eq!(next(&[]), Next::Run(2));
    assert_eq!(next(&[result(2, Some(0))]), Next::Run(1));
    assert_eq!(next(&[result(2, Some(0)), result(1, None)]), Next::Done { primary: 0 });
}

#[test]
fn former_parameters_mean_the_same_and_are_warned_of() {
    let parameters = json!({
        "decodeProfile": "decode", "prefillProfile": "prefill", "deciderPluginName": "always",
    });
    let routing = routing(parameters, &PD);
    let warnings: Vec<_> = strategy(&routing.to_string()).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            ("decodeProfile", "profiles.decode"),
            ("prefillProfile", "profiles.prefill"),
            ("deciderPluginName", "deciders.prefill")
        ]
        .map(|(field, now)| format!("plugins[2].parameters.{field}: is a former parameter; write {now}"))
    );
    let (pod, headers, _) = route(&routing, &Request::default(), &pods(&["decode", "prefill"])).unwrap();
    assert_eq!((pod.as_str(), headers), ("pod-0", vec![prefiller("10.0.0.1:8000")]));
}

/// The first error, or else the warnings.
fn told(parameters: Value, stages: &[&str]) -> Vec<String> {
    match crate::compile::compile(&routing(parameters, stages), Scope::File, &StateStore::default()) {
        Ok(compiled) => compiled.strategy.warnings.iter().map(ToString::to_string).collect(),
        Err(errors) => vec![errors.0[0].to_string()],
    }
}

#[rstest]
#[case::decode_alone(json!({}), &["decode"], &[])]
#[case::no_decode(
    json!({}),
    &["prefill"],
    &["plugins[1].parameters.profiles.decode: there is no scheduling profile called \"decode\"; there are: prefill"]
)]
#[case::no_such_profile(
    json!({"profiles": {"prefill": "p"}}),
    &["decode"],
    &["plugins[1].parameters.profiles.prefill: there is no scheduling profile called \"p\"; there are: decode"]
)]
#[case::a_decider_without_its_profile(
    json!({"deciders": {"encode": "media"}}),
    &["decode"],
    &["plugins[1].parameters.profiles.encode: there is no scheduling profile called \"encode\"; there are: decode"]
)]
#[case::the_same_twice(
    json!({"profiles": {"prefill": "decode"}, "deciders": {"prefill": "always"}}),
    &["decode"],
    &["plugins[1].parameters.profiles.prefill: is the profile of another stage; each has its own"]
)]
#[case::no_decider(
    json!({}),
    &["decode", "prefill"],
    &["plugins[2].parameters.deciders.prefill: is absent, so that the scheduling profile \"prefill\" never runs; name a \
       decider, or take the profile out"]
)]
#[case::decider_that_is_none(
    json!({"deciders": {"prefill": "max-score-picker"}}),
    &["decode", "prefill"],
    &["plugins[2].parameters.deciders.prefill: \"max-score-picker\" is no decider"]
)]
#[case::prefill_first_with_a_decider(
    json!({"stageOrder": "prefill-first", "deciders": {"prefill": "always"}}),
    &["decode", "prefill"],
    &["plugins[2].parameters.deciders.prefill: has no place in the stage order prefill-first, where every request is \
       prefilled before the decode server is chosen; leave it out"]
)]
#[case::prefill_first_without_a_profile(
    json!({"stageOrder": "prefill-first"}),
    &["decode"],
    &["plugins[1].parameters.stageOrder: has no effect without a scheduling profile \"prefill\""]
)]
#[case::no_such_order(
    json!({"stageOrder": "encode"}),
    &["decode", "prefill"],
    &["plugins[2].parameters.stageOrder: unknown variant `encode`, expected `decode-first` or `prefill-first`"]
)]
#[case::former_beside_new(
    json!({"profiles": {}, "prefillDeciderPluginName": "always"}),
    &["decode", "prefill"],
    &["plugins[2].parameters.prefillDeciderPluginName: is a former parameter, and not taken beside profiles or \
       deciders; write deciders.prefill"]
)]
#[case::former_twice(
    json!({"deciderPluginName": "always", "prefillDeciderPluginName": "always"}),
    &["decode", "prefill"],
    &["plugins[2].parameters.deciderPluginName: is the same as prefillDeciderPluginName; leave it out"]
)]
fn what_is_wrong_is_told_by_parameter(
    #[case] parameters: Value,
    #[case] stages: &[&str],
    #[case] expected: &[&str],
) {
    assert_eq!(told(parameters, stages), expected);
}

#[rstest]
#[case("", StageOrder::DecodeFirst)]
#[case("decode", StageOrder::DecodeFirst)]
#[case("Decode_First", StageOrder::DecodeFirst)]
#[case("prefill", StageOrder::PrefillFirst)]
#[case("PREFILL-FIRST", StageOrder::PrefillFirst)]
#[case("prefillFirst", StageOrder::PrefillFirst)]
fn the_order_of_stages_has_several_spellings(#[case] text: &str, #[case] expected: StageOrder) {
    assert_eq!(serde_json::from_value::<StageOrder>(json!(text)).unwrap(), expected);
}

#[test]
fn empty_names_are_none() {
    assert_eq!(told(json!({"profiles": {"prefill": "", "decode": "", "encode": ""}}), &["decode"]), [""; 0]);
    let parameters = json!({"profiles": {"prefill": ""}, "deciders": {"prefill": "always", "encode": ""}});
    assert_eq!(told(parameters, &PD), [""; 0]);
}

#[test]
fn clients_cannot_write_the_headers_of_the_sidecar() {
    let written = crate::plugins::builtin().written_headers();
    assert!([PREFILLER, ENCODERS].iter().all(|name| written.contains(name)), "{written:?}");
}
