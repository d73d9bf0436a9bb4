//! `/metrics` in every dialect.

use http_body_util::BodyExt;
use serde_json::json;
use sim::server::MetricsDialect;

use crate::support::{config, start};

/// The families with a TYPE line that are no `_created` gauge, in order.
fn families(page: &str) -> Vec<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter(|family| !family.ends_with("_created gauge"))
        .map(str::to_owned)
        .collect()
}

/// The samples whose name is this.
fn samples<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))).collect()
}

#[tokio::test]
async fn vllm_has_its_names_types_and_labels() {
    let (_server, api) = start(config()).await;
    for _ in 0..2 {
        api.post("/v1/completions", &json!({"prompt": "x".repeat(200), "max_tokens": 3})).await;
    }
    let page = api.get("/metrics").await;
    assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(
        families(&page.body),
        [
            "vllm:num_requests_running gauge",
            "vllm:num_requests_waiting gauge",
            "vllm:kv_cache_usage_perc gauge",
            "vllm:prefix_cache_queries_total counter",
            "vllm:prefix_cache_hits_total counter",
            "vllm:num_preemptions_total counter",
            "vllm:prompt_tokens_total counter",
            "vllm:generation_tokens_total counter",
            "vllm:request_success_total counter",
            "vllm:time_to_first_token_seconds histogram",
            "vllm:inter_token_latency_seconds histogram",
            "vllm:time_per_output_token_seconds histogram",
            "vllm:request_time_per_output_token_seconds histogram",
            "vllm:e2e_request_latency_seconds histogram",
            "vllm:request_queue_time_seconds histogram",
            "vllm:request_prefill_time_seconds histogram",
            "vllm:request_decode_time_seconds histogram",
            "vllm:request_prompt_tokens histogram",
            "vllm:request_generation_tokens histogram",
            "vllm:cache_config_info gauge",
        ]
    );
    let own = r#"{engine="0",model_name="m"}"#;
    for (name, value) in [
        ("vllm:prefix_cache_queries_total", "100.0"),
        ("vllm:prefix_cache_hits_total", "48.0"),
        ("vllm:prompt_tokens_total", "100.0"),
        ("vllm:generation_tokens_total", "6.0"),
        ("vllm:time_to_first_token_seconds_count", "2.0"),
        ("vllm:time_per_output_token_seconds_count", "2.0"),
        ("vllm:e2e_request_latency_seconds_count", "2.0"),
        ("vllm:num_requests_running", "0.0"),
    ] {
        assert_eq!(samples(&page.body, name), [format!("{name}{own} {value}")]);
    }
    let cache = samples(&page.body, "vllm:cache_config_info");
    assert!(cache.len() == 1 && cache[0].contains(r#"block_size="16""#) && cache[0].ends_with(" 1.0"));
    assert!(cache[0].contains(r#"num_gpu_blocks="8192""#), "{cache:?}");
}

#[tokio::test]
async fn gauges_follow_the_queue() {
    let mut config = config();
    config.engine.max_num_seqs = 2;
    let (_server, api) = start(config).await;
    let body = json!({"prompt": ["a", "b", "c", "d", "e"], "max_tokens": 20_000, "ignore_eos": true, "stream": true});
    let mut response = api.open("/v1/completions", &body).await;
    response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(api.metric("vllm:num_requests_running{").await, 2.0);
    assert_eq!(api.metric("vllm:num_requests_waiting{").await, 3.0);
    assert!(api.metric("vllm:kv_cache_usage_perc").await > 0.0);
}

#[tokio::test]
async fn loras_are_told_by_the_newest_sample() {
    let mut config = config();
    config.loras = ["a", "b", "c"].map(str::to_owned).to_vec();
    config.engine.max_loras = 2;
    let (_server, api) = start(config).await;
    let mut open = Vec::new();
    for lora in ["a", "b", "c"] {
        let body =
            json!({"model": lora, "prompt": "x", "max_tokens": 20_000, "ignore_eos": true, "stream": true});
        let request = tokio::spawn({
            let api = api.clone();
            async move { api.open("/v1/completions", &body).await }
        });
        open.push(request);
        // The engine's next step takes those in for whose adapters there is room.
        let (running, waiting) = (open.len().min(2) as f64, open.len().saturating_sub(2) as f64);
        let seen = async {
            while api.metric("vllm:num_requests_running{").await != running
                || api.metric("vllm:num_requests_waiting{").await != waiting
            {}
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), seen).await.unwrap();
    }
    let page = api.get("/metrics").await.body;
    let newest = samples(&page, "vllm:lora_requests_info")
        .into_iter()
        .max_by(|a, b| {
            let time = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            time(a).total_cmp(&time(b))
        })
        .unwrap();
    let labels = r#"{max_lora="2",running_lora_adapters="a,b",waiting_lora_adapters="c"}"#;
    assert!(newest.starts_with(&format!("vllm:lora_requests_info{labels} ")), "{newest}");
}

#[tokio::test]
async fn other_engines_have_theirs() {
    let own = r#"engine_type="unified",model_name="m",pp_rank="0",tp_rank="0""#;
    let sglang = [
        format!("sglang:num_queue_reqs{{{own}}} 0.0"),
        format!("sglang:num_running_reqs{{{own}}} 0.0"),
        format!("sglang:token_usage{{{own}}} 0.0"),
        format!(r#"sglang:cache_config_info{{{own},num_pages="8192",page_size="16"}} 1.0"#),
    ];
    let own = r#"engine_type="undefined",model_name="m""#;
    let trtllm = [
        format!("trtllm_num_requests_waiting{{{own}}} 0.0"),
        format!("trtllm_num_requests_running{{{own}}} 0.0"),
        format!("trtllm_kv_cache_utilization{{{own}}} 0.0"),
        format!("trtllm_kv_cache_tokens_per_block{{{own}}} 16.0"),
        format!("trtllm_kv_cache_max_blocks{{{own}}} 8192.0"),
    ];
    let own = r#"model="tensorrt_llm",version="1""#;
    let triton = [
        format!(r#"nv_trt_llm_request_metrics{{{own},request_type="waiting"}} 0.0"#),
        format!(r#"nv_trt_llm_request_metrics{{{own},request_type="scheduled"}} 0.0"#),
        format!(r#"nv_trt_llm_kv_cache_block_metrics{{{own},kv_cache_block_type="fraction"}} 0.0"#),
        format!(r#"nv_trt_llm_kv_cache_block_metrics{{{own},kv_cache_block_type="tokens_per"}} 16.0"#),
        format!(r#"nv_trt_llm_kv_cache_block_metrics{{{own},kv_cache_block_type="max"}} 8192.0"#),
    ];
    for (dialect, lines) in [
        (MetricsDialect::Sglang, &sglang[..]),
        (MetricsDialect::Trtllm, &trtllm[..]),
        (MetricsDialect::Triton, &triton[..]),
    ] {
        let mut config = config();
        config.metrics.dialect = dialect;
        let (_server, api) = start(config).await;
        let page = api.get("/metrics").await.body;
        for line in lines {
            assert!(page.lines().any(|seen| seen == line), "{line} in {page}");
        }
        assert!(!page.contains("vllm:"));
        assert_eq!(api.get("/prometheus/metrics").await.body.lines().count(), page.lines().count());
    }
}

#[tokio::test]
async fn types_can_be_left_out_and_the_page_be_large() {
    let mut config = config();
    config.metrics.untyped = true;
    config.metrics.padding = 60_000;
    let (_server, api) = start(config).await;
    let page = api.get("/metrics").await.body;
    assert!(!page.contains("# TYPE") && page.contains("# HELP vllm:num_requests_running "));
    assert!((60_000..60_200).contains(&page.len()), "{}", page.len());
}

#[tokio::test]
async fn vllm_writes_the_part_of_its_page_that_is_asked_for() {
    let (_server, api) = start(config()).await;
    let part = api.get("/metrics/?name[]=vllm:num_requests_waiting&name[]=absent").await.body;
    let [help, kind, sample] = part.lines().collect::<Vec<_>>()[..] else { panic!("{part}") };
    assert!(help.starts_with("# HELP vllm:num_requests_waiting "), "{help}");
    assert_eq!(kind, "# TYPE vllm:num_requests_waiting gauge");
    assert!(sample.starts_with("vllm:num_requests_waiting{"), "{sample}");
    assert_eq!(api.get("/metrics/?name[]=absent").await.body, "");
    assert_eq!(families(&api.get("/metrics/").await.body), families(&api.get("/metrics").await.body));
    let mut config = config();
    config.metrics.dialect = MetricsDialect::Sglang;
    let (_server, api) = start(config).await;
    assert_eq!(api.get("/metrics/?name[]=sglang:num_queue_reqs").await.body, "");
}
