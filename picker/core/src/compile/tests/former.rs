//! Configurations as other endpoint pickers had them in former releases.

use super::*;
use crate::hot::{Hot, Outcome};

/// The chart of the Gateway API Inference Extension 0.5 and 1.0.
#[test]
fn what_was_a_parameter_of_the_prefix_scorer_is_taken_to_the_producer() {
    let former = yaml(
        "
plugins:
- type: queue-scorer
- type: kv-cache-scorer
- type: prefix-cache-scorer
  parameters: {hashBlockSize: 1000, maxPrefixBlocksToMatch: 256, lruCapacityPerServer: 100, autoTune: false}
- {type: max-score-picker, parameters: {maxNumOfEndpoints: 1}}
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 1}
  - {pluginRef: kv-cache-scorer, weight: 1}
  - {pluginRef: prefix-cache-scorer, weight: 1}
  - pluginRef: max-score-picker
",
    );
    let moved = |field: &str, there: &str| {
        let message = format!(
            "is a parameter of the plugin approx-prefix-cache-producer now, which is made with it; add that, and write \
             {there} there"
        );
        warning(&format!("plugins[2].parameters.{field}"), &message)
    };
    assert_eq!(
        warnings(&former),
        [
            warning(
                "plugins[1].type",
                "kv-cache-scorer is a former name of kv-cache-utilization-scorer; write that"
            ),
            moved("hashBlockSize", "blockSize: 1000"),
            moved("maxPrefixBlocksToMatch", "maxPrefixBlocksToMatch: 256 and maxPrefixTokensToMatch: 0"),
            moved("lruCapacityPerServer", "lruCapacityPerServer: 100"),
            moved("autoTune", "autoTune: false"),
        ]
    );
    // Written in the new place it is the same: no state starts anew.
    let mut new = former.clone();
    new["plugins"][2] = json!({"type": "prefix-cache-scorer"});
    new["plugins"].as_array_mut().unwrap().push(json!({
        "type": "approx-prefix-cache-producer",
        "parameters": {"blockSize": 1000, "lruCapacityPerServer": 100, "autoTune": false},
    }));
    let hot = Hot::default();
    hot.offer(&former, Scope::Resource);
    let Outcome::Swapped { resets, .. } = hot.offer(&new, Scope::Resource) else { panic!("it compiles") };
    assert_eq!(resets, Vec::<String>::new());
    new["plugins"][5]["parameters"]["blockSize"] = json!(2000);
    let Outcome::Swapped { resets, .. } = hot.offer(&new, Scope::Resource) else { panic!("it compiles") };
    assert_eq!(resets, ["approx-prefix-cache-producer"]);
}

#[test]
fn a_producer_of_the_configuration_keeps_its_own_parameters() {
    let scorer = json!({"type": "prefix-cache-scorer", "parameters": {"blockSizeTokens": 128}});
    let routing = json!({"plugins": [scorer, {"type": "approx-prefix-cache-producer"}]});
    let message = "is a parameter of the plugin approx-prefix-cache-producer now, and has no effect here; write \
                   blockSizeTokens: 128 there";
    assert_eq!(warnings(&routing), [warning("plugins[0].parameters.blockSizeTokens", message)]);
}

#[test]
fn one_producer_is_made_with_the_parameters_of_the_first_scorer() {
    let scorer = |name: &str, tokens: u32| json!({"type": "prefix-cache-scorer", "name": name, "parameters": {"blockSizeTokens": tokens}});
    let routing = json!({"plugins": [scorer("a", 128), scorer("b", 256), scorer("c", 128)]});
    let told = warnings(&routing);
    let conflict =
        "approx-prefix-cache-producer is made with the parameters of plugins[0], not with these".to_owned();
    assert_eq!(told.len(), 4);
    assert!(told.contains(&("plugins[1].parameters".to_owned(), conflict)), "{told:?}");
}

#[test]
fn what_the_producer_refuses_is_told_where_it_is_written() {
    let routing = json!({"plugins": [
        {"type": "prefix-cache-scorer", "parameters": {"lruCapacityPerServer": 0, "hashBlockSize": "many"}},
        {"type": "prefix-cache-scorer", "name": "other", "parameters": {"lruCapacityPerServer": 0}},
    ]});
    let message = "invalid type: string \"many\", expected u32";
    assert_eq!(
        errors(&routing, Scope::File),
        [
            error("plugins[0].parameters.hashBlockSize", ErrorKind::Invalid, message),
            error(
                "plugins[1].parameters.lruCapacityPerServer",
                ErrorKind::Invalid,
                "must be at least 1 block"
            ),
        ]
    );
}

#[test]
fn parameters_that_never_had_an_effect_are_taken() {
    let routing = json!({"plugins": [
        {"type": "queue-scorer", "parameters": {"maxQueueSize": 128, "hashBlockSize": 5}},
        {"type": "kv-cache-scorer", "parameters": {"maxKVCacheUsage": 0.95}},
    ]});
    let none = |path: &str| warning(path, "has no effect; take it out");
    let told = warnings(&routing);
    assert_eq!(
        told,
        [
            none("plugins[0].parameters.maxQueueSize"),
            none("plugins[0].parameters.hashBlockSize"),
            warning(
                "plugins[1].type",
                "kv-cache-scorer is a former name of kv-cache-utilization-scorer; write that"
            ),
            none("plugins[1].parameters.maxKVCacheUsage"),
        ]
    );
}

/// The sample of Envoy AI Gateway for an InferencePool declares a decision tree beside the scorers that it uses.
#[test]
fn retired_filters_are_passed_over_where_no_profile_uses_them() {
    let plugins = json!([
        {"type": "low-queue-filter", "parameters": {"threshold": 128}},
        {"type": "decision-tree-filter", "name": "low-latency-filter", "parameters": {"current": {"pluginRef": "low-queue-filter"}}},
        {"type": "queue-scorer"},
    ]);
    let profile = |used: &str| json!([{"name": "default", "plugins": [{"pluginRef": used}]}]);
    let routing = |used: &str| json!({"plugins": plugins, "schedulingProfiles": profile(used)});
    let gone = |kind: &str, rest: &str| {
        format!("{kind} went with release 1.0 of the Gateway API Inference Extension{rest}")
    };
    let unused = ", and no profile uses this plugin: it does nothing; take it out";
    let instead =
        "; use scorers in its place: queue-scorer, kv-cache-utilization-scorer and lora-affinity-scorer";
    assert_eq!(
        warnings(&routing("queue-scorer")),
        [
            ("plugins[0].type".to_owned(), gone("low-queue-filter", unused)),
            ("plugins[1].type".to_owned(), gone("decision-tree-filter", unused)),
        ]
    );
    let used = error("plugins[1].type", ErrorKind::UnknownPlugin, &gone("decision-tree-filter", instead));
    assert_eq!(errors(&routing("low-latency-filter"), Scope::File), std::slice::from_ref(&used));
    // Without profiles every plugin is used.
    let first = error("plugins[0].type", ErrorKind::UnknownPlugin, &gone("low-queue-filter", instead));
    assert_eq!(errors(&json!({"plugins": plugins}), Scope::File), [first, used]);
}

/// From 1.2 to 1.4 of the Gateway API Inference Extension.
#[test]
fn the_data_layer_has_its_former_name_and_gate() {
    let routing = |name: &str| {
        json!({
            "featureGates": ["dataLayer=true", "flowControl=false"],
            "plugins": [
                {"type": "queue-scorer"}, {"type": "metrics-data-source"}, {"type": "model-server-protocol-metrics"},
            ],
            name: {"sources": [{
                "pluginRef": "metrics-data-source",
                "extractors": [{"pluginRef": "model-server-protocol-metrics"}],
            }]},
        })
    };
    let gate = "dataLayer has no effect: what it stands for is always on here; take it out";
    assert_eq!(
        warnings(&routing("data")),
        [
            warning("featureGates[0]", gate),
            warning(
                "plugins[2].type",
                "model-server-protocol-metrics is a former name of core-metrics-extractor; write that"
            ),
            warning("data", "is the former name of dataLayer; write that"),
        ]
    );
    let [former, new] = ["data", "dataLayer"].map(|name| compiled(&routing(name)));
    assert_eq!(former.scrape, new.scrape);
    assert!(former.scrape.is_some());
    let both = json!({"data": {}, "dataLayer": {}});
    let known = "unknown field; the nearest is \"dataLayer\"; known here: plugins, schedulingProfiles, health, explain, models, trust, requestHandler, featureGates, dataLayer";
    assert_eq!(errors(&both, Scope::File), [error("data", ErrorKind::UnknownField, known)]);
}

/// Release 26.06 of openFuyao's Hermes-router, as its chart writes it for groups of prefill and decode pods.
#[test]
fn plugins_whose_work_is_done_without_them_are_passed_over() {
    let routing = yaml(
        "
plugins:
- type: pd-group-producer
- type: request-lifecycle-tracker
  parameters: {storeName: hermes-inflight, persistence: {enabled: false, flushThreshold: 100}}
- type: inflight-data-producer
- type: prefix-cache-producer
  parameters: {cacheIndexerAddress: 'http://cache-indexer-service:8080'}
- type: pd-group-filter
- type: pd-kvcache-aware-scorer
- type: min-score-picker
- type: pd-header-handler
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: pd-group-filter
  - {pluginRef: pd-kvcache-aware-scorer, weight: 1}
  - pluginRef: min-score-picker
",
    );
    let needless = |path: &str, kind: &str, instead: &str| {
        warning(path, &format!("{kind} does nothing here: the picker itself {instead}; take it out"))
    };
    assert_eq!(
        warnings(&routing),
        [
            needless(
                "plugins[1].type",
                "request-lifecycle-tracker",
                "follows each request from its decision to its end"
            ),
            needless(
                "plugins[2].type",
                "inflight-data-producer",
                "counts the requests that an endpoint has in flight"
            ),
            warning(
                "plugins[3].type",
                "prefix-cache-producer is a former name of approx-prefix-cache-producer; write that"
            ),
            warning("plugins[3].parameters.cacheIndexerAddress", "has no effect; take it out"),
        ]
    );
}

/// The example of groups with buckets in release 25.12 of openFuyao's Hermes-router.
#[test]
fn a_plugin_that_acts_before_the_request_is_sent_may_stand_in_a_profile() {
    let routing = json!({
        "plugins": [{"type": "pd-group-filter"}, {"type": "scorer-pd-bucket"}, {"type": "pd-header-handler"}],
        "schedulingProfiles": [{"name": "default", "plugins": [
            {"pluginRef": "pd-group-filter"}, {"pluginRef": "scorer-pd-bucket", "weight": 1}, {"pluginRef": "pd-header-handler"},
        ]}],
    });
    let message = "\"pd-header-handler\" is no filter, scorer or picker, and works without being named here; take it out";
    assert_eq!(warnings(&routing), [warning("schedulingProfiles[0].plugins[2].pluginRef", message)]);
    let acting: Vec<_> =
        compiled(&routing).pre_requests.iter().map(|plugin| plugin.name.to_string()).collect();
    assert_eq!(acting, ["scorer-pd-bucket", "pd-header-handler"]);
}
