use std::sync::Arc;
use std::time::{Duration, Instant};

use picker_core::RefusalKind;
use picker_core::endpoint::{EndpointId, EndpointSpec, Slots};
use picker_core::view::{Reading, Signals};

use super::*;
use crate::metrics::{Asked, Metrics, Times, Tokens};
use crate::view;

/// A pool of two endpoints with requests of two objectives of one priority, and some of another.
fn page(dialects: &[Dialect]) -> String {
    let view = view::empty();
    let mut slots = Slots::default();
    let now = Instant::now();
    let rows = [(1.0, 0.2), (3.0, 0.6)].map(|(waiting, kv_usage)| {
        let spec = EndpointSpec {
            id: EndpointId { pod_uid: waiting.to_string().into(), port: 8000, rank: 0 },
            pod: format!("pod-{waiting}"),
            namespace: "llm".to_owned(),
            address: ([10, 0, 0, 1], 8000).into(),
            labels: Default::default(),
        };
        let signals = Signals { waiting: Some(waiting), kv_usage: Some(kv_usage), ..Signals::default() };
        (Arc::new(slots.admit(spec)), Reading { signals, at: Some(now) })
    });
    view.store(Arc::new(View::build(rows.to_vec(), now, Duration::from_secs(2))));
    let metrics = Metrics::of_pool(Some("chat"), view.clone()).with_names_of(dialects, Some("chat"), &view);
    let requests = &metrics.traffic.requests;
    for (objective, priority) in [("a", 1), ("b", 1), ("c", -1)] {
        let labels = Asked { model: Some("llama"), objective, priority };
        let mut model = requests.routed(labels);
        model.sent(4400);
        model.answered(Some(200));
        model.began(Duration::from_millis(40), priority > 0);
        let tokens = Tokens { prompt: 100, cached: 64, completion: 11, reasoning: 0 };
        let times = Times { duration: Duration::from_millis(550), stream: Some(Duration::from_millis(500)) };
        model.ended(times, 900, Some(tokens));
        model.took(tokens);
        requests.count(labels, Reason::Refused(RefusalKind::Shed));
        requests.count(labels, Reason::Refused(RefusalKind::NoEndpoints));
        requests.routed(labels).answered(Some(500));
    }
    metrics.text().unwrap()
}

/// The samples whose names begin with one of `prefixes`, without the buckets.
fn samples(page: &str, prefixes: &[&str]) -> String {
    let wanted =
        |line: &&str| prefixes.iter().any(|prefix| line.starts_with(prefix)) && !line.contains("_bucket");
    page.lines().filter(wanted).collect::<Vec<_>>().join("\n").replace("pool=\"chat\",", "")
}

#[test]
fn without_a_dialect_there_are_no_other_names() {
    let page = page(&[]);
    let others = page.lines().filter(|line| {
        let name = line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ");
        !name.starts_with("waypost_") && !line.starts_with('#')
    });
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn names_of_llm_d() {
    let page = page(&[Dialect::LlmD]);
    insta::assert_snapshot!(samples(&page, &["llm_d_", "inference_"]), @r#"
        llm_d_epp_request_total{model_name="llama",target_model_name="llama",priority="-1"} 4
        llm_d_epp_request_total{model_name="llama",target_model_name="llama",priority="1"} 8
        llm_d_epp_request_error_total{model_name="llama",target_model_name="llama",priority="-1",error_code="ModelServerError"} 1
        llm_d_epp_request_error_total{model_name="llama",target_model_name="llama",priority="-1",error_code="ResourceExhausted"} 1
        llm_d_epp_request_error_total{model_name="llama",target_model_name="llama",priority="-1",error_code="ServiceUnavailable"} 1
        llm_d_epp_request_error_total{model_name="llama",target_model_name="llama",priority="1",error_code="ModelServerError"} 2
        llm_d_epp_request_error_total{model_name="llama",target_model_name="llama",priority="1",error_code="ResourceExhausted"} 2
        llm_d_epp_request_error_total{model_name="llama",target_model_name="llama",priority="1",error_code="ServiceUnavailable"} 2
        llm_d_epp_request_running{model_name="llama",target_model_name="llama",priority="-1"} 0
        llm_d_epp_request_running{model_name="llama",target_model_name="llama",priority="1"} 0
        llm_d_epp_request_duration_seconds_sum{model_name="llama",target_model_name="llama",priority="-1"} 0.55
        llm_d_epp_request_duration_seconds_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_request_duration_seconds_sum{model_name="llama",target_model_name="llama",priority="1"} 1.1
        llm_d_epp_request_duration_seconds_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_request_size_bytes_sum{model_name="llama",target_model_name="llama",priority="-1"} 4400.0
        llm_d_epp_request_size_bytes_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_request_size_bytes_sum{model_name="llama",target_model_name="llama",priority="1"} 8800.0
        llm_d_epp_request_size_bytes_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_response_size_bytes_sum{model_name="llama",target_model_name="llama",priority="-1"} 900.0
        llm_d_epp_response_size_bytes_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_response_size_bytes_sum{model_name="llama",target_model_name="llama",priority="1"} 1800.0
        llm_d_epp_response_size_bytes_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_request_input_tokens_sum{model_name="llama",target_model_name="llama",priority="-1"} 100.0
        llm_d_epp_request_input_tokens_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_request_input_tokens_sum{model_name="llama",target_model_name="llama",priority="1"} 200.0
        llm_d_epp_request_input_tokens_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_request_output_tokens_sum{model_name="llama",target_model_name="llama",priority="-1"} 11.0
        llm_d_epp_request_output_tokens_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_request_output_tokens_sum{model_name="llama",target_model_name="llama",priority="1"} 22.0
        llm_d_epp_request_output_tokens_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_request_cached_tokens_sum{model_name="llama",target_model_name="llama",priority="-1"} 64.0
        llm_d_epp_request_cached_tokens_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_request_cached_tokens_sum{model_name="llama",target_model_name="llama",priority="1"} 128.0
        llm_d_epp_request_cached_tokens_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_request_ntpot_seconds_sum{model_name="llama",target_model_name="llama",priority="-1"} 0.05
        llm_d_epp_request_ntpot_seconds_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_request_ntpot_seconds_sum{model_name="llama",target_model_name="llama",priority="1"} 0.1
        llm_d_epp_request_ntpot_seconds_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_request_ttft_seconds_sum{model_name="llama",target_model_name="llama",priority="1",streaming="true"} 0.08
        llm_d_epp_request_ttft_seconds_count{model_name="llama",target_model_name="llama",priority="1",streaming="true"} 2
        llm_d_epp_request_ttft_seconds_sum{model_name="llama",target_model_name="llama",priority="-1",streaming="false"} 0.04
        llm_d_epp_request_ttft_seconds_count{model_name="llama",target_model_name="llama",priority="-1",streaming="false"} 1
        llm_d_epp_request_streaming_tpot_seconds_sum{model_name="llama",target_model_name="llama",priority="-1"} 0.05
        llm_d_epp_request_streaming_tpot_seconds_count{model_name="llama",target_model_name="llama",priority="-1"} 1
        llm_d_epp_request_streaming_tpot_seconds_sum{model_name="llama",target_model_name="llama",priority="1"} 0.1
        llm_d_epp_request_streaming_tpot_seconds_count{model_name="llama",target_model_name="llama",priority="1"} 2
        llm_d_epp_scheduler_attempts_total{status="success",target_model_name="llama"} 6
        llm_d_epp_scheduler_attempts_total{status="failure",target_model_name="llama"} 3
        llm_d_epp_ready_endpoints{name="chat"} 2.0
        llm_d_epp_average_kv_cache_utilization{name="chat"} 0.4000000134110451
        llm_d_epp_std_dev_kv_cache_utilization{name="chat"} 0.20000001043081284
        llm_d_epp_average_queue_size{name="chat"} 2.0
        llm_d_epp_std_dev_queue_size{name="chat"} 1.0
        llm_d_epp_per_endpoint_queue_size{name="chat",model_server_endpoint="pod-1-rank-0"} 1.0
        llm_d_epp_per_endpoint_queue_size{name="chat",model_server_endpoint="pod-3-rank-0"} 3.0
        llm_d_epp_scheduler_e2e_duration_seconds_sum{pool="chat"} 0.0
        llm_d_epp_scheduler_e2e_duration_seconds_count{pool="chat"} 0
        llm_d_epp_extproc_streams_inflight{pool="chat"} 0
        llm_d_epp_info{commit="",build_ref="0.1.0"} 1
    "#);
}

#[test]
fn names_of_gie() {
    let page = page(&[Dialect::Gie]);
    insta::assert_snapshot!(samples(&page, &["llm_d_", "inference_"]), @r#"
        inference_objective_request_total{model_name="llama",target_model_name="llama",priority="-1"} 4
        inference_objective_request_total{model_name="llama",target_model_name="llama",priority="1"} 8
        inference_objective_request_error_total{model_name="llama",target_model_name="llama",priority="-1",error_code="InferencePoolResourceExhausted"} 1
        inference_objective_request_error_total{model_name="llama",target_model_name="llama",priority="-1",error_code="ModelServerError"} 1
        inference_objective_request_error_total{model_name="llama",target_model_name="llama",priority="-1",error_code="ServiceUnavailable"} 1
        inference_objective_request_error_total{model_name="llama",target_model_name="llama",priority="1",error_code="InferencePoolResourceExhausted"} 2
        inference_objective_request_error_total{model_name="llama",target_model_name="llama",priority="1",error_code="ModelServerError"} 2
        inference_objective_request_error_total{model_name="llama",target_model_name="llama",priority="1",error_code="ServiceUnavailable"} 2
        inference_objective_running_requests{model_name="llama"} 0
        inference_objective_request_duration_seconds_sum{model_name="llama",target_model_name="llama"} 1.65
        inference_objective_request_duration_seconds_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_request_sizes_sum{model_name="llama",target_model_name="llama"} 13200.0
        inference_objective_request_sizes_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_response_sizes_sum{model_name="llama",target_model_name="llama"} 2700.0
        inference_objective_response_sizes_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_input_tokens_sum{model_name="llama",target_model_name="llama"} 300.0
        inference_objective_input_tokens_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_output_tokens_sum{model_name="llama",target_model_name="llama"} 33.0
        inference_objective_output_tokens_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_prompt_cached_tokens_sum{model_name="llama",target_model_name="llama"} 192.0
        inference_objective_prompt_cached_tokens_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_normalized_time_per_output_token_seconds_sum{model_name="llama",target_model_name="llama"} 0.15
        inference_objective_normalized_time_per_output_token_seconds_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_request_ttft_seconds_sum{model_name="llama",target_model_name="llama"} 0.12
        inference_objective_request_ttft_seconds_count{model_name="llama",target_model_name="llama"} 3
        inference_objective_request_tpot_seconds_sum{model_name="llama",target_model_name="llama"} 0.15
        inference_objective_request_tpot_seconds_count{model_name="llama",target_model_name="llama"} 3
        inference_extension_scheduler_attempts_total{status="success",target_model_name="llama"} 6
        inference_extension_scheduler_attempts_total{status="failure",target_model_name="llama"} 3
        inference_pool_ready_pods{name="chat"} 2.0
        inference_pool_average_kv_cache_utilization{name="chat"} 0.4000000134110451
        inference_pool_average_queue_size{name="chat"} 2.0
        inference_pool_per_pod_queue_size{name="chat",model_server_pod="pod-1-rank-0"} 1.0
        inference_pool_per_pod_queue_size{name="chat",model_server_pod="pod-3-rank-0"} 3.0
        inference_extension_scheduler_e2e_duration_seconds_sum{pool="chat"} 0.0
        inference_extension_scheduler_e2e_duration_seconds_count{pool="chat"} 0
        inference_extension_info{commit="",build_ref="0.1.0"} 1
    "#);
}

/// No two samples have the same name and labels: Prometheus refuses such a page as a whole.
#[test]
fn every_sample_is_there_once() {
    let page = page(&[Dialect::Gie, Dialect::LlmD]);
    let mut names: Vec<&str> = page.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count > 500, "{count}");
}
