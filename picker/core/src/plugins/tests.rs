//! What holds for every plugin of the table.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ask::{Ask, Scored};
use crate::config::Scope;
use crate::cx::Cx;
use crate::fact::{Facts, PrefixMatch};
use crate::plugin::Role;
use crate::request::header;
use crate::store::StateStore;
use crate::testing::{Instance, build, lora, request, view};
use crate::view::{Candidates, Signals, View};

mod published;

/// The parameters of `kind` in its sample.
fn sample(kind: &str) -> Value {
    let registration = builtin().find(kind).unwrap();
    let routing: Value = serde_saphyr::from_str(registration.sample).unwrap();
    let plugins = routing["plugins"].as_array().unwrap();
    let own = plugins.iter().find(|plugin| plugin["type"] == kind);
    let own = own.unwrap_or_else(|| panic!("{kind} is not in its sample"));
    own.get("parameters").cloned().unwrap_or_else(|| json!({}))
}

fn playing(role: Role) -> impl Iterator<Item = &'static str> {
    builtin().all().iter().filter(move |r| r.roles.contains(&role)).map(|r| r.kind)
}

/// Every property in `schema`, with its path.
fn properties(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}/{name}");
                if name == "properties" {
                    for (property, schema) in value.as_object().unwrap() {
                        found.push((format!("{path}/{property}"), schema.clone()));
                    }
                }
                properties(&path, value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(path, item, found)),
        _ => {}
    }
}

#[test]
fn names_are_unique_and_in_kebab_case() {
    let mut names: Vec<_> = builtin().all().iter().flat_map(|r| r.aliases).copied().collect();
    names.extend(builtin().types());
    let kebab = |name: &&str| name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
    assert!(names.iter().all(kebab), "{names:?}");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    assert!(builtin().find("queue-scorer").is_some_and(|r| r.kind == "queue-scorer"));
    assert!(builtin().find("Queue-Scorer").is_none());
}

#[test]
fn every_sample_compiles_without_a_warning_but_that_of_a_deprecated_type() {
    for plugin in builtin().all() {
        let routing: Value = serde_saphyr::from_str(plugin.sample).unwrap();
        let compiled = crate::compile::compile(&routing, Scope::File, &StateStore::default());
        let strategy = compiled.unwrap_or_else(|e| panic!("{}: {e}", plugin.kind)).strategy;
        let told: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
        let deprecated = |instead| format!("plugins[0].type: {} is deprecated; write {instead}", plugin.kind);
        assert_eq!(told, Vec::from_iter(plugin.deprecated.map(deprecated)), "{}", plugin.kind);
    }
}

#[test]
fn every_plugin_has_a_summary_and_every_parameter_a_description() {
    for plugin in builtin().all() {
        assert!(plugin.summary.ends_with('.') && plugin.summary.len() > 20, "{}: summary", plugin.kind);
        assert!(!plugin.roles.is_empty(), "{}: roles", plugin.kind);
        let schema = serde_json::to_value(plugin.schema()).unwrap();
        assert_eq!(schema["additionalProperties"], json!(false), "{}: unknown parameters", plugin.kind);
        let mut found = Vec::new();
        properties("", &schema, &mut found);
        for (path, property) in found {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{}: {path} needs a description: {property}", plugin.kind);
        }
    }
}

#[test]
fn every_plugin_plays_the_roles_it_names_and_refuses_unknown_parameters() {
    for plugin in builtin().all() {
        let parameters = match plugin.kind {
            // The strategy of its sample needs fewer roles.
            "session-affinity-scorer" => json!({"strategy": "session_id"}),
            kind => sample(kind),
        };
        let roles = build(plugin.kind, parameters).unwrap_or_else(|e| panic!("{}: {e}", plugin.kind));
        assert_eq!(roles.played(), plugin.roles, "{}", plugin.kind);

        let mut parameters = sample(plugin.kind);
        parameters["noSuchThing"] = json!(1);
        let error = build(plugin.kind, parameters).err().unwrap_or_else(|| panic!("{}", plugin.kind));
        assert_eq!(error.path, "plugins[0].parameters.noSuchThing", "{}: {error}", plugin.kind);
    }
}

#[test]
fn wrong_parameters_are_named() {
    for (kind, parameters, expected) in [
        (
            "active-request-scorer",
            json!({"maxBusyScore": 1.5}),
            "plugins[0].parameters.maxBusyScore: must lie between 0 and 1",
        ),
        (
            "active-request-scorer",
            json!({"idleThreshold": -1}),
            "plugins[0].parameters.idleThreshold: invalid value: integer `-1`, expected u32",
        ),
        (
            "active-request-scorer",
            json!({"inFlightLoadProducerName": "mine"}),
            "plugins[0].parameters.inFlightLoadProducerName: there is no plugin called mine; add one of type \
             inflight-load-producer, or leave this out",
        ),
        (
            "prefix-cache-scorer",
            json!({"matchLengthWeight": -0.1}),
            "plugins[0].parameters.matchLengthWeight: must lie between 0 and 1",
        ),
        (
            "prefix-cache-scorer",
            json!({"matchLengthScaleTokens": 0}),
            "plugins[0].parameters.matchLengthScaleTokens: must be at least 1",
        ),
        (
            "prefix-cache-scorer",
            json!({"prefixMatchInfoProducerName": "precise"}),
            "plugins[0].parameters.prefixMatchInfoProducerName: there is no plugin called precise; add one of type \
             approx-prefix-cache-producer, or leave this out",
        ),
        (
            "approx-prefix-cache-producer",
            json!({"blockSizeTokens": -1}),
            "plugins[0].parameters.blockSizeTokens: invalid value: integer `-1`, expected u32",
        ),
        (
            "approx-prefix-cache-producer",
            json!({"lruCapacityPerServer": 0}),
            "plugins[0].parameters.lruCapacityPerServer: must be at least 1 block",
        ),
        (
            "max-score-picker",
            json!({"maxNumOfEndpoints": "2"}),
            "plugins[0].parameters.maxNumOfEndpoints: invalid type: string \"2\", expected i64",
        ),
    ] {
        let routing = json!({"plugins": [{"type": kind, "parameters": parameters}]});
        let compiled = crate::compile::compile(&routing, Scope::File, &StateStore::default());
        let error = compiled.err().map(|errors| errors.0[0].to_string());
        assert_eq!(error.as_deref(), Some(expected), "{kind}");
    }
}

fn number() -> impl Strategy<Value = Option<f32>> {
    prop_oneof![
        4 => (0.0_f32..100.0).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(-1.0), Just(f32::MAX), Just(f32::MIN)].prop_map(Some),
    ]
}

fn views() -> impl Strategy<Value = View> {
    let row = (number(), number(), number(), 0..3_u32).prop_map(|(waiting, running, kv_usage, max)| {
        let lora = lora(max, &["a"][..(max as usize).min(1)], &["b"]).lora.filter(|_| max > 0);
        Signals { waiting, running, kv_usage, lora, ..Signals::default() }
    });
    prop::collection::vec(row, 1..20).prop_map(view)
}

proptest! {
    #[test]
    fn scores_lie_between_0_and_1(view in views(), matched in prop::collection::vec(0..=4_u32, 20), some in any::<u32>()) {
        let matched = matched[..view.len()].to_vec();
        let found = PrefixMatch { hashes: vec![1, 2, 3, 4], block_tokens: 64, matched };
        let request = request("a", "prompt");
        let mut candidates = Candidates::of(&view.endpoints, None);
        candidates.retain(|i| some >> i & 1 == 0);
        for kind in playing(Role::Scorer) {
            let mut scorer = Instance::new(kind, sample(kind)).unwrap();
            if scorer.has::<PrefixMatch>() {
                scorer = scorer.knowing(found.clone());
            }
            let mut out = vec![0.0; candidates.len()];
            scorer.roles.scorer.as_ref().unwrap().score(&scorer.ask(&request, &view, &[]), &candidates, &mut out);
            prop_assert!(out.iter().all(|s| (0.0..=1.0).contains(s)), "{kind}: {out:?}");
        }
    }

    #[test]
    fn filters_only_remove(view in views(), header in "(10\\.0\\.0\\.[0-9]{1,2}(:8000)?,?){0,4}|.{0,20}", some in any::<u32>()) {
        let mut request = request("a", "prompt");
        request.headers.0.push((header::TEST_ENDPOINT_SELECTION.into(), Bytes::from(header)));
        let mut before = Candidates::of(&view.endpoints, None);
        before.retain(|i| some >> i & 1 == 0);
        for kind in playing(Role::Filter).chain(playing(Role::Screener)) {
            let after = Instance::new(kind, sample(kind)).unwrap().kept_of(&request, &view, before.clone());
            let (before, after): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.into_iter().collect());
            prop_assert!(after.is_subset(&before), "{kind}");
        }
    }

    #[test]
    fn pickers_pick_different_candidates_and_as_many_as_asked_for(
        totals in prop::collection::vec(prop_oneof![-1.0_f32..3.0, Just(0.0), Just(1.0)], 1..20),
        some in any::<u32>(),
        count in -1..8_i64,
        seed in any::<u64>(),
    ) {
        let view = view(vec![Signals::default(); totals.len()]);
        let mut candidates = Candidates::of(&view.endpoints, None);
        candidates.retain(|i| i == 0 || some >> i & 1 == 0);
        let totals: Vec<_> = candidates.iter().map(|i| totals[i]).collect();
        let mut cx = Cx::new(std::time::Instant::now(), seed);
        let (request, facts) = (request("a", "prompt"), Facts::default());
        let ask = Ask { request: &request, view: &view, facts: &facts, done: &[], now: cx.now() };
        for kind in playing(Role::Picker) {
            let picker = build(kind, json!({"maxNumOfEndpoints": count})).unwrap().picker.unwrap();
            let picked = picker.pick(&ask, &mut cx, Scored { candidates: &candidates, totals: &totals });
            let among: BTreeSet<_> = candidates.iter().map(|i| i as u32).collect();
            let different: BTreeSet<_> = picked.iter().copied().collect();
            prop_assert_eq!(picked.len(), (count.max(1) as usize).min(candidates.len()), "{}", kind);
            prop_assert_eq!(different.len(), picked.len(), "{}", kind);
            prop_assert!(different.is_subset(&among), "{}", kind);
        }
    }
}
