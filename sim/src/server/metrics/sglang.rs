//! SGLang's metrics.

use super::Snapshot;
use super::text::Text;
use crate::server::config::ServerConfig;

pub(super) fn write(config: &ServerConfig, snapshot: &Snapshot, text: &mut Text) {
    let engine = &config.engine;
    let capacity = f64::from(engine.num_blocks) * f64::from(engine.block_size);
    let counters = &snapshot.counters;
    text.gauge("sglang:num_running_reqs", "Running requests.", snapshot.running as f64);
    text.gauge("sglang:num_queue_reqs", "Requests in the waiting queue.", snapshot.waiting as f64);
    text.gauge("sglang:num_used_tokens", "Tokens in KV memory.", (snapshot.kv_usage * capacity).round());
    text.gauge("sglang:token_usage", "Share of KV memory in use.", snapshot.kv_usage);
    let hit_rate = counters.cache_hits as f64 / counters.cache_queries.max(1) as f64;
    text.gauge("sglang:cache_hit_rate", "Prefix cache hit rate.", hit_rate);
    text.gauge("sglang:max_total_num_tokens", "Tokens that KV memory holds.", capacity);
    text.counter("sglang:prompt_tokens", "Prefill tokens processed.", snapshot.totals.prompt_tokens);
    text.counter("sglang:generation_tokens", "Generation tokens processed.", counters.generated_tokens);
    let totals = &snapshot.totals;
    text.histogram("sglang:time_to_first_token_seconds", "Seconds to the first token.", &totals.first_token);
    text.histogram("sglang:inter_token_latency_seconds", "Seconds between tokens.", &totals.output_token);
    text.histogram("sglang:e2e_request_latency_seconds", "Seconds of a whole request.", &totals.request);
    let (page_size, num_pages) = (engine.block_size.to_string(), engine.num_blocks.to_string());
    text.family("sglang:cache_config_info", "gauge", "Configuration of the KV cache.");
    text.sample("sglang:cache_config_info", &[("num_pages", &num_pages), ("page_size", &page_size)], 1.0);
}
