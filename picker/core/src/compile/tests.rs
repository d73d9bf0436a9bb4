use std::time::Instant;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::ask::{Ask, Scored};
use crate::config::{Document, ErrorKind, Errors, Scope, Warning};
use crate::cx::Cx;
use crate::discovery::FileDiscovery;
use crate::fact::Facts;
use crate::needs::Needs;
use crate::request::Request;
use crate::store::StateStore;
use crate::strategy::NeededFile;
use crate::testing::unknown;
use crate::view::Candidates;

mod former;
mod later;
mod parsers;

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn compiled(routing: &Value) -> Strategy {
    compile(routing, Scope::File, &StateStore::default()).map_err(|e| e.to_string()).unwrap().strategy
}

type Seen = (String, ErrorKind, String);

fn errors(routing: &Value, scope: Scope) -> Vec<Seen> {
    let Err(Errors(errors)) = compile(routing, scope, &StateStore::default()) else { panic!("it compiles") };
    errors.into_iter().map(|e| (e.path, e.kind, e.message)).collect()
}

fn error(path: &str, kind: ErrorKind, message: &str) -> Seen {
    (path.to_owned(), kind, message.to_owned())
}

fn weights(strategy: &Strategy) -> Vec<Vec<f32>> {
    strategy.profiles.iter().map(|p| p.scorers.iter().map(|(weight, _)| *weight).collect()).collect()
}

#[test]
fn everything_that_is_wrong_is_told_in_the_order_of_the_text() {
    let routing = yaml(
        r#"
kinds: []
plugins:
- type: queue-scorer
  wieght: 2
- 7
- type: prefix-cache-scorer
  parameters: {matchLengthWieght: 1, matchLengthScaleTokens: many}
- type: made-up-scorer
- type: queue-scorer
- name: nameless
- {type: random-picker, parameters: [1]}
- {type: max-score-picker, name: "", parameters: {maxNumOfEndpoints: 1.5}}
- {type: prefix-cache-scorer, name: far, parameters: {matchLengthWeight: 2}}
- {type: prefix-cache-scorer, name: lost, parameters: {prefixMatchInfoProducerName: nobody}}
- {type: approx-prefix-cache-producer}
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: nobody}
  - {pluginRef: queue-scorer, weight: heavy}
  - {pluginRef: made-up-scorer}
  - {pluginRef: approx-prefix-cache-producer}
  - {pluginRef: random-picker, weight: 1}
  - {pluginRef: random-picker}
  - {pluginRef: queue-scorer, weight: 1e39}
  - {weight: 1}
- {name: default, plugin: []}
"#,
    );
    let types = crate::plugins::builtin().types().collect::<Vec<_>>().join(", ");
    let names = "approx-prefix-cache-producer, far, lost, made-up-scorer, max-score-picker, nameless, prefix-cache-scorer, queue-scorer, random-picker";
    assert_eq!(
        errors(&routing, Scope::Resource),
        [
            error(
                "kinds",
                ErrorKind::UnknownField,
                "unknown field; known here: plugins, schedulingProfiles, health, explain, models, trust, requestHandler"
            ),
            error(
                "plugins[0].wieght",
                ErrorKind::UnknownField,
                "unknown field; known here: type, name, parameters"
            ),
            error("plugins[1]", ErrorKind::Invalid, "must be a mapping, is 7"),
            error(
                "plugins[2].parameters.matchLengthWieght",
                ErrorKind::UnknownField,
                "unknown field `matchLengthWieght`; the nearest is \"matchLengthWeight\"; known here: prefixMatchInfoProducerName, matchLengthWeight, matchLengthScaleTokens, autoTune, blockSizeTokens, blockSize, hashBlockSize, maxPrefixBlocksToMatch, maxPrefixTokensToMatch, lruCapacityPerServer"
            ),
            error(
                "plugins[2].parameters.matchLengthScaleTokens",
                ErrorKind::Invalid,
                "invalid type: string \"many\", expected u32"
            ),
            error(
                "plugins[3].type",
                ErrorKind::UnknownPlugin,
                &format!("unknown plugin type \"made-up-scorer\"; known: {types}")
            ),
            error(
                "plugins[4].name",
                ErrorKind::Duplicate,
                "\"queue-scorer\" is the name of an earlier plugin; give one another name"
            ),
            error("plugins[5].type", ErrorKind::Missing, "is required"),
            error("plugins[6].parameters", ErrorKind::Invalid, "must be a mapping, is a list"),
            error("plugins[7].name", ErrorKind::Invalid, "must not be empty"),
            error(
                "plugins[7].parameters.maxNumOfEndpoints",
                ErrorKind::Invalid,
                "invalid type: floating point `1.5`, expected i64"
            ),
            error("plugins[8].parameters.matchLengthWeight", ErrorKind::Invalid, "must lie between 0 and 1"),
            error(
                "plugins[9].parameters.prefixMatchInfoProducerName",
                ErrorKind::UnknownRef,
                "there is no plugin called nobody; add one of type approx-prefix-cache-producer, or leave this out"
            ),
            error(
                "schedulingProfiles",
                ErrorKind::Invalid,
                "single-profile-handler runs exactly one scheduling profile, and there are 2; leave one"
            ),
            error(
                "schedulingProfiles[0].plugins[0].pluginRef",
                ErrorKind::UnknownRef,
                &format!("no plugin is called \"nobody\"; there are: {names}")
            ),
            error(
                "schedulingProfiles[0].plugins[1].weight",
                ErrorKind::Invalid,
                "must be a number, is \"heavy\""
            ),
            error(
                "schedulingProfiles[0].plugins[5].pluginRef",
                ErrorKind::Duplicate,
                "a second picker, \"random-picker\"; a profile has one"
            ),
            error(
                "schedulingProfiles[0].plugins[6].weight",
                ErrorKind::Invalid,
                "must lie within ±3.4028235e38"
            ),
            error("schedulingProfiles[0].plugins[7].pluginRef", ErrorKind::Missing, "is required"),
            error(
                "schedulingProfiles[1].name",
                ErrorKind::Duplicate,
                "\"default\" is the name of an earlier profile"
            ),
            error(
                "schedulingProfiles[1].plugin",
                ErrorKind::UnknownField,
                "unknown field; the nearest is \"plugins\"; known here: name, plugins"
            ),
        ]
    );
}

#[rstest]
#[case::number(json!(5), "must be a mapping, is 5")]
#[case::null(json!(null), "must be a mapping, is null")]
#[case::list(json!([]), "must be a mapping, is a list")]
#[case::why_it_was_not_read(json!("too long: 7 bytes, more than 6"), "too long: 7 bytes, more than 6")]
fn a_routing_is_a_mapping(#[case] routing: Value, #[case] message: &str) {
    assert_eq!(errors(&routing, Scope::Resource), [error("", ErrorKind::Invalid, message)]);
}

/// A RoutingStrategy's is kept in the history and read by every picker; a file is its owner's own affair.
#[test]
fn a_routing_of_a_resource_is_not_of_any_length() {
    let routing = json!({"plugins": [{"type": "queue-scorer", "name": "x".repeat(256 * 1024)}]});
    let message = "has 262191 bytes as JSON, more than 262144";
    assert_eq!(errors(&routing, Scope::Resource), [error("", ErrorKind::Invalid, message)]);
    compiled(&routing);
}

#[test]
fn lists_are_lists_and_their_entries_mappings() {
    let routing = json!({"plugins": {"type": "queue-scorer"}, "schedulingProfiles": ["default"]});
    assert_eq!(
        errors(&routing, Scope::Resource),
        [
            error("plugins", ErrorKind::Invalid, "must be a list, is a mapping"),
            error("schedulingProfiles[0]", ErrorKind::Invalid, "must be a mapping, is \"default\""),
        ]
    );
}

#[test]
fn null_is_absent() {
    let routing = json!({
        "plugins": [{"type": "queue-scorer", "name": null, "parameters": null}],
        "schedulingProfiles": [{"name": "p", "plugins": [{"pluginRef": "queue-scorer", "weight": null}]}],
    });
    assert_eq!(weights(&compiled(&routing)), [[1.0]]);
}

#[test]
fn what_only_a_file_may_say_is_unknown_in_a_resource() {
    let routing = json!({"featureGates": [], "dataLayer": {}});
    compiled(&routing);
    let message = "unknown field; known here: plugins, schedulingProfiles, health, explain, models, trust, requestHandler";
    assert_eq!(
        errors(&routing, Scope::Resource),
        [
            error("featureGates", ErrorKind::UnknownField, message),
            error("dataLayer", ErrorKind::UnknownField, "unknown field")
        ]
    );
}

#[test]
fn an_empty_routing_picks_at_random() {
    let strategy = compiled(&json!({}));
    assert_eq!(strategy.profiles().collect::<Vec<_>>(), ["default"]);
    assert_eq!((weights(&strategy), strategy.needs), (vec![vec![]], Needs::NOTHING));
}

#[test]
fn the_default_routing_is_that_of_llm_d() {
    let strategy = compiled(&default_routing());
    assert_eq!(weights(&strategy), [[2.0, 2.0, 3.0]]);
    assert_eq!((strategy.producers.len(), strategy.needs, strategy.scrape.is_some()), (1, Needs::BODY, true));
}

#[test]
fn a_config_that_names_picker_and_handler_compiles() {
    let strategy = compiled(&yaml(
        r#"
plugins:
- type: single-profile-handler
- {type: queue-scorer, name: queue}
- type: random-picker
schedulingProfiles:
- name: only
  plugins: [{pluginRef: queue, weight: -0.5}, {pluginRef: random-picker}]
"#,
    ));
    assert_eq!(strategy.profiles().collect::<Vec<_>>(), ["only"]);
    assert_eq!((weights(&strategy), strategy.needs), (vec![vec![-0.5]], Needs::NOTHING));
}

/// The ConfigMap of the Envoy AI Gateway's InferencePool guide.
#[test]
fn the_config_of_the_envoy_ai_gateway_guide_compiles() {
    let document = Document::parse(
        r#"
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
  - pluginRef: kv-cache-utilization-scorer
  - pluginRef: prefix-cache-scorer
"#,
    )
    .unwrap();
    let strategy = compiled(&document.routing);
    assert_eq!(strategy.profiles().collect::<Vec<_>>(), ["default"]);
    assert_eq!((weights(&strategy), strategy.producers.len()), (vec![vec![1.0; 3]], 1));
}

#[test]
fn a_default_producer_is_made_once_for_all_that_ask() {
    let routing = json!({
        "plugins": [{"type": "prefix-cache-scorer"}, {"type": "prefix-cache-scorer", "name": "far"}],
        "schedulingProfiles": [
            {"name": "default", "plugins": [{"pluginRef": "prefix-cache-scorer"}, {"pluginRef": "far"}]}
        ],
    });
    assert_eq!(compiled(&routing).producers.len(), 1);
}

#[test]
fn a_producer_of_the_configuration_takes_the_place_of_the_default_one() {
    let producer = json!({"type": "approx-prefix-cache-producer", "parameters": {"autoTune": false}});
    // Declared after the scorer that asks for it.
    let strategy = compiled(&json!({"plugins": [{"type": "prefix-cache-scorer"}, producer]}));
    assert_eq!((strategy.producers.len(), strategy.needs), (1, Needs::BODY));
}

#[test]
fn what_no_plugin_in_a_profile_needs_is_not_done() {
    let routing = json!({
        "plugins": [{"type": "prefix-cache-scorer"}, {"type": "queue-scorer"}, {"type": "active-request-scorer"}],
        "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "active-request-scorer"}]}],
    });
    let strategy = compiled(&routing);
    assert_eq!((strategy.producers.len(), strategy.needs), (0, Needs::NOTHING));
}

#[test]
fn a_producer_of_another_type_is_named() {
    let routing = json!({"plugins": [
        {"type": "prefix-cache-scorer", "parameters": {"prefixMatchInfoProducerName": "queue"}},
        {"type": "queue-scorer", "name": "queue"},
    ]});
    let message = "queue provides no prefix match; name a plugin that does";
    assert_eq!(
        errors(&routing, Scope::Resource),
        [error("plugins[0].parameters.prefixMatchInfoProducerName", ErrorKind::Invalid, message)]
    );
}

/// Who writes a strategy of the cluster may not read the pods' files, nor send requests elsewhere.
#[test]
fn a_strategy_of_the_cluster_names_no_file_and_no_endpoints() {
    let plugins = json!([
        {"type": "file-discovery", "name": "local", "parameters": {"path": "/var/run/secrets/token"}},
        {"type": "queue-scorer"},
    ]);
    let routing = json!({"plugins": plugins, "dataLayer": {"discovery": {"pluginRef": "local"}}});
    let told = errors(&routing, Scope::Resource);
    assert_eq!(told.iter().map(|(path, ..)| path.as_str()).collect::<Vec<_>>(), ["dataLayer"]);
    let compiled = compile(&json!({"plugins": plugins}), Scope::Resource, &StateStore::default()).unwrap();
    assert_eq!(compiled.strategy.discovery, None);
}

#[rstest]
#[case::the_first_of_two(&["max-score-picker", "random-picker"], 2)]
#[case::in_the_order_of_the_plugins(&["random-picker", "max-score-picker"], 1)]
#[case::the_default_one(&[], 1)]
fn a_profile_without_a_picker_takes_the_first_one_declared(#[case] pickers: &[&str], #[case] named: usize) {
    let count = |kind: &str| if kind == "max-score-picker" { 2 } else { 1 };
    let mut plugins = vec![json!({"type": "queue-scorer"})];
    plugins.extend(pickers.iter().map(|kind| {
        json!({"type": kind, "name": format!("my-{kind}"), "parameters": {"maxNumOfEndpoints": count(kind)}})
    }));
    let profiles = json!([{"name": "default", "plugins": [{"pluginRef": "queue-scorer"}]}]);
    let strategy = compiled(&json!({"plugins": plugins, "schedulingProfiles": profiles}));
    let view = unknown(3);
    let scored = Scored { candidates: &Candidates::of(&view.endpoints, None), totals: &[3.0, 2.0, 1.0] };
    let (request, facts, mut cx) = (Request::default(), Facts::default(), Cx::new(Instant::now(), 1));
    let ask = Ask { request: &request, view: &view, facts: &facts, done: &[], now: cx.now() };
    let picked = strategy.profiles[0].picker.role.pick(&ask, &mut cx, scored);
    assert_eq!(picked.len(), named);
}

#[test]
fn without_profiles_two_pickers_are_one_too_many() {
    let routing = json!({"plugins": [{"type": "max-score-picker"}, {"type": "random-picker"}]});
    let message =
        "a second picker, \"random-picker\"; without schedulingProfiles there is one for all requests";
    assert_eq!(errors(&routing, Scope::Resource), [error("plugins[1].type", ErrorKind::Duplicate, message)]);
}

#[test]
fn there_is_one_profile_handler() {
    let routing = json!({"plugins": [
        {"type": "single-profile-handler"}, {"type": "single-profile-handler", "name": "other"},
    ]});
    assert_eq!(
        errors(&routing, Scope::Resource),
        [error("plugins[1].type", ErrorKind::Duplicate, "a second profile handler, \"other\"; there is one")]
    );
}

#[test]
fn a_file_may_name_a_source_of_endpoints() {
    let routing = |reference: Value| {
        json!({
            "plugins": [
                {"type": "file-discovery", "name": "local", "parameters": {"path": "/endpoints.yaml", "watchFile": true}},
                {"type": "queue-scorer"},
            ],
            "dataLayer": {"discovery": reference},
        })
    };
    let strategy = compiled(&routing(json!({"pluginRef": "local"})));
    assert_eq!(
        strategy.discovery,
        Some(FileDiscovery { path: "/endpoints.yaml".to_owned(), watch_file: true, host_names: false })
    );
    assert_eq!(weights(&strategy), [[1.0]]);
    let field = "plugins[0].parameters.path".to_owned();
    assert_eq!(*strategy.files, [NeededFile { field, path: "/endpoints.yaml".to_owned() }]);
    let path = "dataLayer.discovery.pluginRef";
    let table = [
        (
            json!({"pluginRef": "remote"}),
            error(
                path,
                ErrorKind::UnknownRef,
                "no plugin is called \"remote\"; there are: local, queue-scorer",
            ),
        ),
        (
            json!({"pluginRef": "queue-scorer"}),
            error(
                path,
                ErrorKind::Invalid,
                "\"queue-scorer\" finds no endpoints; name a plugin of type file-discovery or multicluster-file-discovery",
            ),
        ),
        (json!({}), error(path, ErrorKind::Missing, "is required")),
        (
            json!({"pluginRef": "local", "path": "x"}),
            error(
                "dataLayer.discovery.path",
                ErrorKind::UnknownField,
                "unknown field; known here: pluginRef",
            ),
        ),
    ];
    for (reference, wanted) in table {
        assert_eq!(errors(&routing(reference), Scope::File), [wanted]);
    }
}

#[test]
fn a_source_of_endpoints_needs_its_path() {
    let routing = json!({
        "plugins": [{"type": "file-discovery", "parameters": {"watch": true}}],
        "dataLayer": {"discovery": {"pluginRef": "file-discovery"}},
    });
    assert_eq!(
        errors(&routing, Scope::File),
        [
            error(
                "plugins[0].parameters.watch",
                ErrorKind::UnknownField,
                "unknown field `watch`; the nearest is \"watchFile\"; known here: path, watchFile"
            ),
            error("plugins[0].parameters.path", ErrorKind::Missing, "is required"),
        ]
    );
}

#[test]
fn the_revision_is_that_of_the_routing() {
    let strategy = compiled(&default_routing());
    assert_eq!(*strategy.revision, *crate::config::revision(&default_routing()));
}

fn warnings(routing: &Value) -> Vec<(String, String)> {
    let told = |Warning { path, message }: &Warning| (path.clone(), message.clone());
    compiled(routing).warnings.iter().map(told).collect()
}

fn warning(path: &str, message: &str) -> (String, String) {
    (path.to_owned(), message.to_owned())
}
