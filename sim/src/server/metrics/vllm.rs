//! vLLM's metrics (V1 engine).

use super::Snapshot;
use super::text::Text;
use crate::server::config::ServerConfig;

pub(super) fn write(config: &ServerConfig, snapshot: &Snapshot, text: &mut Text) {
    text.gauge("vllm:num_requests_running", "Requests in execution batches.", snapshot.running as f64);
    text.gauge("vllm:num_requests_waiting", "Requests waiting to be processed.", snapshot.waiting as f64);
    text.gauge("vllm:kv_cache_usage_perc", "KV-cache usage; 1 means full.", snapshot.kv_usage);
    counters(snapshot, text);
    histograms(snapshot, text);
    cache_config(config, text);
    if !config.loras.is_empty() {
        let max_lora = config.engine.max_loras.to_string();
        text.family("vllm:lora_requests_info", "gauge", "LoRA adapters of running and waiting requests.");
        for set in &snapshot.lora_sets {
            let labels = [
                ("max_lora", max_lora.as_str()),
                ("running_lora_adapters", &set.running),
                ("waiting_lora_adapters", &set.waiting),
            ];
            text.info("vllm:lora_requests_info", &labels, set.seen);
        }
    }
}

fn counters(snapshot: &Snapshot, text: &mut Text) {
    let (counters, totals) = (&snapshot.counters, &snapshot.totals);
    text.counter(
        "vllm:prefix_cache_queries",
        "Tokens looked up in the prefix cache.",
        counters.cache_queries,
    );
    text.counter("vllm:prefix_cache_hits", "Tokens found in the prefix cache.", counters.cache_hits);
    text.counter("vllm:num_preemptions", "Preemptions by the engine.", counters.preemptions);
    text.counter("vllm:prompt_tokens", "Prefill tokens processed.", totals.prompt_tokens);
    text.counter("vllm:generation_tokens", "Generation tokens processed.", counters.generated_tokens);
    let name = "vllm:request_success_total";
    text.family(name, "counter", "Requests that ended, by reason.");
    for (reason, count) in
        [("stop", totals.stopped), ("length", totals.cut_by_length), ("abort", totals.aborted), ("error", 0)]
    {
        text.sample(name, &[("finished_reason", reason)], count as f64);
    }
}

fn histograms(snapshot: &Snapshot, text: &mut Text) {
    let totals = &snapshot.totals;
    let all = [
        ("vllm:time_to_first_token_seconds", "Seconds to the first token.", &totals.first_token),
        ("vllm:inter_token_latency_seconds", "Seconds between tokens.", &totals.output_token),
        ("vllm:time_per_output_token_seconds", "Seconds per output token.", &totals.output_token),
        (
            "vllm:request_time_per_output_token_seconds",
            "Seconds per output token of a request.",
            &totals.output_token,
        ),
        ("vllm:e2e_request_latency_seconds", "Seconds of a whole request.", &totals.request),
        ("vllm:request_queue_time_seconds", "Seconds a request waited.", &totals.queue),
        ("vllm:request_prefill_time_seconds", "Seconds of prefill of a request.", &totals.prefill),
        ("vllm:request_decode_time_seconds", "Seconds of decode of a request.", &totals.decode),
        ("vllm:request_prompt_tokens", "Prompt tokens of a request.", &totals.prompt_length),
        ("vllm:request_generation_tokens", "Generation tokens of a request.", &totals.output_length),
    ];
    for (name, help, histogram) in all {
        text.histogram(name, help, histogram);
    }
}

fn cache_config(config: &ServerConfig, text: &mut Text) {
    let engine = &config.engine;
    let (block_size, num_blocks) = (engine.block_size.to_string(), engine.num_blocks.to_string());
    let prefix_caching = if engine.prefix_caching { "True" } else { "False" };
    let labels = [
        ("block_size", block_size.as_str()),
        ("cache_dtype", "auto"),
        ("calculate_kv_scales", "False"),
        ("cpu_offload_gb", "0"),
        ("enable_prefix_caching", prefix_caching),
        ("engine", "0"),
        ("gpu_memory_utilization", "0.9"),
        ("num_cpu_blocks", "None"),
        ("num_gpu_blocks", &num_blocks),
        ("num_gpu_blocks_override", "None"),
        ("prefix_caching_hash_algo", "sha256"),
        ("sliding_window", "None"),
        ("swap_space", "4"),
    ];
    text.family("vllm:cache_config_info", "gauge", "Configuration of the KV cache.");
    text.info("vllm:cache_config_info", &labels, 1.0);
}
