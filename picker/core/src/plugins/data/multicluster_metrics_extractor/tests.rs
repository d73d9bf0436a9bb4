use serde_json::{Value, json};

use super::*;
use crate::scrape::SourceKind;
use crate::scrape::attributes::{POOL_KV_USAGE, POOL_QUEUE};
use crate::testing::build;

fn extractor(parameters: Value) -> Result<MetricsExtractor, String> {
    let built = build("multicluster-metrics-extractor", parameters);
    built.map(|roles| roles.extractor.unwrap()).map_err(|e| e.to_string())
}

#[test]
fn the_figures_of_a_pool_are_those_of_llm_d_unless_something_else_is_said() {
    let default = extractor(json!({})).unwrap();
    assert_eq!(default, MetricsExtractor::of(SourceKind::Multicluster));
    let expected = [
        (POOL_QUEUE.to_owned(), Selector::of("llm_d_epp_average_queue_size", &[])),
        (POOL_KV_USAGE.to_owned(), Selector::of("llm_d_epp_average_kv_cache_utilization", &[])),
    ];
    assert_eq!(default.engines[0].custom, expected);
    let own = extractor(json!({"queueSizeMetric": "queue{name=chat}", "kvCacheUtilizationMetric": ""}));
    let queue = (POOL_QUEUE.to_owned(), Selector::of("queue", &[("name", "chat")]));
    assert_eq!(own.unwrap().engines[0].custom, [queue, expected[1].clone()]);
    let wrong = extractor(json!({"kvCacheUtilizationMetric": "a b"})).unwrap_err();
    assert!(wrong.starts_with("plugins[0].parameters.kvCacheUtilizationMetric: "), "{wrong}");
}
