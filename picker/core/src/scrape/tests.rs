use super::*;
use crate::column::Column;

fn names(plan: &ExtractorPlan, engine: &str) -> Vec<String> {
    let engine = plan.engines.iter().find(|e| e.name == engine).unwrap();
    engine.series.iter().map(|(selector, _)| selector.to_string()).collect()
}

#[test]
fn a_plan_has_what_is_shown_and_what_is_read() {
    let plan = MetricsExtractor::default().plan(&[], &[]);
    let order: Vec<_> = plan.engines.iter().map(|engine| engine.name.as_str()).collect();
    assert_eq!(order, ["vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm", "triton"]);
    let shown = [
        "vllm:num_requests_waiting",
        "vllm:num_requests_running",
        "vllm:kv_cache_usage_perc",
        "vllm:gpu_cache_usage_perc",
    ];
    assert_eq!(names(&plan, "vllm"), shown);
    let plan = MetricsExtractor::default().plan(&[Column::CACHE_CONFIG, Column::LORA], &[]);
    let read = [
        "vllm:cache_config_info",
        "vllm:kv_offload_cpu_capacity_tokens",
        "vllm:kv_offload_config_info",
        "vllm:lora_requests_info",
    ];
    assert_eq!(names(&plan, "vllm")[4..], read);
    assert_eq!(
        names(&plan, "triton-tensorrt-llm"),
        [
            "nv_trt_llm_request_metrics{request_type=\"waiting\"}",
            "nv_trt_llm_request_metrics{request_type=\"scheduled\"}",
            "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\"}",
            "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"tokens_per\"}",
            "nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"max\"}",
        ]
    );
}

#[test]
fn only_attributes_that_are_read_are_in_a_plan_once_for_each_column() {
    let mut columns = crate::column::Columns::default();
    let [a, any] = ["x/depth", "/depth"].map(|name| columns.intern(name).unwrap());
    let custom = [("depth", "my_depth"), ("other", "my_other")];
    let custom = custom.map(|(name, metric)| (name.to_owned(), Selector::of(metric, &[])));
    let engine = Engine { name: "mine".to_owned(), known: Vec::new(), custom: custom.into() };
    let extractor =
        MetricsExtractor { kind: SourceKind::Metrics, labels: vec!["l".to_owned()], engines: vec![engine] };
    assert!(extractor.sets("depth") && !extractor.sets("my_depth"));
    assert_eq!(
        extractor.attributes(),
        ["WaitingQueueSize", "RunningRequestsSize", "KVCacheUsagePercent", "depth", "other"]
    );
    let series = [a, any].map(|column| (Selector::of("my_depth", &[]), Figure::Number(column)));
    let engine = EnginePlan { name: "mine".to_owned(), series: series.into() };
    assert_eq!(
        extractor.plan(&[], &[("depth", a), ("depth", any)]),
        ExtractorPlan { labels: vec!["l".to_owned()], engines: vec![engine] }
    );
}
