use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::config::Scope;
use crate::store::StateStore;
use crate::testing::build;

fn extractor(parameters: Value) -> Result<MetricsExtractor, String> {
    let built = build(CORE_EXTRACTOR, parameters);
    built.map(|roles| roles.extractor.unwrap()).map_err(|e| e.to_string())
}

#[test]
fn without_parameters_it_is_the_one_that_is_there_without_it() {
    assert_eq!(extractor(json!({})), Ok(MetricsExtractor::default()));
    let default = MetricsExtractor::default();
    assert_eq!(default.labels, ["llm-d.ai/engine-type", "inference.networking.k8s.io/engine-type"]);
}

#[test]
fn an_engine_of_its_own() {
    let given = json!({
        "engineLabelKey": "engine",
        "defaultEngine": "own",
        "engineConfigs": [{
            "name": "own",
            "queuedRequestsSpec": "own_requests{state=waiting}",
            "runningRequestsSpec": "own_requests{state=running}",
            "kvUsageSpec": "own_usage",
            "loraSpec": "own_lora",
            "cacheInfoSpec": "own_cache",
            "cacheBlockSizeLabelName": "page",
            "cacheBlockSizeSpec": "own_page",
            "cacheNumBlocksSpec": "own_pages",
            "customMetrics": [{"attributeKey": "depth", "metricSpec": "own_depth{tier=gold}"}],
        }],
    });
    let found = extractor(given).unwrap();
    let name = |name| Selector::of(name, &[]);
    let requests = |state| Selector::of("own_requests", &[("state", state)]);
    let cache =
        Figure::CacheConfig { block_size: "page".to_owned(), num_blocks: "num_gpu_blocks".to_owned() };
    assert_eq!(
        found.engines[0],
        Engine {
            name: "own".to_owned(),
            known: vec![
                (requests("waiting"), Figure::Waiting),
                (requests("running"), Figure::Running),
                (name("own_usage"), Figure::KvUsage),
                (name("own_lora"), Figure::Lora),
                (name("own_cache"), cache),
                (name("own_page"), Figure::BlockSize),
                (name("own_pages"), Figure::NumBlocks),
            ],
            custom: vec![("depth".to_owned(), Selector::of("own_depth", &[("tier", "gold")]))],
        }
    );
    assert_eq!(found.engines[1..], builtin::engines()[..]);
    assert_eq!(found.labels, ["engine", "inference.networking.k8s.io/engine-type"]);
}

#[rstest]
#[case::the_default_one_is_first("", &["vllm", "own", "sglang", "trtllm-serve", "triton-tensorrt-llm", "triton"])]
#[case::whichever_it_is("triton", &["triton", "own", "vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm"])]
fn engines_are_preferred_in_order(#[case] default: &str, #[case] order: &[&str]) {
    let found = extractor(json!({"defaultEngine": default, "engineConfigs": [{"name": "own"}]})).unwrap();
    let names: Vec<_> = found.engines.iter().map(|engine| engine.name.as_str()).collect();
    assert_eq!(names, order);
}

#[rstest]
#[case(json!({"defaultEngine": "x"}), "defaultEngine: there is no engine \"x\"; there are: vllm, sglang, trtllm-serve, triton-tensorrt-llm, triton")]
#[case(json!({"engineConfigs": [{}]}), "engineConfigs[0].name: is required")]
#[case(json!({"engineConfigs": [{"name": ""}]}), "engineConfigs[0].name: must not be empty")]
#[case(json!({"engineConfigs": [{"name": "a"}, {"name": "a"}]}), "engineConfigs[1].name: \"a\" is the name of an earlier engine")]
#[case(
    json!({"engineConfigs": [{"name": "a", "kvUsageSpec": "a{b!=c}"}]}),
    "engineConfigs[0].kvUsageSpec: \"a{b!=c}\" is no selector of series: labels are compared with = alone; write name or name{label=value}"
)]
#[case(
    json!({"engineConfigs": [{"name": "a", "customMetrics": [{"attributeKey": "", "metricSpec": "m"}]}]}),
    "engineConfigs[0].customMetrics[0].attributeKey: must not be empty"
)]
#[case(
    json!({"engineConfigs": [{"name": "a", "customMetrics": [{"attributeKey": "x", "metricSpec": ""}]}]}),
    "engineConfigs[0].customMetrics[0].metricSpec: \"\" is no selector of series: it begins with the name of a metric; write name or name{label=value}"
)]
#[case(
    json!({"engineConfigs": [{"name": "a", "customMetrics": [{"attributeKey": "WaitingQueueSize", "metricSpec": "m"}]}]}),
    "engineConfigs[0].customMetrics[0].attributeKey: \"WaitingQueueSize\" is an attribute that every engine sets; give it another name"
)]
#[case(
    json!({"engineConfigs": [{"name": "a", "customMetrics": [{"attributeKey": "x", "metricSpec": "m"}, {"attributeKey": "x", "metricSpec": "n"}]}]}),
    "engineConfigs[0].customMetrics[1].attributeKey: \"x\" is an earlier one; give it another name"
)]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    assert_eq!(extractor(parameters), Err(format!("plugins[0].parameters.{message}")));
}

#[test]
fn whoever_replaces_a_known_engine_is_told_what_is_lost() {
    let warnings = |engine: Value| {
        let extractor = json!({"type": CORE_EXTRACTOR, "parameters": {"engineConfigs": [engine]}});
        let routing = json!({"plugins": [extractor, {"type": "queue-scorer"}]});
        let compiled = crate::compile::compile(&routing, Scope::File, &StateStore::default()).ok().unwrap();
        compiled.strategy.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(json!({"name": "vllm", "kvUsageSpec": "vllm:x", "runningRequestsSpec": ""})),
        [
            "plugins[0].parameters.engineConfigs[0]: takes the place of the known engine vllm, of which this is no longer \
              read: queuedRequestsSpec, loraSpec, cacheInfoSpec; write them too, or \"\" to do without"
        ]
    );
    let given =
        json!({"queuedRequestsSpec": "q", "runningRequestsSpec": "r", "kvUsageSpec": "k", "loraSpec": ""});
    let with = |name: &str, more: Value| {
        let mut engine = given.clone();
        engine["name"] = json!(name);
        engine.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        warnings(engine)
    };
    let by_series = json!({"cacheBlockSizeSpec": "b", "cacheNumBlocksSpec": "n"});
    for (name, more) in
        [("vllm", &json!({"cacheInfoSpec": "i"})), ("vllm", &by_series), ("trtllm-serve", &by_series)]
    {
        assert_eq!(with(name, more.clone()), Vec::<String>::new(), "{name} {more}");
    }
    assert_eq!(with("trtllm-serve", json!({"cacheInfoSpec": "i"})), Vec::<String>::new());
    assert_eq!(
        with("trtllm-serve", json!({"cacheBlockSizeSpec": "b"})),
        [
            "plugins[0].parameters.engineConfigs[0]: takes the place of the known engine trtllm-serve, of which this is no \
              longer read: cacheNumBlocksSpec; write them too, or \"\" to do without"
        ]
    );
    assert_eq!(warnings(json!({"name": "triton", "queuedRequestsSpec": "x"})), Vec::<String>::new());
    assert_eq!(warnings(json!({"name": "own"})), Vec::<String>::new());
}
