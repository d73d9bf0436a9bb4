//! What holds at a change of strategy for every plugin type that keeps state across one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Arc, AtomicBool, Cx, Hot, Instant, Ordering, Outcome, PRODUCER, Scope, StateStore, Value, View, json,
    offer, request, revision, thread, view,
};
use crate::compile::compile;
use crate::plugin::Role;
use crate::plugins::builtin;
use crate::store::State;

mod churn;
mod types;

use types::{STATEFUL, Stateful, Then};

/// The profiles of [`routing`]; the first one has the plugins that are tried.
const PROFILES: [&str; 2] = ["decode", "prefill"];

/// By type and name.
type States = BTreeMap<(&'static str, String), Arc<dyn State>>;

/// Name of the instance of a stateful type in [`routing`]: not that of the type, which a default producer may have.
fn named(kind: &str) -> String {
    format!("the-{kind}")
}

/// A routing with an instance of each stateful type, and with other plugins that edits may name.
fn routing() -> Value {
    let mut plugins = vec![
        json!({"type": "disagg-profile-handler", "parameters": {"deciders": {"prefill": "always-disagg-pd-decider"}}}),
        json!({"type": "always-disagg-pd-decider"}),
        json!({"type": "agent-identity"}),
        json!({"type": PRODUCER, "name": "other-prefixes"}),
        json!({"type": "pd-group-producer"}),
        json!({"type": "pd-group-producer", "name": "other-groups"}),
        json!({"type": "queue-scorer"}),
        json!({"type": "prefix-cache-scorer"}),
    ];
    let mut decode = vec![json!({"pluginRef": "prefix-cache-scorer", "weight": 1})];
    for stateful in STATEFUL {
        let name = named(stateful.kind);
        plugins.push(json!({"type": stateful.kind, "name": name, "parameters": stateful.parameters()}));
        let roles = builtin().find(stateful.kind).unwrap().roles;
        if roles.contains(&Role::Scorer) {
            decode.push(json!({"pluginRef": name, "weight": 1}));
        } else if roles.contains(&Role::Filter) {
            decode.push(json!({"pluginRef": name}));
        }
    }
    let prefill = json!([{"pluginRef": "queue-scorer", "weight": 1}]);
    json!({
        "plugins": plugins,
        "schedulingProfiles": [
            {"name": PROFILES[0], "plugins": decode}, {"name": PROFILES[1], "plugins": prefill},
        ],
    })
}

/// Where the instance called `name` is in `routing`.
fn place(routing: &Value, name: &str) -> usize {
    let plugins = routing["plugins"].as_array().unwrap();
    plugins.iter().position(|plugin| plugin.get("name").unwrap_or(&plugin["type"]) == name).unwrap()
}

/// The parameters of the instance called `name`.
fn parameters<'a>(routing: &'a mut Value, name: &str) -> &'a mut Value {
    let place = place(routing, name);
    &mut routing["plugins"][place]["parameters"]
}

/// Sets what is at `path` in `value`.
fn set(value: &mut Value, path: &str, to: Value) {
    let steps = path.trim_start_matches('/').split('/');
    *steps.fold(value, |value, step| &mut value[step]) = to;
}

/// The weight of every scorer, for an edit of weights alone.
fn weights(routing: &mut Value, weight: f64) {
    for reference in routing["schedulingProfiles"][0]["plugins"].as_array_mut().unwrap() {
        if let Some(old) = reference.get_mut("weight") {
            *old = json!(weight);
        }
    }
}

/// A picker that serves `routing`, with its states.
fn serving(routing: &Value) -> (Hot, States) {
    let hot = Hot::default();
    let offered = offer(&hot, routing);
    assert!(matches!(offered, Outcome::Swapped { .. }), "{offered:?}");
    let states = hot.store.held();
    (hot, states)
}

/// Names of the states in `before` that are others in `after`, or are gone.
fn lost(before: &States, after: &States) -> BTreeSet<String> {
    let same = |key, state: &Arc<dyn State>| after.get(key).is_some_and(|new| Arc::ptr_eq(state, new));
    before.iter().filter(|(key, state)| !same(key, state)).map(|(key, _)| key.1.clone()).collect()
}

fn resets(outcome: Outcome) -> Vec<String> {
    match outcome {
        Outcome::Swapped { resets, .. } => resets,
        other => panic!("{other:?}"),
    }
}

/// One request through the strategy that serves, to the end of its answer.
fn ask(hot: &Hot, view: &View, seed: u64) {
    let flight = hot.current().unwrap().route(&request("a"), view, None, &mut Cx::new(Instant::now(), seed));
    flight.unwrap().ended(None, Instant::now());
}

/// The types with which a routing keeps state: by their samples, and with each other choice that a parameter has.
fn types_with_state() -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for registration in builtin().all() {
        let sample: Value = serde_saphyr::from_str(registration.sample).unwrap();
        let place = place(&sample, registration.kind);
        let schema = serde_json::to_value(registration.schema()).unwrap();
        let mut tried = vec![sample.clone()];
        for (name, choice) in choices(&schema) {
            let mut routing = sample.clone();
            routing["plugins"][place]["parameters"] = json!({name: choice});
            tried.push(routing);
        }
        for routing in tried {
            if let Ok(compiled) = compile(&routing, Scope::File, &StateStore::default()) {
                let store = StateStore::default();
                store.commit(compiled.staging);
                found.extend(store.held().into_keys().map(|(kind, _)| kind));
            }
        }
    }
    found
}

/// The values of the parameters in `schema` that are one of several names, or true and false.
fn choices(schema: &Value) -> Vec<(String, Value)> {
    fn names(node: &Value, root: &Value, found: &mut Vec<Value>) {
        if let Some(definition) = node["$ref"].as_str() {
            names(root.pointer(definition.trim_start_matches('#')).unwrap(), root, found);
        }
        found.extend(node.get("const").cloned());
        found.extend(node["enum"].as_array().into_iter().flatten().cloned());
        if node["type"] == "boolean" {
            found.extend([json!(true), json!(false)]);
        }
        for list in ["oneOf", "anyOf", "allOf"] {
            node[list].as_array().into_iter().flatten().for_each(|node| names(node, root, found));
        }
    }
    let properties = schema["properties"].as_object().into_iter().flatten();
    let of = |(name, node): (&String, &Value)| {
        let mut found = Vec::new();
        names(node, schema, &mut found);
        found.into_iter().map(|choice| (name.clone(), choice)).collect::<Vec<_>>()
    };
    properties.flat_map(of).collect()
}

#[test]
fn every_type_with_state_is_tried_with_an_edit_of_each_parameter() {
    let tried: BTreeSet<_> = STATEFUL.iter().map(|stateful| stateful.kind).collect();
    assert_eq!(types_with_state(), tried);
    for stateful in STATEFUL {
        let schema = serde_json::to_value(builtin().find(stateful.kind).unwrap().schema()).unwrap();
        let parameters = schema["properties"].as_object().unwrap().keys().map(String::as_str);
        let edited = stateful.edits.iter().filter_map(|(path, ..)| path.split('/').nth(1));
        assert_eq!(
            parameters.collect::<BTreeSet<_>>(),
            edited.collect::<BTreeSet<_>>(),
            "{}: an edit of each parameter",
            stateful.kind
        );
    }
}

#[test]
fn an_edit_of_weights_or_of_another_section_keeps_all_states() {
    let (hot, states) = serving(&routing());
    let edits: [fn(&mut Value); 6] = [
        |routing| weights(routing, 2.0),
        |routing| routing["health"] = json!({"maxEjectionPercent": 20}),
        |routing| routing["explain"] = json!({"samplePercent": 5}),
        |routing| routing["plugins"].as_array_mut().unwrap().push(json!({"type": "random-picker"})),
        |routing| routing["schedulingProfiles"][1]["plugins"][0]["weight"] = json!(3),
        |routing| routing["plugins"].as_array_mut().unwrap().reverse(),
    ];
    let mut edited = routing();
    for edit in edits {
        edit(&mut edited);
        assert_eq!(resets(offer(&hot, &edited)), Vec::<String>::new());
        assert_eq!(lost(&states, &hot.store.held()), BTreeSet::new());
    }
}

#[test]
fn an_edit_of_a_parameter_resets_no_other_state_and_its_own_only_where_that_depends_on_it() {
    for Stateful { kind, edits, .. } in STATEFUL {
        for (path, value, then) in *edits {
            let (hot, states) = serving(&routing());
            let mut edited = routing();
            set(parameters(&mut edited, &named(kind)), path, serde_json::from_str(value).unwrap());
            let resets = resets(offer(&hot, &edited));
            let own = || vec![named(kind)];
            let expected = match then {
                Then::Stays => (vec![], vec![]),
                Then::Restarts => (own(), own()),
                Then::Ends => (vec![], own()),
            };
            let lost: Vec<_> = lost(&states, &hot.store.held()).into_iter().collect();
            assert_eq!((resets, lost), expected, "{kind}: {path}");
            ask(&hot, &view(4), 1);
        }
    }
}

#[test]
fn an_edit_that_is_wrong_changes_nothing() {
    for Stateful { kind, edits, .. } in STATEFUL {
        let (hot, states) = serving(&routing());
        let strategy = hot.current().unwrap();
        let mut wrong = routing();
        weights(&mut wrong, 2.0);
        // Beside what would be a reset.
        for (path, value, _) in edits.iter().filter(|(.., then)| *then == Then::Restarts) {
            set(parameters(&mut wrong, &named(kind)), path, serde_json::from_str(value).unwrap());
        }
        parameters(&mut wrong, &named(kind))["noSuchThing"] = json!(1);
        let path = format!("plugins[{}].parameters.noSuchThing", place(&wrong, &named(kind)));
        match offer(&hot, &wrong) {
            Outcome::Refused(errors) => assert_eq!(errors.0[0].path, path),
            other => panic!("{kind}: {other:?}"),
        }
        assert_eq!(lost(&states, &hot.store.held()), BTreeSet::new(), "{kind}");
        assert!(Arc::ptr_eq(&strategy, &hot.current().unwrap()), "{kind}");
        assert_eq!(offer(&hot, &routing()), Outcome::Unchanged);
    }
}

#[test]
fn a_state_is_its_instances_and_goes_with_it() {
    for Stateful { kind, .. } in STATEFUL {
        let (hot, mut states) = serving(&routing());
        let key = (*kind, named(kind));
        let mut renamed = routing();
        let place = place(&renamed, &named(kind));
        renamed["plugins"][place]["name"] = json!("renamed");
        for reference in renamed["schedulingProfiles"][0]["plugins"].as_array_mut().unwrap() {
            if reference["pluginRef"] == named(kind) {
                reference["pluginRef"] = json!("renamed");
            }
        }
        let flight = hot.current().unwrap().route(&request("a"), &view(4), None, &mut Cx::live()).unwrap();
        assert_eq!(resets(offer(&hot, &renamed)), Vec::<String>::new());
        let after = hot.store.held();
        assert!(after.contains_key(&(*kind, "renamed".to_owned())), "{kind}");
        assert_eq!(lost(&states, &after), BTreeSet::from([named(kind)]));
        // What watches the answer may note in it how it went.
        let old = Arc::downgrade(&states.remove(&key).unwrap());
        flight.ended(None, Instant::now());
        assert_eq!(old.strong_count(), 0, "{kind}");
    }
}

#[test]
fn exchanges_that_have_begun_end_with_the_revision_they_began_with() {
    let (hot, view) = (serving(&routing()).0, view(4));
    let old = Arc::downgrade(&hot.current().unwrap());
    let mut flights: Vec<_> = (0..20)
        .map(|seed| {
            let mut cx = Cx::new(Instant::now(), seed);
            hot.current().unwrap().route(&request("a"), &view, None, &mut cx).unwrap()
        })
        .collect();
    // All that can be reset is reset, all at once.
    let mut edited = routing();
    for Stateful { kind, edits, .. } in STATEFUL {
        for (path, value, _) in edits.iter().filter(|(.., then)| *then == Then::Restarts) {
            set(parameters(&mut edited, &named(kind)), path, serde_json::from_str(value).unwrap());
        }
    }
    resets(offer(&hot, &edited));
    assert_eq!(old.strong_count(), 0);
    for flight in &mut flights {
        assert_eq!(flight.revision(), revision(&routing()));
        flight.chunk(b"a", Instant::now);
    }
    flights.into_iter().for_each(|flight| drop(flight.ended(None, Instant::now())));
    ask(&hot, &view, 1);
    assert!(view.endpoints.iter().all(|e| (e.live().in_flight(), e.live().tokens()) == (0, 0)));
}

#[test]
fn edits_under_load_fail_no_request_and_lose_no_state() {
    let (hot, states) = serving(&routing());
    let view = view(8);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let askers: Vec<_> = (0..2)
            .map(|asker| {
                let (hot, view, done) = (&hot, &view, &done);
                scope.spawn(move || {
                    let mut seeds = (0..u64::MAX).map(|n| 2 * n + asker);
                    while !done.load(Ordering::Relaxed) {
                        ask(hot, view, seeds.next().unwrap());
                    }
                })
            })
            .collect();
        for edit in 0..100 {
            let mut edited = routing();
            weights(&mut edited, f64::from(edit % 7 + 2));
            assert!(!matches!(offer(&hot, &edited), Outcome::Refused(_)));
        }
        done.store(true, Ordering::Relaxed);
        askers.into_iter().for_each(|asker| asker.join().unwrap());
    });
    assert_eq!(lost(&states, &hot.store.held()), BTreeSet::new());
    assert!(view.endpoints.iter().all(|e| e.live().in_flight() == 0));
}
