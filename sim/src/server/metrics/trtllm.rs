//! The metrics of TensorRT-LLM's own server.

use super::Snapshot;
use super::text::Text;
use crate::server::config::ServerConfig;

pub(super) fn write(config: &ServerConfig, snapshot: &Snapshot, text: &mut Text) {
    let engine = &config.engine;
    let counters = &snapshot.counters;
    let hit_rate = counters.cache_hits as f64 / counters.cache_queries.max(1) as f64;
    text.gauge("trtllm_num_requests_running", "Requests in execution.", snapshot.running as f64);
    text.gauge("trtllm_num_requests_waiting", "Requests in the queue.", snapshot.waiting as f64);
    text.gauge("trtllm_kv_cache_utilization", "Share of KV memory in use.", snapshot.kv_usage);
    text.gauge("trtllm_kv_cache_hit_rate", "KV cache hit rate.", hit_rate);
    text.gauge("trtllm_kv_cache_tokens_per_block", "Tokens of a KV block.", f64::from(engine.block_size));
    text.gauge("trtllm_kv_cache_max_blocks", "KV blocks there are.", f64::from(engine.num_blocks));
    let totals = &snapshot.totals;
    let ended = totals.stopped + totals.cut_by_length;
    text.counter("trtllm_request_success", "Requests that ended well.", ended);
    text.histogram("trtllm_time_to_first_token_seconds", "Seconds to the first token.", &totals.first_token);
    text.histogram("trtllm_time_per_output_token_seconds", "Seconds per output token.", &totals.output_token);
    text.histogram("trtllm_e2e_request_latency_seconds", "Seconds of a whole request.", &totals.request);
    text.histogram("trtllm_request_queue_time_seconds", "Seconds a request waited.", &totals.queue);
}
