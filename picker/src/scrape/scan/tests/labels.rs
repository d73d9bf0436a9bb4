//! Several series of one figure: what their labels say of each other.

use super::*;

/// Waiting and running requests, and usage.
fn loads(text: &str) -> [Option<f32>; 3] {
    let Signals { waiting, running, kv_usage, .. } = of(text);
    [waiting, running, kv_usage]
}

#[test]
fn ranks_of_data_parallel_attention_have_requests_of_their_own() {
    // Tensor parallelism of 4 and data parallelism of 4: each rank of one is one of the other.
    let text = r#"sglang:num_queue_reqs{dp_rank="0",engine_type="unified",model_name="m",moe_ep_rank="0",pp_rank="0",tp_rank="0"} 0
sglang:num_queue_reqs{dp_rank="1",engine_type="unified",model_name="m",moe_ep_rank="1",pp_rank="0",tp_rank="1"} 0
sglang:num_queue_reqs{dp_rank="2",engine_type="unified",model_name="m",moe_ep_rank="2",pp_rank="0",tp_rank="2"} 11
sglang:num_queue_reqs{dp_rank="3",engine_type="unified",model_name="m",moe_ep_rank="3",pp_rank="0",tp_rank="3"} 0
sglang:num_running_reqs{dp_rank="0",tp_rank="0"} 1
sglang:num_running_reqs{dp_rank="1",tp_rank="1"} 2
sglang:num_running_reqs{dp_rank="3",tp_rank="3"} 4
sglang:token_usage{dp_rank="0",tp_rank="0"} 0.5
sglang:token_usage{dp_rank="1",tp_rank="1"} 0.25
sglang:token_usage{dp_rank="2",tp_rank="2"} 1
sglang:token_usage{dp_rank="3",tp_rank="3"} 0.25
"#;
    assert_eq!(loads(text), [Some(11.0), Some(7.0), Some(0.5)]);
}

#[test]
fn ranks_that_compute_the_same_requests_count_once_for_each_part() {
    // All schedulers write: two ranks of tensor parallelism in each rank of data parallelism. The lowest counts.
    let text = r#"sglang:num_queue_reqs{dp_rank="1",tp_rank="3"} 4
sglang:num_queue_reqs{dp_rank="1",tp_rank="2"} 3
sglang:num_queue_reqs{dp_rank="0",tp_rank="1"} 9
sglang:num_queue_reqs{dp_rank="0",tp_rank="0"} 2
"#;
    assert_eq!(loads(text), [Some(5.0), None, None]);
    for rank in ["tp_rank", "pp_rank", "moe_ep_rank", "attn_cp_rank"] {
        let text = format!(
            "sglang:num_running_reqs{{{rank}=\"1\"}} 8\nsglang:num_running_reqs{{{rank}=\"0\"}} 7\nsglang:num_running_reqs{{{rank}=\"10\"}} 9\n"
        );
        assert_eq!(loads(&text), [None, Some(7.0), None], "{rank}");
    }
    // The page of a node that has not the first rank.
    assert_eq!(loads("sglang:num_running_reqs{pp_rank=\"1\",tp_rank=\"0\"} 7\n"), [None, Some(7.0), None]);
    // An engine that nobody knows writes its ranks as the others do, and what its other labels mean is not known.
    let vllm = "vllm:num_requests_running{tp_rank=\"0\",shard=\"a\"} 2\nvllm:num_requests_running{tp_rank=\"1\",shard=\"a\"} 2\n\
                vllm:num_requests_running{tp_rank=\"0\",shard=\"b\"} 3\n";
    assert_eq!(loads(vllm), [None, Some(5.0), None]);
}

#[test]
fn a_total_counts_instead_of_its_shares() {
    let text = r#"sglang:num_queue_reqs{priority="",tp_rank="0"} 5
sglang:num_queue_reqs{priority="0",tp_rank="0"} 2
sglang:num_queue_reqs{priority="10",tp_rank="0"} 3
sglang:num_running_reqs{priority="1"} 2
sglang:num_running_reqs{priority="2"} 4
sglang:token_usage{priority=""} 0.25
"#;
    // Without a total the shares add up.
    assert_eq!(loads(text), [Some(5.0), Some(6.0), Some(0.25)]);
    // Each part has a total of its own, or none, and no order is asked for.
    let text = r#"sglang:num_queue_reqs{dp_rank="1",priority="7",tp_rank="1"} 30
sglang:num_queue_reqs{dp_rank="0",priority="7",tp_rank="0"} 1
sglang:num_queue_reqs{dp_rank="1",priority="",tp_rank="1"} 40
sglang:num_queue_reqs{dp_rank="0",priority="8",tp_rank="0"} 2
sglang:num_queue_reqs{dp_rank="1",tp_rank="1",priority="8"} 10
"#;
    assert_eq!(loads(text), [Some(43.0), None, None]);
}

#[test]
fn caches_are_counted_once_for_each_part() {
    let text = r#"vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100",pid="1"} 1
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100",pid="2"} 1
vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="200",pid="1"} 1
"#;
    assert_eq!((of(text).block_size, of(text).num_blocks), (Some(16), Some(300)));
    let text = "sglang:cache_config_info{num_pages=\"10\",page_size=\"64\",tp_rank=\"0\"} 1\n\
                sglang:cache_config_info{num_pages=\"10\",page_size=\"64\",tp_rank=\"1\"} 1\n";
    assert_eq!((of(text).block_size, of(text).num_blocks), (Some(64), Some(10)));
    // Models of one server have caches of their own.
    let text = r#"nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="a",version="1"} 10
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="b",version="1"} 20
"#;
    assert_eq!(of(text).num_blocks, Some(30));
}

#[test]
fn more_series_than_a_server_has_are_not_counted() {
    let text: String =
        (0..2000).map(|n| format!("vllm:num_requests_waiting{{engine=\"{n}\"}} 1\n")).collect();
    assert_eq!(loads(&text), [Some(1024.0), None, None]);
}
