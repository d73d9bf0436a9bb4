use rstest::rstest;
use serde_json::{Value, json};

use crate::column::{Column, Columns};
use crate::compile::compile;
use crate::config::Scope;
use crate::needs::Needs;
use crate::scrape::{EnginePlan, Figure, MetricsSource, ScrapePlan, Selector, SourceKind, SourcePlan};
use crate::store::StateStore;
use crate::strategy::Strategy;

/// A strategy of these plugins with this data layer.
fn strategy(plugins: Value, layer: Value) -> Result<Strategy, Vec<String>> {
    let routing = json!({"plugins": plugins, "dataLayer": layer});
    match compile(&routing, Scope::File, &StateStore::default()) {
        Ok(compiled) => Ok(compiled.strategy),
        Err(errors) => Err(errors.0.iter().map(ToString::to_string).collect()),
    }
}

fn plan(plugins: Value, layer: Value) -> ScrapePlan {
    let strategy = strategy(plugins, layer).unwrap();
    strategy.scrape.as_deref().unwrap().clone()
}

fn errors(plugins: Value, layer: Value) -> Vec<String> {
    strategy(plugins, layer).err().unwrap_or_default()
}

fn extractor(name: &str, engine: &str, attributes: &[&str]) -> Value {
    let custom: Vec<_> =
        attributes.iter().map(|a| json!({"attributeKey": a, "metricSpec": format!("m_{a}")})).collect();
    json!({"type": "core-metrics-extractor", "name": name, "parameters": {
        "engineConfigs": [{"name": engine, "customMetrics": custom}],
    }})
}

fn filter(attribute: &str, producer: Option<&str>) -> Value {
    let mut filter = json!({"type": "endpoint-attribute-filter", "name": format!("{attribute} of {producer:?}"), "parameters": {
        "attribute": attribute,
        "algorithm": {"threshold": {"operator": "LessThan", "value": 1}},
    }});
    if let Some(producer) = producer {
        filter["parameters"]["producer"] = json!(producer);
    }
    filter
}

/// The series that fill columns of their own, with the extractor's position, the engine and the name of the column.
fn custom(plan: &ScrapePlan, names: &[&str]) -> Vec<(usize, String, String, String)> {
    let mut columns = Columns::default();
    names.iter().for_each(|name| assert!(columns.intern(name).is_some()));
    let mut found = Vec::new();
    for (i, extractor) in plan.sources[0].extractors.iter().enumerate() {
        for EnginePlan { name, series } in &extractor.engines {
            for (selector, figure) in series {
                if let Figure::Number(column) = figure {
                    let column = columns.name(*column).unwrap().to_owned();
                    found.push((i, name.clone(), selector.to_string(), column));
                }
            }
        }
    }
    found
}

#[test]
fn without_a_word_everything_is_as_ever() {
    let queue = json!([{"type": "queue-scorer"}]);
    assert_eq!(plan(queue.clone(), json!({})), ScrapePlan::of(&[Column::WAITING]));
    assert_eq!(plan(queue, json!({"injectDefaults": true})), ScrapePlan::of(&[]));
    let prefix = plan(json!([{"type": "prefix-cache-scorer"}]), json!({}));
    assert_eq!(prefix, ScrapePlan::of(&[Column::CACHE_CONFIG]));
    assert_ne!(prefix, ScrapePlan::of(&[]));
    let nothing =
        strategy(json!([{"type": "metrics-data-source"}, {"type": "random-picker"}]), json!({})).unwrap();
    assert_eq!((nothing.scrape, nothing.needs), (None, Needs::NOTHING));
}

#[test]
fn what_is_declared_is_used_though_nobody_lists_it() {
    let source = json!({"type": "metrics-data-source", "name": "far", "parameters": {"port": 9400}});
    let plugins = json!([source, extractor("own", "mine", &["depth"]), {"type": "queue-scorer"}]);
    let found = plan(plugins, json!({}));
    assert_eq!(found.sources[0].source, MetricsSource { port: Some(9400), ..MetricsSource::default() });
    let engines: Vec<_> = found.sources[0].extractors[0].engines.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(found.sources[0].extractors.len(), 1);
    assert_eq!(engines[..2], ["vllm", "mine"]);
    // Nobody reads the attribute.
    assert_eq!(custom(&found, &[]), []);
}

#[test]
fn a_source_and_extractors_that_are_listed_are_the_ones() {
    let source = |name: &str, port: u16| json!({"type": "metrics-data-source", "name": name, "parameters": {"port": port}});
    let plugins = json!([
        source("near", 1), source("far", 2), extractor("one", "a", &[]), extractor("two", "b", &[]), {"type": "queue-scorer"},
    ]);
    let layer = json!({"injectDefaults": false, "sources": [{"pluginRef": "far", "extractors": [{"pluginRef": "two"}]}]});
    let found = plan(plugins.clone(), layer);
    assert_eq!(found.sources[0].source.port, Some(2));
    assert_eq!(
        (found.sources[0].extractors.len(), found.sources[0].extractors[0].engines[1].name.as_str()),
        (1, "b")
    );
    // A source without extractors has those that are declared.
    let found = plan(plugins, json!({"sources": [{"pluginRef": "near"}]}));
    assert_eq!((found.sources[0].source.port, found.sources[0].extractors.len()), (Some(1), 2));
}

#[test]
fn without_defaults_and_without_a_source_nothing_is_scraped() {
    for layer in [
        json!({"injectDefaults": false}),
        json!({"injectDefaults": false, "sources": [{"pluginRef": "metrics-data-source"}]}),
    ] {
        let strategy =
            strategy(json!([{"type": "metrics-data-source"}, {"type": "queue-scorer"}]), layer).unwrap();
        assert_eq!((strategy.scrape, strategy.needs), (None, Needs::NOTHING));
        let warnings: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "dataLayer.injectDefaults: is false, and no source with an extractor is listed: what plugins read of \
                  model servers' metrics stays unknown"
            ]
        );
    }
}

#[test]
fn attributes_come_from_the_extractor_that_is_named() {
    let plugins = json!([
        extractor("one", "a", &["depth", "unread"]),
        extractor("two", "b", &["depth", "wide"]),
        filter("depth", None),
        filter("depth", Some("two")),
        filter("wide", Some("")),
        filter("WaitingQueueSize", None),
    ]);
    let found = plan(plugins, json!({}));
    let row = |i: usize, engine: &str, selector: &str, column: &str| {
        (i, engine.to_owned(), selector.to_owned(), column.to_owned())
    };
    let names = ["core-metrics-extractor/depth", "two/depth", "/wide"];
    assert_eq!(
        custom(&found, &names),
        [
            row(0, "a", "m_depth", "core-metrics-extractor/depth"),
            row(1, "b", "m_depth", "two/depth"),
            row(1, "b", "m_wide", "/wide"),
        ]
    );
    let mut shown: Vec<_> = found.attributes.iter().map(|(name, _)| name.as_str()).collect();
    shown.sort_unstable_by_key(|shown| names.iter().position(|name| name == shown));
    assert_eq!(shown, names);
}

#[test]
fn one_attribute_may_stand_in_several_engines_and_readers() {
    let metric = |spec: &str| json!([{"attributeKey": "depth", "metricSpec": spec}]);
    let extractor = json!({"type": "core-metrics-extractor", "parameters": {"engineConfigs": [
        {"name": "a", "customMetrics": metric("a_depth")}, {"name": "b", "customMetrics": metric("b_depth{c=d}")},
    ]}});
    let scorer = json!({"type": "endpoint-attribute-scorer", "parameters": {
        "attributeKey": "depth", "algorithm": {"type": "linear_lower_is_better"},
    }});
    let found = plan(json!([filter("depth", None), scorer, extractor]), json!({}));
    let of = |engine: &str| {
        let engine = found.sources[0].extractors[0].engines.iter().find(|e| e.name == engine).unwrap();
        engine.series.iter().map(|(selector, _)| selector.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("a"), [Selector::of("a_depth", &[])]);
    assert_eq!(of("b"), [Selector::of("b_depth", &[("c", "d")])]);
}

const KNOWN: &str = "WaitingQueueSize, RunningRequestsSize, KVCacheUsagePercent";

#[rstest]
#[case(
    json!([extractor("one", "a", &["depth"]), filter("dept", None)]),
    format!("plugins[1].parameters.attribute: no attribute is called \"dept\"; add it to the customMetrics of an engine; the nearest is \"depth\"; there are: {KNOWN}, depth")
)]
#[case(
    json!([filter("depth", Some("one"))]),
    "plugins[0].parameters.producer: no extractor called \"one\" takes part; leave this out, or add one".to_owned()
)]
#[case(
    json!([{"type": "queue-scorer"}, filter("depth", Some("queue-scorer"))]),
    "plugins[1].parameters.producer: \"queue-scorer\" is no extractor; name a plugin that is".to_owned()
)]
#[case(
    json!([{"type": "metrics-data-source"}, {"type": "metrics-data-source", "name": "b"}, {"type": "queue-scorer"}]),
    "plugins[1].type: a second metrics-data-source; take one out, or list those to use under dataLayer.sources".to_owned()
)]
fn what_does_not_fit_is_told(#[case] plugins: Value, #[case] message: String) {
    assert_eq!(errors(plugins, json!({})), [message]);
}

#[rstest]
#[case(json!({"injectDefaults": "no"}), "dataLayer.injectDefaults: must be true or false, is \"no\"")]
#[case(json!({"sources": [{}]}), "dataLayer.sources[0].pluginRef: is required")]
#[case(
    json!({"sources": [{"pluginRef": "x"}]}),
    "dataLayer.sources[0].pluginRef: no plugin is called \"x\"; there are: a, b, e, queue-scorer"
)]
#[case(
    json!({"sources": [{"pluginRef": "e"}]}),
    "dataLayer.sources[0].pluginRef: \"e\" is no data source; name a plugin that is"
)]
#[case(
    json!({"sources": [{"pluginRef": "a"}, {"pluginRef": "a"}]}),
    "dataLayer.sources[1].pluginRef: \"a\" is listed already; list its extractors there"
)]
#[case(
    json!({"sources": [{"pluginRef": "a", "extractors": [{"pluginRef": "e"}, {"pluginRef": "e"}]}]}),
    "dataLayer.sources[0].extractors[1].pluginRef: \"e\" is listed at this source already; take it out"
)]
#[case(
    json!({"sources": [{"pluginRef": "a", "extractors": [{"pluginRef": "b"}]}]}),
    "dataLayer.sources[0].extractors[0].pluginRef: \"b\" is no extractor; name a plugin that is"
)]
#[case(
    json!({"sources": [{"pluginRef": "a", "extractors": ["e"]}]}),
    "dataLayer.sources[0].extractors[0]: must be a mapping, is \"e\""
)]
#[case(
    json!({"sources": [{"pluginRef": "a", "interval": "1s"}]}),
    "dataLayer.sources[0].interval: unknown field; known here: pluginRef, extractors"
)]
fn wrong_wiring_is_told(#[case] layer: Value, #[case] message: &str) {
    let source = |name: &str| json!({"type": "metrics-data-source", "name": name});
    let plugins = json!([source("a"), source("b"), extractor("e", "x", &[]), {"type": "queue-scorer"}]);
    // Which of the two it is, is not settled either where the list has none.
    let told: Vec<_> = errors(plugins, layer).into_iter().filter(|e| e.starts_with("dataLayer")).collect();
    assert_eq!(told, [message]);
}

#[test]
fn an_extractor_that_is_not_listed_sets_nothing() {
    let plugins = json!([
        {"type": "metrics-data-source"}, extractor("one", "a", &[]), extractor("two", "b", &["depth"]),
        filter("depth", Some("two")),
    ]);
    let layer =
        json!({"sources": [{"pluginRef": "metrics-data-source", "extractors": [{"pluginRef": "one"}]}]});
    assert_eq!(
        errors(plugins, layer),
        ["plugins[3].parameters.producer: \"two\" is not among the extractors of dataLayer.sources"]
    );
}

/// The example of the page about strategies.
#[test]
fn the_documented_example_reads_a_metric_of_its_own() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/write-a-strategy.md"));
    let section = page.split("\n### Custom metrics\n").nth(1).unwrap();
    let example = section.split("```").nth(1).unwrap().strip_prefix("yaml\n").unwrap();
    let document: Value = serde_saphyr::from_str(example).unwrap();
    let compiled = compile(&document["routing"], Scope::Resource, &StateStore::default());
    let strategy = compiled.unwrap_or_else(|e| panic!("{e}")).strategy;
    assert_eq!(*strategy.warnings, []);
    let plan = strategy.scrape.as_deref().unwrap();
    let series = &plan.sources[0].extractors[0].engines[0].series;
    let names: Vec<_> = series.iter().map(|(selector, _)| selector.to_string()).collect();
    let expected = [
        "vllm:num_requests_waiting",
        "vllm:num_requests_running",
        "vllm:kv_cache_usage_perc",
        "vllm:num_preemptions_total",
    ];
    assert_eq!(names, expected);
}

/// Sources of several kinds, with what is taken from each: kind, place and names of the engines' first series.
fn kinds(plan: &ScrapePlan) -> Vec<(SourceKind, Option<u16>, Vec<String>)> {
    let of = |source: &SourcePlan| {
        let engines = source.extractors.iter().flat_map(|extractor| &extractor.engines);
        let names = engines.filter_map(|engine| Some(engine.series.first()?.0.name.clone()));
        (source.source.kind, source.source.port, names.take(1).collect())
    };
    plan.sources.iter().map(of).collect()
}

const VLLM: &str = "vllm:num_requests_waiting";
const GPU: &str = "DCGM_FI_DEV_GPU_UTIL";

fn wanted(kind: SourceKind, port: Option<u16>, name: &str) -> (SourceKind, Option<u16>, Vec<String>) {
    (kind, port, if name.is_empty() { vec![] } else { vec![name.to_owned()] })
}

/// The configuration of llm-d's own sample: the source of accelerators is listed, that of model servers is not.
#[test]
fn a_listed_source_does_not_take_the_place_of_the_default_one_of_another_kind() {
    let plugins = json!([
        {"type": "dcgm-data-source", "name": "dcgm-source", "parameters": {"port": 9401, "interval": "1s"}},
        {"type": "dcgm-extractor"}, filter("GPUUtilization", Some("dcgm-extractor")), {"type": "queue-scorer"},
    ]);
    let listed =
        json!({"sources": [{"pluginRef": "dcgm-source", "extractors": [{"pluginRef": "dcgm-extractor"}]}]});
    let dcgm = wanted(SourceKind::Dcgm, Some(9401), GPU);
    let found = plan(plugins.clone(), listed.clone());
    assert_eq!(kinds(&found), [dcgm.clone(), wanted(SourceKind::Metrics, None, VLLM)]);
    // What is declared is wired by its kind where nothing is listed, as in a RoutingStrategy.
    assert_eq!(
        kinds(&plan(plugins.clone(), json!({}))),
        [wanted(SourceKind::Metrics, None, VLLM), dcgm.clone()]
    );
    let mut own = listed;
    own["injectDefaults"] = json!(false);
    let alone = strategy(plugins, own).unwrap();
    assert_eq!(kinds(alone.scrape.as_deref().unwrap()), [dcgm]);
    let warnings: Vec<_> = alone.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("dataLayer.injectDefaults: is false"), "{warnings:?}");
}

#[test]
fn nothing_is_scraped_that_nobody_reads_whatever_is_declared() {
    let declared = json!([
        {"type": "dcgm-data-source"}, {"type": "dcgm-extractor"}, {"type": "models-data-source"},
        {"type": "models-data-extractor"}, {"type": "multicluster-metrics-data-source"},
        {"type": "multicluster-metrics-extractor"}, {"type": "queue-scorer"},
    ]);
    assert_eq!(plan(declared, json!({})), ScrapePlan::of(&[Column::WAITING]));
    let scorer = json!({"type": "endpoint-attribute-scorer", "parameters": {
        "attributeKey": "GPUUtilization", "producer": "", "algorithm": {"type": "linear_lower_is_better"},
    }});
    let of_gpu = plan(json!([{"type": "dcgm-extractor"}, scorer]), json!({}));
    // Without a declared source the extractor has the default one, and model servers are not scraped.
    assert_eq!(kinds(&of_gpu), [wanted(SourceKind::Dcgm, Some(9400), GPU)]);
    let models =
        json!({"type": "cel-filter", "parameters": {"expression": "request.model in endpoint.models"}});
    let of_models = plan(json!([{"type": "models-data-source"}, models]), json!({}));
    assert_eq!(kinds(&of_models), [wanted(SourceKind::Models, None, "")]);
    let figure = |column| of_models.sources[0].tells(column);
    assert_eq!([Column::MODELS, Column::WAITING].map(figure), [true, false]);
}

/// llm-d scrapes a server twice when its source has another name.
#[test]
fn one_page_is_read_once_whatever_the_names_of_its_sources() {
    let renamed = json!([{"type": "metrics-data-source", "name": "mine"}, {"type": "queue-scorer"}]);
    let listed = json!({"sources": [{"pluginRef": "mine", "extractors": []}]});
    assert_eq!(plan(renamed, listed), ScrapePlan::of(&[Column::WAITING]));
    let metrics = |name: &str, port: u16| json!({"type": "metrics-data-source", "name": name, "parameters": {"port": port}});
    let plugins = json!([
        metrics("a", 1), metrics("b", 1), metrics("c", 2), extractor("one", "x", &["depth"]),
        extractor("two", "y", &["width"]), filter("width", Some("two")), {"type": "queue-scorer"},
    ]);
    let with = |source: &str, extractor: &str| json!({"pluginRef": source, "extractors": [{"pluginRef": extractor}]});
    let layer = json!({"sources": [with("a", "one"), with("b", "two"), with("c", "one")]});
    let found = plan(plugins, layer);
    let ports: Vec<_> = found.sources.iter().map(|s| (s.source.port, s.extractors.len())).collect();
    assert_eq!(ports, [(Some(1), 2), (Some(2), 1)]);
    let ids: Vec<_> = found.by_id().map(|(id, _)| (id.kind, id.n)).collect();
    assert_eq!(ids, [(SourceKind::Metrics, 0), (SourceKind::Metrics, 1)]);
}

#[rstest]
#[case(
    json!([{"type": "models-data-source"}, {"type": "dcgm-extractor"}]),
    json!({"sources": [{"pluginRef": "models-data-source", "extractors": [{"pluginRef": "dcgm-extractor"}]}]}),
    "dataLayer.sources[0].extractors[0].pluginRef: \"dcgm-extractor\" takes nothing from a models-data-source; list it at a \
     dcgm-data-source"
)]
#[case(
    json!([{"type": "metrics-data-source"}, {"type": "models-data-extractor"}]),
    json!({"sources": [{"pluginRef": "metrics-data-source", "extractors": [{"pluginRef": "models-data-extractor"}]}]}),
    "dataLayer.sources[0].extractors[0].pluginRef: \"models-data-extractor\" takes nothing from a metrics-data-source; list \
     it at a models-data-source"
)]
#[case(
    json!([{"type": "cel-filter", "parameters": {"expression": "request.model in endpoint.models"}}]),
    json!({}),
    "plugins[0].parameters.expression: reads endpoint.models, and no plugin asks for them; add one of type models-data-source"
)]
#[case(
    json!([{"type": "dcgm-extractor"}, filter("GPUUtilization", None)]),
    json!({}),
    "plugins[1].parameters.attribute: \"GPUUtilization\" is set by \"dcgm-extractor\"; write producer: dcgm-extractor"
)]
#[case(
    json!([filter("GPUUtilization", Some("dcgm-extractor"))]),
    json!({}),
    "plugins[0].parameters.attribute: nothing sets \"GPUUtilization\"; add a plugin of type dcgm-extractor"
)]
#[case(
    json!([filter("llm-d.ai/multicluster-queue-size", Some(""))]),
    json!({}),
    "plugins[0].parameters.attribute: nothing sets \"llm-d.ai/multicluster-queue-size\"; add a plugin of type \
     multicluster-metrics-extractor"
)]
#[case(
    json!([{"type": "dcgm-extractor"}, filter("GPUs", Some("dcgm-extractor"))]),
    json!({}),
    "plugins[1].parameters.attribute: no attribute is called \"GPUs\"; there are: GPUUtilization"
)]
#[case(
    json!([{"type": "cel-filter", "parameters": {"expression": "endpoint.attributes['depth'] < 1.0"}}]),
    json!({}),
    "plugins[0].parameters.expression: no attribute is called \"depth\"; add it to the customMetrics of an engine; there are: \
     WaitingQueueSize, RunningRequestsSize, KVCacheUsagePercent"
)]
fn sources_that_fit_nothing_are_told(#[case] plugins: Value, #[case] layer: Value, #[case] message: &str) {
    assert_eq!(errors(plugins, layer), [message]);
}

/// llm-d's sources of events have extractors that are none here.
#[test]
fn what_a_source_without_effect_lists_is_only_asked_for_its_name() {
    let plugins = json!([
        {"type": "endpoint-notification-source", "name": "events"}, {"type": "inflight-load-producer"}, {"type": "queue-scorer"},
    ]);
    let layer =
        |name: &str| json!({"sources": [{"pluginRef": "events", "extractors": [{"pluginRef": name}]}]});
    assert_eq!(plan(plugins.clone(), layer("inflight-load-producer")), ScrapePlan::of(&[Column::WAITING]));
    let missing = errors(plugins, layer("nobody"));
    assert!(
        missing[0].starts_with("dataLayer.sources[0].extractors[0].pluginRef: no plugin is called"),
        "{missing:?}"
    );
}

#[test]
fn the_node_of_an_endpoint_in_a_file_is_told_to_be_unknown() {
    let plugins = json!([
        {"type": "file-discovery", "parameters": {"path": "e.yaml"}},
        {"type": "dcgm-data-source", "parameters": {"useNodeAddress": true}},
        {"type": "dcgm-extractor"}, filter("GPUUtilization", Some("dcgm-extractor")),
    ]);
    let found = strategy(plugins, json!({"discovery": {"pluginRef": "file-discovery"}})).unwrap();
    let warnings: Vec<_> = found.warnings.iter().map(ToString::to_string).collect();
    let told = "plugins[1].parameters.useNodeAddress: has no effect for endpoints of a file, of which no node is known: what this \
                source tells of them stays unknown; leave it out, to ask at their own addresses";
    assert_eq!(warnings, [told]);
}
