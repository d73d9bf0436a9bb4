//! Whatever a model server answers for its metrics: what is read does not depend on the chunks in which
//! it comes, and every figure is one.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use picker_core::compile::compile;
use picker_core::config::Scope;
use picker_core::store::StateStore;
use scrape::scan::{Scanner, scan};
use scrape::table::{Hint, Table};
use serde_json::json;

/// The picker's own modules, without the rest of it, which takes minutes to build.
#[allow(dead_code, unused_imports)]
#[path = "../../picker/src/scrape"]
mod scrape {
    pub mod engine;
    pub mod labels;
    pub mod scan;
    pub mod table;
}

/// All that is known of all engines, and two numbers of an own one, of which one is told by labels.
static TABLE: LazyLock<Arc<Table>> = LazyLock::new(|| {
    let reads = |attribute: &str| {
        json!({"type": "endpoint-attribute-scorer", "name": attribute, "parameters": {
            "attributeKey": attribute, "algorithm": {"type": "linear_lower_is_better"},
        }})
    };
    let metrics = json!([
        {"attributeKey": "depth", "metricSpec": "vllm:depth{tier=gold}"},
        {"attributeKey": "queue", "metricSpec": "vllm:num_requests_waiting"},
    ]);
    let engine = json!({"name": "own", "queuedRequestsSpec": "vllm:depth", "customMetrics": metrics});
    let routing = json!({"plugins": [
        {"type": "core-metrics-extractor", "parameters": {"engineConfigs": [engine]}},
        {"type": "prefix-cache-scorer"}, {"type": "lora-affinity-scorer"}, reads("depth"), reads("queue"),
    ]});
    let compiled = compile(&routing, Scope::Resource, &StateStore::default());
    let strategy = compiled.unwrap_or_else(|errors| panic!("{errors}")).strategy;
    let plan = strategy.scrape.expect("columns are read");
    Arc::new(Table::new(plan.sources[0].clone()))
});

const ENGINES: [&str; 7] = ["", "vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm", "triton", "own"];

fn hint(n: u8) -> Hint {
    let engine = ENGINES[usize::from(n) % ENGINES.len()].to_owned();
    TABLE.hint(&[("llm-d.ai/engine-type".to_owned(), engine)].into())
}

fuzz_target!(|input: &[u8]| {
    let [engine, step, text @ ..] = input else { return };
    let hint = hint(*engine);
    let whole = scan(&TABLE, text, &hint);
    for figure in [whole.waiting, whole.running, whole.kv_usage].into_iter().flatten() {
        assert!(figure.is_finite() && figure >= 0.0, "{figure}");
    }
    assert!(whole.others.iter().all(|(_, number)| number.is_finite()), "{whole:?}");
    let mut scanner = Scanner::new(TABLE.clone());
    text.chunks(usize::from(*step).max(1)).for_each(|chunk| scanner.feed(chunk));
    assert_eq!(scanner.finish(&hint), whole);
    // Nothing of one text is left for the next.
    assert_eq!(scanner.finish(&hint), scan(&TABLE, b"", &hint));
});
