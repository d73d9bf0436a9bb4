//! Engines whose series are known.
//!
//! Names: Gateway API Inference Extension, proposal 003 (model server protocol); Triton core: its metrics page; vLLM's pull
//! requests 51615 and 53902 (capacity of KV offloading); SGLang's `SchedulerMetricsCollector`.

use super::attributes::{GPU_UTILIZATION, POOL_KV_USAGE, POOL_QUEUE};
use super::extractor::{Engine, Figure, MetricsExtractor};
use super::selector::Selector;
use super::source::SourceKind;

/// The label by which pods name their engine.
pub const ENGINE_LABEL: &str = "llm-d.ai/engine-type";

/// Its older name.
pub const OLDER_ENGINE_LABEL: &str = "inference.networking.k8s.io/engine-type";

/// The engine of servers whose pods name none, as far as they don't show to be of another one.
pub const DEFAULT_ENGINE: &str = "vllm";

/// Labels of an info series with the size of the KV cache, where a configuration names none.
pub const CACHE_LABELS: [&str; 2] = ["block_size", "num_gpu_blocks"];

/// Label of an info series with the tokens per unit in which prefixes are matched, where these are no blocks: models that are
/// only partly transformers have large blocks, and match prefixes in smaller units.
pub const MATCH_LABEL: &str = "prefix_match_unit";

/// Label of an info series with the tokens that the KV cache holds. With groups of layers whose blocks differ it is not the
/// number of blocks times their size.
pub const TOKENS_LABEL: &str = "kv_cache_size_tokens";

impl Default for MetricsExtractor {
    /// All engines that are known, in the order of preference.
    fn default() -> Self {
        Self { kind: SourceKind::Metrics, labels: labels(ENGINE_LABEL), engines: engines() }
    }
}

/// The metric of llm-d's endpoint picker that tells [`POOL_QUEUE`].
pub const POOL_QUEUE_METRIC: &str = "llm_d_epp_average_queue_size";

/// The metric of llm-d's endpoint picker that tells [`POOL_KV_USAGE`].
pub const POOL_KV_USAGE_METRIC: &str = "llm_d_epp_average_kv_cache_utilization";

impl MetricsExtractor {
    /// The extractor of `kind` where a configuration has none.
    pub fn of(kind: SourceKind) -> Self {
        match kind {
            SourceKind::Metrics => Self::default(),
            SourceKind::Dcgm => {
                let utilization = Selector::of("DCGM_FI_DEV_GPU_UTIL", &[]);
                Self::single(kind, vec![(GPU_UTILIZATION, utilization)])
            }
            SourceKind::Models => Self { kind, labels: Vec::new(), engines: Vec::new() },
            SourceKind::Multicluster => {
                let [queue, kv_usage] =
                    [POOL_QUEUE_METRIC, POOL_KV_USAGE_METRIC].map(|name| Selector::of(name, &[]));
                Self::multicluster(queue, kv_usage)
            }
        }
    }

    /// The extractor of other clusters' pools, which tell their figures by these series.
    pub fn multicluster(queue: Selector, kv_usage: Selector) -> Self {
        Self::single(SourceKind::Multicluster, vec![(POOL_QUEUE, queue), (POOL_KV_USAGE, kv_usage)])
    }

    /// One that sets attributes alone.
    fn single(kind: SourceKind, attributes: Vec<(&str, Selector)>) -> Self {
        let custom = attributes.into_iter().map(|(name, selector)| (name.to_owned(), selector)).collect();
        let engine = Engine { name: kind.source_type().to_owned(), known: Vec::new(), custom };
        Self { kind, labels: Vec::new(), engines: vec![engine] }
    }
}

/// Labels by which pods name their engine when `key` is the chosen one.
pub fn labels(key: &str) -> Vec<String> {
    let mut labels = vec![key.to_owned()];
    labels.extend((key != OLDER_ENGINE_LABEL).then(|| OLDER_ENGINE_LABEL.to_owned()));
    labels
}

/// The engines, in the order of preference when a server speaks for several.
pub fn engines() -> Vec<Engine> {
    let cache = |size: &str, count: &str| Figure::CacheConfig {
        block_size: size.to_owned(),
        num_blocks: count.to_owned(),
    };
    let request = |kind| Selector::of("nv_trt_llm_request_metrics", &[("request_type", kind)]);
    let block = |kind| Selector::of("nv_trt_llm_kv_cache_block_metrics", &[("kv_cache_block_type", kind)]);
    let name = |name| Selector::of(name, &[]);
    vec![
        engine(
            "vllm",
            vec![
                (name("vllm:num_requests_waiting"), Figure::Waiting),
                (name("vllm:num_requests_running"), Figure::Running),
                (name("vllm:kv_cache_usage_perc"), Figure::KvUsage),
                // Before vLLM 0.10.
                (name("vllm:gpu_cache_usage_perc"), Figure::KvUsage),
                (name("vllm:cache_config_info"), cache(CACHE_LABELS[0], CACHE_LABELS[1])),
                // Of KV offloading, as far as a release tells it.
                (name("vllm:kv_offload_cpu_capacity_tokens"), Figure::TierTokens),
                (
                    name("vllm:kv_offload_config_info"),
                    Figure::TierInfo("cpu_capacity_tokens_at_max_len".to_owned()),
                ),
                (name("vllm:lora_requests_info"), Figure::Lora),
            ],
        ),
        engine(
            "sglang",
            vec![
                (name("sglang:num_queue_reqs"), Figure::Waiting),
                (name("sglang:num_running_reqs"), Figure::Running),
                (name("sglang:token_usage"), Figure::KvUsage),
                (name("sglang:cache_config_info"), cache("page_size", "num_pages")),
                (name("sglang:max_total_num_tokens"), Figure::CacheTokens),
                (name("sglang:hicache_host_total_tokens"), Figure::TierTokens),
            ],
        ),
        // TensorRT-LLM's own server.
        engine(
            "trtllm-serve",
            vec![
                (name("trtllm_num_requests_waiting"), Figure::Waiting),
                (name("trtllm_num_requests_running"), Figure::Running),
                (name("trtllm_kv_cache_utilization"), Figure::KvUsage),
                (name("trtllm_kv_cache_tokens_per_block"), Figure::BlockSize),
                (name("trtllm_kv_cache_max_blocks"), Figure::NumBlocks),
            ],
        ),
        // Triton with its TensorRT-LLM backend.
        engine(
            "triton-tensorrt-llm",
            vec![
                (request("waiting"), Figure::Waiting),
                (request("scheduled"), Figure::Running),
                (block("fraction"), Figure::KvUsage),
                (block("tokens_per"), Figure::BlockSize),
                (block("max"), Figure::NumBlocks),
            ],
        ),
        // Triton with other backends. Its nv_inference_exec_count is a counter, so it doesn't tell what is running.
        engine("triton", vec![(name("nv_inference_pending_request_count"), Figure::Waiting)]),
    ]
}

fn engine(name: &str, known: Vec<(Selector, Figure)>) -> Engine {
    Engine { name: name.to_owned(), known, custom: Vec::new() }
}
